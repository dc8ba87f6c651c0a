"""How fast the engine is, as ratios within one run on one machine.

    python -m benchmarks.speed [--parts paths,small,correction,length] [--recipe weights_recipe.py] [--data DIR]

paths       the `xmem` preset at 480 px, 40 frames, 1 and 3 objects: plain loop, our float32, our bf16
small       the bundled network: 100 slices of 512 x 512; its bf16 masks against its float32 masks
correction  seconds per frame of a second request on the same volume, against the first
length      memory taken by 1,000 slices against 200, beyond the result itself
"""

from __future__ import annotations

import argparse
import platform
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cases import find_cases, measurable_labels, read_case
from benchmarks.given_frames import GivenFrames
from benchmarks.plain_loop import propagate_plainly
from benchmarks.resident_memory import resident_memory
from imos_engine.config import PRESETS, MemoryConfig, Precision, PropagationConfig
from imos_engine.intensity import automatic_intensity, robust_intensity
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import FeatureCache, Propagator
from imos_engine.sequence import Direction, FrameSequence, Seed

WEIGHTS = Path(__file__).parents[1] / "apps/imos/model/imos_small.safetensors"
RECIPE = Path("../shared/fixtures/weights_recipe.py")
DATA = Path("../shared/data")

PATHS_SIZE, PATHS_FRAMES = 480, 40
SLICE_SIZE = 512
CACHE_BYTES = 128 << 20  # what is kept for the next request is bounded; so low, 200 slices fill it, too
STAGES = ("encode", "read", "decode", "write", "merge")


