"""What a request makes of the state before it: new seeds, and only what they reach computed anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from imos_engine.propagation.crossing import CarriedMask, by_plane, distances_mm, surest_mask
from imos_engine.propagation.schedule import stretches
from imos_engine.sequence import frames_along
from lib.infers.carry import Carry, Stretch
from lib.infers.marks import Mask
from lib.infers.planes import Place, Slab, agreeing, impose, inside_box, part_of
from lib.infers.request import Box
from lib.sessions.packed_mask import PackedMask
from lib.sessions.step import Clicks, HeldSeed, Layer, ObjectState

NOTHING_YET = ""  # said by no marks


class Refinement:
    """Objects by name, on their way from one state to the next.

    `rivals` are the objects of the same reply: what a mask newly holds is taken from them, except what a person marked.
    """

    def __init__(
        self,
        objects: Mapping[str, ObjectState],
        *,
        shape: tuple[int, ...],
        spacing_mm: Sequence[float],
        box: Box | None,
        protected: Mapping[str, Mask],
    ) -> None:
        self.objects = dict(objects)
        self.box, self.protected = box, protected
        self.is_changed = False  # whether anything was said that was not known
        self.recomputed: dict[str, list[Slab]] = {}
        self._rivals: list[str] = []
        self._shape, self._spacing_mm = shape, spacing_mm
        self._pending: dict[str, set[Place]] = {}  # seeds whose surroundings are not computed yet

    def enter(self, ids: Mapping[str, int]) -> None:
        """Make the objects of the reply known, with their ids in it."""
        nothing = PackedMask.empty(self._shape)
        for name, number in ids.items():
            state = self.objects.get(name, ObjectState(id=number, answer=nothing))
            self.objects[name] = replace(state, id=number)
        for name, mask in self.protected.items():
            state = self.objects.get(name, ObjectState(id=ids.get(name, 0), answer=nothing))
            if not np.array_equal(mask, state.answer.unpack()):
                self.objects[name] = ObjectState(id=state.id, answer=PackedMask.of(mask))
                self.is_changed = True
        self._rivals = [name for name in ids if name not in self.protected]

    def hold_clicks(self, name: str, clicks: Clicks) -> None:
        """Keep every point that counts for an object."""
        self.objects[name] = replace(self.objects[name], clicks=clicks)

    def plant(self, name: str, seed: HeldSeed, *, spreads: bool = True) -> None:
        """Put a seed in place of an earlier one on its slice; `spreads` unless its surroundings know it already."""
        self.is_changed = True
        earlier = {held.place: held for held in self.objects[name].seeds}.get(seed.place)
        if earlier is not None and np.array_equal(earlier.mask.unpack(), seed.mask.unpack()):
            spreads = False
        for rival in self._rivals:
            state = self.objects[rival]
            others = (held for held in state.seeds if rival != name or held.place != seed.place)
            seeds = tuple(agreeing(held, seed, same=rival == name) for held in others)
            self.objects[rival] = replace(state, seeds=seeds)
        state = self.objects[name]
        self.objects[name] = replace(state, seeds=(*state.seeds, seed))
        if spreads:
            self._pending.setdefault(name, set()).add(seed.place)

    def uproot(self, name: str, places: Collection[Place]) -> None:
        """Take seeds away."""
        self.is_changed = True
        state = self.objects[name]
        self.objects[name] = replace(state, seeds=tuple(seed for seed in state.seeds if seed.place not in places))
        self._pending.setdefault(name, set()).update(places)

    def stir(self) -> None:
        """Let everything that comes from the seeds of the reply's objects be computed anew."""
        for name in self._rivals:
            if places := {seed.place for seed in self.objects[name].seeds}:
                self.is_changed = True
                self._pending.setdefault(name, set()).update(places)

    def accept(self, axis: int, index: int) -> None:
        """Make seeds of what was answered on a slice; nothing around it changes."""
        for name in self._rivals:
            state = self.objects[name]
            if not state.layers or (axis, index) in {seed.place for seed in state.seeds}:
                continue
            mask = PackedMask.of(frames_along(state.answer.unpack(), axis)[index])
            layer = state.layers.get(axis, Layer(mask=state.answer, confidence={}, presence={}))
            sure = Layer(
                mask=layer.mask,
                confidence=dict(sorted(({**layer.confidence, index: 1.0}).items())),
                presence=dict(sorted(({**layer.presence, index: float(bool(mask))}).items())),
            )
            self.objects[name] = replace(state, layers={**state.layers, axis: sure})
            seed = HeldSeed(axis=axis, index=index, mask=mask, mode="accepted", said=NOTHING_YET)
            self.plant(name, seed, spreads=False)

    def slice_of(self, name: str, axis: int, index: int) -> Mask | None:
        """An object's answer on one slice, (H, W); None of an object that was not answered yet."""
        state = self.objects[name]
        return np.array(frames_along(state.answer.unpack(), axis)[index]) if state.layers else None

    def protected_slice(self, axis: int, index: int) -> Mask | None:
        """Protected pixels of one slice, (H, W); None if nothing is protected."""
        slices = [frames_along(mask, axis)[index] for mask in self.protected.values()]
        return np.logical_or.reduce(slices) if slices else None

    def settle(self, carry: Carry) -> None:
        """Compute what the changed seeds reach.

        Raises:
            RequestError: the client left.
        """
        groups: dict[Slab, list[str]] = {}
        for name, places in self._pending.items():
            for axis in sorted({axis for axis, _ in places}):
                changed = {index for one, index in places if one == axis}
                kept = set(self.objects[name].seeds_along(axis)) - changed
                for first, last in stretches(changed, kept, carry.range(axis), carry.directions):
                    groups.setdefault((axis, first, last), []).append(name)
        self._pending = {}
        for slab, names in groups.items():
            axis, first, last = slab
            seeds = {name: list(self.objects[name].seeds_along(axis).values()) for name in names}
            found = carry.run(axis, seeds, first, last)
            others = [rival for rival in self._rivals if rival not in names]
            fixed = self._fixed(slab, others)
            for name in names:
                self._place(name, slab, found[name], fixed)
                self.recomputed.setdefault(name, []).append(slab)
            self._take(names, slab, others)

    def _place(self, name: str, slab: Slab, found: Stretch, fixed: Mask | None) -> None:
        """Put what was carried into an object's layer and answer. Shapes: fixed as the slab, not to be touched."""
        axis, part = slab[0], part_of(slab)
        state = self.objects[name]
        answer = state.answer.unpack()
        new = np.moveaxis(found.masks, 0, axis)
        if self.box is not None:
            new = np.where(inside_box(self.box, slab, new.shape), new, answer[part])
        earlier = state.layers.get(axis, Layer(mask=PackedMask.empty(self._shape), confidence={}, presence={}))
        carried = earlier.mask.unpack()
        carried[part] = new
        layers = dict(state.layers)
        layers[axis] = Layer(
            mask=PackedMask.of(carried),
            confidence=dict(sorted({**earlier.confidence, **found.confidence}.items())),
            presence=dict(sorted({**earlier.presence, **found.presence}.items())),
        )
        if not state.seeds_along(axis) and len(layers) > 1:
            del layers[axis]  # every seed along it was taken back
        state = replace(state, layers=layers)
        new = self._surest(state, slab) if len(layers) > 1 else next(iter(layers.values())).mask.unpack()[part]
        if fixed is not None:
            new = new & ~fixed
        for seed in state.seeds:
            impose(seed, new, slab)
        answer[part] = new
        self.objects[name] = replace(state, answer=PackedMask.of(answer))

    def _surest(self, state: ObjectState, slab: Slab) -> Mask:
        """What all axes together say about a slab."""
        part, carried = part_of(slab), []
        for axis, layer in state.layers.items():
            count = self._shape[axis]
            distances = distances_mm(list(state.seeds_along(axis)), count, self._spacing_mm[axis])
            confidence = by_plane(layer.confidence, count)[part[axis]]
            mask = layer.mask.unpack()[part]
            carried.append(CarriedMask(axis=axis, mask=mask, confidence=confidence, distance_mm=distances[part[axis]]))
        return surest_mask(carried)

    def _fixed(self, slab: Slab, others: Sequence[str]) -> Mask | None:
        """Voxels of a slab that are protected, or that a person marked as other objects'."""
        part = part_of(slab)
        fixed = np.zeros([last + 1 - first for first, last in _ends(slab, self._shape)], dtype=bool)
        for mask in self.protected.values():
            fixed |= mask[part]
        for other in others:
            for seed in self.objects[other].seeds:
                impose(seed, fixed, slab, adds=True)
        return fixed if fixed.any() else None

    def _take(self, names: Sequence[str], slab: Slab, others: Sequence[str]) -> None:
        """The other objects of the reply lose what is now held by these."""
        part = part_of(slab)
        touched = [other for other in others if self.objects[other].answer]
        if not touched:
            return
        held = np.logical_or.reduce([self.objects[name].answer.unpack()[part] for name in names])
        for other in touched:
            answer = self.objects[other].answer.unpack()
            if (answer[part] & held).any():
                answer[part] &= ~held
                self.objects[other] = replace(self.objects[other], answer=PackedMask.of(answer))


def _ends(slab: Slab, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    axis, first, last = slab
    return [(first, last) if one == axis else (0, shape[one] - 1) for one in range(3)]
