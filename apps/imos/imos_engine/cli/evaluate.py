"""`imos evaluate`: J, F, J&F, Dice and leak per label against a label volume."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imos_engine.cli.carrying import carry, seeds_from
from imos_engine.cli.inputs import add_network_options, load_propagator, read_labels
from imos_engine.metrics import SequenceScore, largest_frame, score_sequence
from imos_engine.sequence import choose_slice_axis, frames_along
from imos_engine.volume_file import Volume, VolumeFileError, read_volume

Labels = NDArray[np.integer[Any]]

MEANS = ("j", "f", "jf", "dice", "leak")
DESCRIPTION = """\
Score masks against the truth, label by label.

With --prediction, score a label volume that exists. With --image, first carry each label, alone, from its true mask on
one slice, then score it: how well would this image have been annotated from a single slice?

J (overlap) and F (boundary) are means over the slices, other than the seed, where truth or prediction is not empty;
Dice and leak (predicted voxels beyond the true extent, per true voxel) are over the whole volume.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="score masks against the truth",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="label volume that is right")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prediction", type=Path, metavar="FILE", help="label volume to score, on the same grid")
    what.add_argument("--image", type=Path, metavar="FILE", help="image to carry the labels through, on the same grid")
    parser.add_argument(
        "--slice",
        type=int,
        metavar="N",
        help="the seed slice, from 0, which earns nothing (default: each label's largest)",
    )
    parser.add_argument("--labels", metavar="1,5", help="only these labels (default: all)")
    parser.add_argument(
        "--axis",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="array axis that counts the slices (default: auto, the one with the coarsest spacing)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    add_network_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos evaluate`."""
    grid = read_volume(options.image or options.truth)
    stored_truth = read_labels(options.truth, grid)
    axis = _slice_axis(options.axis, grid)
    truth = frames_along(stored_truth, axis)
    labels = _chosen_labels(options.labels, truth)
    seeds = {label: _seed_slice(truth, label, options.slice) for label in labels}
    if options.prediction:
        predicted = frames_along(read_labels(options.prediction, grid), axis)
        masks: Iterable[tuple[int, NDArray[np.bool_]]] = ((label, predicted == label) for label in labels)
    else:
        masks = _carried(options, frames_along(grid.array, axis), truth, seeds)
    scores = {label: score_sequence(mask, truth == label, seeds=[seeds[label]]) for label, mask in masks}
    print_scores = _print_json if options.json else _print_table
    print_scores(scores, seeds)


def _carried(
    options: argparse.Namespace, images: NDArray[Any], truth: Labels, seeds: Mapping[int, int]
) -> Iterable[tuple[int, NDArray[np.bool_]]]:
    """Each label carried alone from its true mask on its seed slice."""
    propagator = load_propagator(options)
    for label, index in seeds.items():
        annotated = np.zeros_like(truth)
        annotated[index] = np.where(truth[index] == label, truth[index], 0)
        carried = carry(propagator, images, seeds_from(annotated), show_progress=not options.quiet)
        yield label, carried == label


def _slice_axis(choice: str, grid: Volume) -> int:
    if choice != "auto":
        return int(choice)
    return choose_slice_axis(
        np.zeros(grid.shape, dtype=np.uint8), grid.spacing_mm
    )  # nothing is annotated: spacing decides


def _chosen_labels(choice: str | None, truth: Labels) -> list[int]:
    present = [int(label) for label in np.unique(truth) if label]
    if not present:
        raise VolumeFileError("the truth holds no label; there is nothing to score")
    if choice is None:
        return present
    try:
        chosen = sorted({int(label) for label in choice.split(",")})
    except ValueError as error:
        raise ValueError(f"--labels {choice} is no list of labels such as 1,5") from error
    missing = [label for label in chosen if label not in present]
    if missing:
        raise ValueError(f"the truth has no label {missing[0]}; it has {', '.join(map(str, present))}")
    return chosen


def _seed_slice(truth: Labels, label: int, given: int | None) -> int:
    if given is None:
        return largest_frame(truth == label)
    if not 0 <= given < len(truth):
        raise ValueError(f"there is no slice {given}: along this axis slices are 0 to {len(truth) - 1}")
    if not (truth[given] == label).any():
        raise ValueError(f"label {label} is not on slice {given}; give another --slice, or --labels that are on it")
    return given


def _print_table(scores: Mapping[int, SequenceScore], seeds: Mapping[int, int]) -> None:
    print(f"{'label':>6}{'seed':>6}{'slices':>8}{'J':>8}{'F':>8}{'J&F':>8}{'Dice':>8}{'leak':>8}")
    for label, score in scores.items():
        values = (score.j, score.f, score.jf, score.dice, score.leak)
        print(f"{label:>6}{seeds[label]:>6}{score.frames:>8}" + "".join(f"{value:8.3f}" for value in values))
    means = [float(np.nanmean([getattr(score, name) for score in scores.values()])) for name in MEANS]
    print(f"{'mean':>6}{'':14}" + "".join(f"{value:8.3f}" for value in means))


def _print_json(scores: Mapping[int, SequenceScore], seeds: Mapping[int, int]) -> None:
    rows = {
        str(label): {"seed": seeds[label], **_numbers({**asdict(score), "jf": score.jf})}
        for label, score in scores.items()
    }
    print(json.dumps({"labels": rows}))


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows no nan: what could not be measured is null."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}