def moving_discs(frames: int, size: int, objects: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Discs that drift over smooth noise: images (T, H, W) and labels (T, H, W)."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    texture = random.normal(0, 40, (size, size))
    images = np.empty((frames, size, size), np.int16)
    labels = np.zeros((frames, size, size), np.uint8)
    for index in range(frames):
        for number in range(objects):
            turn = 2 * np.pi * (number / objects + 0.5 * index / max(frames, 100))
            row, column = size / 2 + size / 4 * np.sin(turn), size / 2 + size / 4 * np.cos(turn)
            labels[index][(rows - row) ** 2 + (columns - column) ** 2 < (size / 10) ** 2] = number + 1
        images[index] = texture + 200 * labels[index]
    return images, labels


def xmem_with_recipe_weights(recipe: Path) -> ImosNetwork:
    """The published network's shape with the fixtures' weights, or with random ones where there are no fixtures."""
    torch.manual_seed(0)
    network = ImosNetwork(PRESETS["xmem"]).eval()
    if recipe.is_file():
        network.load_state_dict(runpy.run_path(str(recipe))["fill"](network.state_dict()))
    else:
        print(f"(no {recipe}: random weights)")
    return network


def measure_paths(recipe: Path) -> None:
    """Plain loop, our float32 path and our bf16 path on the same frames."""
    network = xmem_with_recipe_weights(recipe)
    settings = PropagationConfig(size=None, window=None, end_after=None)
    print(f"\nxmem preset, {PATHS_SIZE} px, {PATHS_FRAMES} frames, one forward pass")
    print("objects  path      frames/s  ratio  mean diff   max diff  peak MiB   encode   read  decode  write  merge")
    for objects in (1, 3):
        images, labels = moving_discs(PATHS_FRAMES, PATHS_SIZE, objects)
        frames = FrameSequence(images, robust_intensity(images)).normalised(0, len(images)).contiguous()
        seed = Seed(index=0, labels=labels[0], objects=frozenset(range(1, objects + 1)))
        masks = torch.from_numpy(np.stack([labels[0] == number for number in range(1, objects + 1)])).float()
        list(propagate_plainly(network, frames[:3], masks, MemoryConfig()))  # warm up
        with resident_memory() as memory:
            started = perf_counter()
            expected = torch.stack(list(propagate_plainly(network, frames, masks, MemoryConfig())))
            reference = len(frames) / (perf_counter() - started)
        print(f"{objects:7}  plain    {reference:9.3f}  {1:5.2f}  {0:9.2g}  {0:9.2g}  {memory.growth_mib:8.0f}")
        for precision in (Precision.FLOAT32, Precision.BFLOAT16):
            propagator = Propagator(network, settings=replace(settings, precision=precision))
            list(propagator.sweep(GivenFrames(frames[:5]), [seed], Direction.FORWARD))
            with resident_memory() as memory:
                started = perf_counter()
                steps = propagator.sweep(GivenFrames(frames), [seed], Direction.FORWARD)
                found = torch.stack([step.probabilities for step in steps])
                seconds = perf_counter() - started
            difference = (found - expected).abs()
            shares = [getattr(propagator.timings, stage) / seconds for stage in STAGES]
            rate = len(frames) / seconds
            print(
                f"{objects:7}  {precision.value:8} {rate:9.3f}  {rate / reference:5.2f}"
                f"  {difference.mean():9.2g}  {difference.max():9.2g}  {memory.growth_mib:8.0f}   "
                + "  ".join(f"{share:5.0%}" for share in shares)
            )


def measure_small(weights: Path, data: Path) -> None:
    """The bundled network on 100 slices, and what half precision changes on real cases."""
    network = load_network(weights)
    images, labels = moving_discs(100, SLICE_SIZE, 1)
    frames = FrameSequence(images, robust_intensity(images))
    seed = Seed(index=50, labels=labels[50], objects=frozenset({1}))
    print(f"\nbundled network at its default size, 100 slices of {SLICE_SIZE} x {SLICE_SIZE}, one object, both ways")
    for precision in Precision:
        propagator = Propagator(network, settings=PropagationConfig(precision=precision, end_after=None))
        next(propagator.propagate(frames, [seed]))  # warm up
        list(propagator.propagate(frames, [seed]))
        timings = propagator.timings
        stages = "  ".join(
            f"{name} {getattr(timings, name):.2f}" for name in ("encode", "read", "decode", "write", "merge")
        )
        print(f"  {precision.value:9} {timings.total:6.2f} s   ({stages})")
    if not data.is_dir():
        print(f"(no {data}: masks of both precisions not compared)")
        return
    print("J between bf16 and float32 masks, label seeded on its largest slice")
    overall = []
    for folder in find_cases(data):
        score = _agreement_of_precisions(network, folder)
        overall.append(score)
        print(f"  {folder.name:28} {score:.3f}")
    print(f"  {'mean':28} {np.mean(overall):.3f}")


def _agreement_of_precisions(network: ImosNetwork, folder: Path) -> float:
    """Mean J over a case's five largest labels."""
    case = read_case(folder)
    images = np.moveaxis(case.image, case.slice_axis, 0)
    scores = []
    for label in measurable_labels(case, limit=5)[0]:
        index = case.seed_frame(label)
        truth = case.label_mask(label)
        intensity = automatic_intensity(images[index], truth[index])
        seed = Seed(index=index, labels=truth[index].astype(np.uint8), objects=frozenset({1}))
        masks = []
        for precision in Precision:
            propagator = Propagator(network, settings=PropagationConfig(precision=precision))
            results = sorted(
                propagator.propagate(FrameSequence(images, intensity), [seed]), key=lambda found: found.index
            )
            masks.append(np.stack([result.labels for result in results]) > 0)
        scores.append((masks[0] & masks[1]).sum() / max((masks[0] | masks[1]).sum(), 1))
    return float(np.mean(scores))


def measure_correction(weights: Path) -> None:
    """A corrected slice on a volume whose features are cached: only the stretch between its neighbours is computed."""
    images, labels = moving_discs(60, SLICE_SIZE, 1)
    frames = FrameSequence(images, robust_intensity(images))
    seeds = {index: Seed(index=index, labels=labels[index], objects=frozenset({1})) for index in (0, 20, 30, 40, 59)}
    propagator = Propagator(
        load_network(weights), settings=PropagationConfig(end_after=None), features=FeatureCache(1 << 30)
    )
    list(propagator.propagate(frames, [seeds[0]], frame_range=(0, 9)))  # warm up
    list(propagator.propagate(frames, [seeds[0]], image_key="volume"))
    first = propagator.timings
    list(propagator.propagate(frames, list(seeds.values()), image_key="volume", frame_range=(20, 40)))
    second = propagator.timings
    costs = [timings.total / timings.frames for timings in (first, second)]
    print(f"\ncorrection of slice 30 between seeds 20 and 40, features cached, {SLICE_SIZE} x {SLICE_SIZE}")
    for name, timings, cost in zip(("first pass", "correction"), (first, second), costs, strict=True):
        print(f"  {name}: {timings.frames} frame visits, {timings.cached_frames} cached, {cost * 1e3:.1f} ms each")
    print(f"  a frame of a correction costs {costs[1] / costs[0]:.0%} of a frame of the first pass")


def measure_length(weights: Path) -> None:
    """Memory beyond the result: the result itself is dropped frame by frame."""
    network = load_network(weights)
    images, labels = moving_discs(1, SLICE_SIZE, 1)
    growth = {}
    print(f"\nmemory taken by the propagation of {SLICE_SIZE} x {SLICE_SIZE} slices, results not kept")
    for count in (200, 1000):
        repeated = np.broadcast_to(images, (count, *images.shape[1:]))  # a view: the volume takes no memory itself
        frames = FrameSequence(repeated, robust_intensity(images))
        seed = Seed(index=0, labels=labels[0], objects=frozenset({1}))
        settings = PropagationConfig(end_after=None, feature_cache_bytes=CACHE_BYTES)  # its budget for flow
        propagator = Propagator(network, settings=settings, features=FeatureCache(CACHE_BYTES))
        with resident_memory() as memory:
            started = perf_counter()
            visited = sum(1 for _ in propagator.propagate(frames, [seed], image_key=count))
        growth[count] = memory.growth_mib
        print(f"  {visited:5} slices: {memory.growth_mib:6.0f} MiB, {perf_counter() - started:6.1f} s")
    print(f"  growth from 200 to 1,000 slices: {growth[1000] - growth[200]:.0f} MiB")


def main() -> None:
    """Run the parts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="paths,small,correction,length", help="comma-separated (default: all)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="weights of the bundled network")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="makes the weights of the xmem preset")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real labelled cases")
    options = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    parts: dict[str, Callable[[], None]] = {
        "paths": lambda: measure_paths(options.recipe),
        "small": lambda: measure_small(options.weights, options.data),
        "correction": lambda: measure_correction(options.weights),
        "length": lambda: measure_length(options.weights),
    }
    for part in options.parts.split(","):
        parts[part]()


if __name__ == "__main__":
    main()
