"""New marks become seeds, slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lib.infers.carry import Carry
from lib.infers.changes import Changes
from lib.infers.planes import Place
from lib.infers.refinement import Refinement
from lib.infers.seeds import MarkedSlice, solve_slice
from lib.infers.slice_marks import SliceMarks


def plant_seeds(work: Refinement, changes: Changes, carry: Carry) -> list[str]:
    """Make a seed of every slice that newly says where an object is, and drop those that nothing is left of.

    Returns warnings. Raises RequestError for marks that contradict each other.
    """
    for name, clicks in changes.clicks.items():
        work.hold_clicks(name, clicks)
    for name, places in changes.unsaid.items():
        if places:
            work.uproot(name, places)
    spoken = ((one, index) for one in changes.marks for index in one.positive | one.absent)
    return _plant(work, carry, spoken, afresh=changes.afresh)


def plant_corrections(work: Refinement, changes: Changes, carry: Carry) -> list[str]:
    """Make seeds of slices that only say where an object is not: they correct what is there by now.

    Returns warnings. Raises RequestError for marks that contradict each other.
    """
    spoken = ((one, index) for one in changes.marks for index in one.negative)
    return _plant(work, carry, ((one, index) for one, index in spoken if carry.covers(one.axis, index)))


def _plant(
    work: Refinement,
    carry: Carry,
    spoken: Iterable[tuple[SliceMarks, int]],
    *,
    afresh: Mapping[str, frozenset[Place]] = MappingProxyType({}),
) -> list[str]:
    slices: dict[tuple[int, int], list[SliceMarks]] = {}
    for one, index in spoken:
        slices.setdefault((one.axis, index), []).append(one)
    warnings: list[str] = []
    for (axis, index), marks in sorted(slices.items(), key=lambda item: item[0]):
        needed = [
            one.name
            for one in marks
            if (one.mode(index) != "mask" or work.box is not None)
            and (axis, index) not in afresh.get(one.name, frozenset())
        ]
        marked = MarkedSlice(
            axis=axis,
            index=index,
            marks=marks,
            image=carry.image(axis, index),
            masks={name: mask for name in needed if (mask := work.slice_of(name, axis, index)) is not None},
            box=work.box,
        )
        taken = work.protected_slice(axis, index)
        for name, seed in solve_slice(marked, carry.solver(axis), warnings, taken).items():
            work.plant(name, seed)
    return warnings
