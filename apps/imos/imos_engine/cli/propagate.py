"""`imos propagate`: annotated slices in, a label volume out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imos_engine.cli.carrying import carry, seeds_from
from imos_engine.cli.inputs import add_network_options, load_propagator, read_labels
from imos_engine.sequence import choose_slice_axis, frames_along, volume_from_frames
from imos_engine.volume_file import WRITTEN_SUFFIXES, read_volume, write_labels

DESCRIPTION = """\
Carry the annotated slices of a volume or video through all its slices.

Every slice with a non-zero seed is annotated and comes back exactly as it is. A label that an annotated slice lacks is
carried past it, unless --slices names that slice: then what it lacks (everything, on an empty slice) counts as absent
there. So each label may be painted on a slice of its own. Colour video is a NIfTI of type RGB24.

Prints one line of JSON with the seconds spent; progress goes to the standard error stream.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos propagate`."""
    parser = commands.add_parser(
        "propagate",
        help="carry annotated slices through a volume",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    required = parser.add_argument_group("files")
    required.add_argument("--image", type=Path, required=True, metavar="FILE", help="NIfTI, NRRD or MetaImage volume")
    required.add_argument("--seeds", type=Path, required=True, metavar="FILE", help="labels on the image's grid")
    required.add_argument("--out", type=Path, required=True, metavar="FILE", help="label volume to write, same grid")
    seeds = parser.add_argument_group("seeds")
    seeds.add_argument(
        "--slices", type=slice_numbers, default=(), metavar="3,17", help="slices that are annotated completely, from 0"
    )
    seeds.add_argument(
        "--axis",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="array axis that counts the slices (default: auto, the one along which the seeds are planar)",
    )
    add_network_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos propagate`."""
    started = perf_counter()
    _check_output(options)
    image = read_volume(options.image)
    seed_labels = read_labels(options.seeds, image)
    axis = choose_slice_axis(seed_labels, image.spacing_mm) if options.axis == "auto" else int(options.axis)
    seeds = seeds_from(frames_along(seed_labels, axis), complete=options.slices)
    propagator = load_propagator(options)
    warn_about(image.array)
    loaded = perf_counter()
    frames = frames_along(image.array, axis)
    labels = volume_from_frames(carry(propagator, frames, seeds, show_progress=not options.quiet), axis)
    carried = perf_counter()
    write_labels(options.out, labels, image)
    finished = perf_counter()
    report = {
        "out": str(options.out),
        "axis": axis,
        "seeds": [seed.index for seed in seeds],
        "voxels": {str(value): int(np.count_nonzero(labels == value)) for value in np.unique(labels) if value},
        "timings": {
            "load": round(loaded - started, 4),
            **propagator.timings.to_dict(),
            "save": round(finished - carried, 4),
            "total": round(finished - started, 4),
        },
    }
    print(json.dumps(report))


def slice_numbers(text: str) -> tuple[int, ...]:
    """`3,17` as (3, 17)."""
    try:
        return tuple(sorted({int(number) for number in text.split(",") if number.strip()}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of slice numbers such as 3,17") from error


def warn_about(image: NDArray[Any]) -> None:
    """Say on the standard error stream what is odd about an image that can be used nevertheless."""
    finite = image[np.isfinite(image)]
    if finite.size < image.size:
        print(f"warning: {image.size - finite.size} values are not finite and count as darkest", file=sys.stderr)
    if not finite.size or finite.min() == finite.max():
        print("warning: every voxel has the same value, so nothing guides the masks", file=sys.stderr)


def _check_output(options: argparse.Namespace) -> None:
    """Refuse, before any work, an output that could not be written or would replace an input."""
    out = options.out
    if not out.name.endswith(WRITTEN_SUFFIXES):
        raise ValueError(f"{out.name} is no name we write; end it in {', '.join(WRITTEN_SUFFIXES)}")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {out.absolute().parent}; create it, or choose another --out")
    for name in ("image", "seeds"):
        if out.resolve() == getattr(options, name).resolve():
            raise ValueError(f"--out would replace --{name} ({out}); choose another name")
