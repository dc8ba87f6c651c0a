"""One pass over frames in one direction: read, decode, write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imos_engine.config import MemoryConfig, PropagationConfig
from imos_engine.memory import MemoryStore
from imos_engine.network import FrameFeatures, ImosNetwork
from imos_engine.network.aggregation import aggregate
from imos_engine.propagation.features import FrameEncoder
from imos_engine.propagation.timings import Timings


@dataclass(frozen=True, kw_only=True)
class SeedMasks:
    """What the user gave on one frame, on the network's grid."""

    masks: Tensor  # (K, h, w) float32, 0 to 1
    given: Tensor  # (K,) bool: objects that the user spoke about; the others are to be predicted


@dataclass(frozen=True, kw_only=True)
class SweepStep:
    """What one pass knows after one frame."""

    index: int
    probabilities: Tensor  # (K+1, h, w) float32, channel 0 the background
    entered: Tensor  # (K,) bool: objects given on this frame or before it
    memory_sizes: tuple[int, int]  # elements in working and long-term memory


def impose(seed: SeedMasks, probabilities: Tensor) -> Tensor:
    """The user's masks win over the prediction, everywhere.

    Shapes: probabilities (K, h, w), the prediction. Returns: (K+1, h, w), aggregated.
    """
    taken = seed.masks.sum(0) > 0.5
    objects = torch.where(taken, torch.zeros_like(probabilities), probabilities)
    objects = torch.where(seed.given[:, None, None], seed.masks, objects)
    return aggregate(objects[None])[1][0]


class Sweep:
    """The loop of XMem's figure 2 (arXiv 2207.07115) with iMOS's seeds, for K objects at once."""

    def __init__(
        self,
        network: ImosNetwork,
        encoder: FrameEncoder,
        seeds: Mapping[int, SeedMasks],
        *,
        memory: MemoryConfig,
        settings: PropagationConfig,
        timings: Timings,
    ) -> None:
        self._network, self._encoder, self._seeds = network, encoder, seeds
        self._memory_config, self._settings, self._timings = memory, settings, timings
        self._memory = MemoryStore(memory)
        some_seed = next(iter(seeds.values())).masks
        self._objects, height, width = some_seed.shape
        self._hidden = network.initial_hidden(1, self._objects, height // 16, width // 16)
        self._entered = torch.zeros(self._objects, dtype=torch.bool, device=some_seed.device)
        self._dtype = next(network.parameters()).dtype

    def run(self, order: Sequence[int]) -> Iterator[SweepStep]:
        """Visit frames in order; the first must carry a seed. Ends early once all objects are gone."""
        if self._settings.preload_seeds:
            self._preload()
        last_write, absent_frames, waiting = order[0], 0, False
        for position, index in enumerate(order):
            seed = self._seeds.get(index)
            if waiting and seed is None:
                continue
            waiting = False
            features = self._encoder.features(index, order[position + 1 :])
            is_last = position == len(order) - 1
            is_due = (seed is not None or abs(index - last_write) >= self._memory_config.write_every) and not is_last
            probabilities = self._segment(features, seed, update_hidden=not is_due and not is_last)
            if is_due:
                self._remember(index, features, seed, probabilities[1:])
                last_write = index
            yield SweepStep(
                index=index, probabilities=probabilities, entered=self._entered.clone(), memory_sizes=self._memory.sizes
            )
            absent_frames = 0 if seed is not None or self._any_visible(probabilities) else absent_frames + 1
            waiting = self._settings.end_after is not None and absent_frames >= self._settings.end_after

    def _segment(self, features: FrameFeatures, seed: SeedMasks | None, *, update_hidden: bool) -> Tensor:
        """Probabilities (K+1, h, w) of every object that has entered; the seed's masks where there is one."""
        expected = self._entered if seed is None else self._entered & ~seed.given
        predicted = None
        if expected.any():
            predicted = self._predict(features, update_hidden=update_hidden)
        if seed is None:
            assert predicted is not None, "a sweep starts on a seed"
            return predicted
        self._entered |= seed.given
        nothing = torch.zeros_like(seed.masks)
        return impose(seed, nothing if predicted is None else predicted[1:])

    def _predict(self, features: FrameFeatures, *, update_hidden: bool) -> Tensor:
        height, width = features.key.shape[-2:]
        channels = self._entered.nonzero()[:, 0]
        with self._timings.measure("read"):
            readout = self._memory.read(features.key[0].flatten(1), features.selection[0].flatten(1))
            readout = readout.unflatten(2, (height, width))[None, channels].to(self._dtype)
        with self._timings.measure("decode"):
            hidden, _, found = self._network.decode(
                features, readout, self._hidden[:, channels], update_hidden=update_hidden
            )
            if update_hidden:
                self._hidden[:, channels] = hidden
        probabilities = found.new_zeros(self._objects + 1, *found.shape[2:])
        probabilities[0] = found[0, 0]
        probabilities[channels + 1] = found[0, 1:]
        return probabilities

    def _remember(self, index: int, features: FrameFeatures, seed: SeedMasks | None, masks: Tensor) -> None:
        """Write the frame into memory and let its value update the sensory memory."""
        known, permanent = self._entered, seed is not None
        channels = known.nonzero()[:, 0]
        with self._timings.measure("write"):
            values, self._hidden[:, channels] = self._network.encode_values(
                self._encoder.image(index), features.f16, masks[None, channels].to(self._dtype),
                self._hidden[:, channels], deep_update=True,
            )  # fmt: skip
            if seed is not None and self._settings.preload_seeds:
                # What the user gave is in memory already; what was predicted beside it is not.
                known, permanent = known & ~seed.given, False
            if known.any():
                self._write(features, values[0], channels, known=known, permanent=permanent)

    def _preload(self) -> None:
        """Write every seed before the first frame: a correction far ahead helps here already."""
        for index, seed in self._seeds.items():
            features = self._encoder.features(index, ())
            channels = seed.given.nonzero()[:, 0]
            masks = aggregate(seed.masks[None, channels])[1][:, 1:].to(self._dtype)
            with self._timings.measure("write"):
                values, _ = self._network.encode_values(
                    self._encoder.image(index), features.f16, masks, self._hidden[:, channels], deep_update=False
                )
                self._write(features, values[0], channels, known=seed.given, permanent=True)

    def _write(
        self, features: FrameFeatures, values: Tensor, channels: Tensor, *, known: Tensor, permanent: bool
    ) -> None:
        every = values.new_zeros(self._objects, *values.shape[1:])
        every[channels] = values
        self._memory.write(
            features.key[0].flatten(1), features.shrinkage[0].flatten(1), features.selection[0].flatten(1),
            every.flatten(2), known=known, permanent=permanent,
        )  # fmt: skip

    def _any_visible(self, probabilities: Tensor) -> bool:
        objects = probabilities[1:]
        best = objects.amax(0)
        won = (objects == best) & (best > probabilities[0])
        return bool(won.flatten(1).sum(1).max() >= self._settings.min_pixels)
