"""How good a mask three strokes, three clicks or a box give on one slice, on every labelled case of a folder.

Prompts are simulated inside the true mask of the slice where a label is largest (its largest piece). The classical
solver and the network see the same marks.

    python -m benchmarks.prompts FOLDER
    python -m benchmarks.prompts FOLDER --solver classical
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cases import find_cases, measurable_labels, read_case
from benchmarks.simulated_prompts import KINDS, as_served, largest_component
from imos_engine.metrics import dice
from imos_engine.prompts import SliceSolver, classical_solver, learned_solver

WEIGHTS = Path(__file__).resolve().parents[1] / "apps" / "imos" / "model" / "imos_prompts.safetensors"


@dataclass(frozen=True, kw_only=True)
class PromptResult:
    """One label, prompted in one way, several times."""

    case: str
    modality: str
    label: str
    pixels: int
    kind: str
    dice: float  # mean over repetitions
    seconds: float  # of the slowest


def measure_folder(folder: Path, *, kinds: Sequence[str], repetitions: int, solve: SliceSolver) -> list[PromptResult]:
    results = []
    for case in map(read_case, find_cases(folder)):
        frames = np.moveaxis(case.image, case.slice_axis, 0)
        for label in measurable_labels(case)[0]:
            seed = case.seed_frame(label)
            truth = largest_component(case.label_mask(label)[seed])
            for kind in kinds:
                scores, seconds = [], []
                for repetition in range(repetitions):
                    name = f"{case.name}/{label}/{kind}/{repetition}"
                    prompts = KINDS[kind](truth, np.random.default_rng(zlib.crc32(name.encode())))
                    image = as_served(frames, seed, prompts)
                    start = time.perf_counter()
                    mask = solve(image, prompts) > 0.5
                    seconds.append(time.perf_counter() - start)
                    scores.append(dice(mask, truth))
                results.append(
                    PromptResult(
                        case=case.name,
                        modality=case.modality,
                        label=case.label_names[label],
                        pixels=int(truth.sum()),
                        kind=kind,
                        dice=float(np.mean(scores)),
                        seconds=max(seconds),
                    )
                )
    return results


def _print_table(results: Sequence[PromptResult], kinds: Sequence[str]) -> None:
    print(f"{'Dice of the slice':22}{'':28}{'px':>6}" + "".join(f"{kind:>15}" for kind in kinds))
    rows = dict.fromkeys((result.case, result.label, result.pixels) for result in results)
    scores = {(result.case, result.label, result.kind): result.dice for result in results}
    for case, label, pixels in rows:
        values = "".join(f"{scores[case, label, kind]:15.3f}" for kind in kinds)
        print(f"{case[:21]:22}{label[:27]:28}{pixels:>6}{values}")
    print()
    modalities = dict.fromkeys(result.modality for result in results)
    for modality in modalities:
        print(f"{'mean ' + modality:56}" + _means([r for r in results if r.modality == modality], kinds))
    print(f"{'mean of all labels':56}" + _means(results, kinds))
    slowest = [max(r.seconds for r in results if r.kind == kind) for kind in kinds]
    print(f"{'slowest, seconds':56}" + "".join(f"{seconds:15.2f}" for seconds in slowest))


def _means(results: Sequence[PromptResult], kinds: Sequence[str]) -> str:
    return "".join(f"{np.mean([r.dice for r in results if r.kind == kind]):15.3f}" for kind in kinds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompts", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    parser.add_argument("--repetitions", type=int, default=1, help="prompts drawn per label and kind (default: 1)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of prompt, separated by commas (default: all)")
    parser.add_argument("--solver", choices=["both", "learned", "classical"], default="both", help="default: both")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="of the prompt network (default: those bundled)")
    options = parser.parse_args(arguments)
    kinds = options.kinds.split(",")
    for name in ("classical", "learned"):
        if options.solver in (name, "both"):
            solve = learned_solver(options.weights) if name == "learned" else classical_solver
            print(f"{name}:")
            results = measure_folder(options.folder, kinds=kinds, repetitions=options.repetitions, solve=solve)
            _print_table(results, kinds)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
