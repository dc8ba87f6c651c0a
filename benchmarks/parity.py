"""Hold the engine against recorded numbers of the published network.

    python -m benchmarks.parity FILE.npz [FILE.npz ...]

Each file holds inputs and outputs of one forward pass in float32 with deterministic weights; `weights_recipe.py` beside
it rebuilds those weights. Prints the largest absolute difference of every entry; exits non-zero when a probability
differs by more than 1e-4, a feature by more than 1e-3 of its largest value, or a memory size at all.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.given_frames import GivenFrames
from imos_engine.config import PRESETS, AdapterConfig, MemoryConfig, Precision, PropagationConfig
from imos_engine.memory.attention import affinity, similarity
from imos_engine.network import ImosNetwork
from imos_engine.propagation import Propagator
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.sequence import Direction, Seed

PROBABILITY_TOLERANCE = 1e-4  # absolute
FEATURE_TOLERANCE = 1e-3  # relative to the entry's largest value
CROP = (64, 80)  # pixels of frame 0 that the unit entries were recorded on

PLAIN = PropagationConfig(
    size=None, window=None, precision=Precision.FLOAT32, end_after=None, preload_seeds=False, encode_batch=1
)
LONG_MEMORY = MemoryConfig(
    write_every=2, max_working_frames=5, min_working_frames=3, prototypes=24, max_long_term=80, read_top_k=30
)


@dataclass(frozen=True)
class Comparison:
    """One entry of a parity file: what we computed, what was recorded."""

    entry: str
    ours: Tensor
    recorded: Tensor

    @property
    def difference(self) -> float:
        """Largest absolute difference."""
        return float((self.ours.double() - self.recorded.double()).abs().max())

    @property
    def allowed(self) -> float:
        """Largest difference that still counts as agreement."""
        if self.entry == "memory_sizes":
            return 0.0
        if "prob" in self.entry or "affinity" in self.entry:
            return PROBABILITY_TOLERANCE
        return FEATURE_TOLERANCE * float(self.recorded.abs().max())

    @property
    def agrees(self) -> bool:
        """Whether the difference is allowed; NaN never is."""
        return self.difference <= self.allowed


def build_network(path: Path) -> ImosNetwork:
    """The network that a file was recorded with: with adapters if its name says iMOS."""
    adapter = AdapterConfig() if "imos" in path.name else None
    with torch.device("meta"):  # names and shapes only: every weight comes from the recipe
        network = ImosNetwork(replace(PRESETS["xmem"], adapter=adapter))
    fill = runpy.run_path(str(path.with_name("weights_recipe.py")))["fill"]
    network.load_state_dict(fill(network.state_dict()), assign=True)
    return network.eval()


def compare(path: Path) -> Iterator[Comparison]:
    """Every entry of one parity file beside what the engine computes."""
    recorded = {name: torch.from_numpy(values) for name, values in np.load(path).items()}
    network = build_network(path)
    for entries in (_unit_entries, _sequence_entries):
        for entry, ours in entries(network, recorded):
            yield Comparison(entry, ours, recorded[entry])


@torch.inference_mode()
def _unit_entries(network: ImosNetwork, recorded: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    height, width = CROP
    frame, mask = recorded["frames"][:1, :, :height, :width], recorded["masks"][:1, :, :height, :width].float()
    hidden = recorded["unit_hidden_in"]
    features = network.encode_frames(frame)
    value, deep = network.encode_values(frame, features.f16, mask, hidden, deep_update=True)
    updated, logits, probabilities = network.decode(features, recorded["unit_value"], hidden)
    key, selection = features.key.flatten(2), features.selection.flatten(2)
    scores = similarity(key, features.shrinkage.flatten(2), key, selection)
    return [
        ("unit_key", features.key),
        ("unit_shrinkage", features.shrinkage),
        ("unit_selection", features.selection),
        ("unit_f16_mean", features.f16.mean((2, 3))),
        ("unit_value", value),
        ("unit_hidden_deep", deep),
        ("unit_hidden_out", updated),
        ("unit_logits", logits),
        ("unit_prob", probabilities),
        ("unit_similarity", scores),
        ("unit_affinity_top5", affinity(scores, top_k=5)),
    ]


def _sequence_entries(network: ImosNetwork, recorded: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    last = len(recorded["frames"]) // 2
    long, sizes = _propagate(network, recorded, [0], LONG_MEMORY)
    two_seeds, _ = _propagate(network, recorded, [0, last], MemoryConfig())
    return [("prob_long", long), ("memory_sizes", sizes), ("prob_two_seeds", two_seeds)]


def _propagate(
    network: ImosNetwork, recorded: dict[str, Tensor], seed_frames: list[int], memory: MemoryConfig
) -> tuple[Tensor, Tensor]:
    frames = GivenFrames(recorded["frames"])
    grid = FrameGrid.fit(Box.whole(frames.size), None)
    ids = torch.arange(1, recorded["masks"].shape[1] + 1)[:, None, None]
    seeds = [
        Seed(
            index=index,
            labels=(recorded["masks"][index] * ids).amax(0).numpy(),
            objects=frozenset(ids.flatten().tolist()),
        )
        for index in seed_frames
    ]
    propagator = Propagator(network, memory=memory, settings=PLAIN)
    steps = list(propagator.sweep(frames, seeds, Direction.FORWARD))
    probabilities = torch.stack([grid.restore(step.probabilities) for step in steps])
    return probabilities, torch.tensor([step.memory_sizes for step in steps])


def main() -> int:
    """Compare every file named on the command line."""
    parser = argparse.ArgumentParser(description="Compare the engine with recorded numbers of the published network.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    failed = 0
    for path in parser.parse_args().files:
        print(f"{path.name}\n  {'entry':20} {'difference':>12} {'allowed':>12}")
        for comparison in compare(path):
            verdict = "" if comparison.agrees else "  DIFFERS"
            failed += not comparison.agrees
            print(f"  {comparison.entry:20} {comparison.difference:12.3g} {comparison.allowed:12.3g}{verdict}")
    print("all entries agree" if not failed else f"{failed} entries differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
