"""`imos calibrate`: what confidence means for these weights, written into their header."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from imos_engine.cli.inputs import find_device
from imos_engine.network.checkpoint import add_metadata, load_network

if TYPE_CHECKING:
    from imos_engine.training.calibration import Calibrated

REPORT_KEY = "imos_calibration_report"  # entry of the weights' header with the figures that are printed
DESCRIPTION = """\
Carry seeds through random clips with known truth, and learn from them which evidence goes with which Dice and from
which estimated presence on an object is better shown. Both are written into the header of the weights, whose tensors
stay bit for bit; propagation finds them there.

Prints one line of JSON: the threshold, and how far confidence can be trusted on clips that it was not fitted to
(calibration_error: mean distance from the true Dice; rank_correlation: Spearman's, with the true Dice, of slices that
got a mask).
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos calibrate`."""
    parser = commands.add_parser(
        "calibrate",
        help="learn what confidence means for a file of weights",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help=".safetensors to calibrate")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write (default: into --weights itself)")
    parser.add_argument("--clips", type=int, default=16, help="random clips to carry (default: 16)")
    parser.add_argument("--frames", type=int, default=20, help="frames per clip (default: 20)")
    parser.add_argument("--size", type=int, default=128, metavar="PIXELS", help="side of a frame (default: 128)")
    parser.add_argument("--seed", type=int, default=990_101, help="of the clips (default: 990101)")
    parser.add_argument(
        "--presence-threshold", type=float, metavar="SHARE", help="take this one (default: the best on the clips)"
    )
    parser.add_argument("--picture", type=Path, metavar="PNG", help="reliability diagram to write")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos calibrate`."""
    _check_files(options)
    started = perf_counter()
    device = find_device(options.device)
    network = load_network(options.weights)
    # matplotlib and the generators take seconds to import.
    from imos_engine.training.calibration import CalibrationConfig, calibrate
    from imos_engine.training.reliability import draw_reliability

    config = CalibrationConfig(
        clips=options.clips,
        frames=options.frames,
        size=options.size,
        seed=options.seed,
        presence_threshold=options.presence_threshold,
    )
    found = calibrate(network, config, device=device)
    report = figures(found) | {
        "clips": config.clips, "frames": config.frames, "size": config.size, "seed": config.seed,
    }  # fmt: skip
    entries = {**found.calibration.to_metadata(), REPORT_KEY: json.dumps(report)}
    add_metadata(options.weights, entries, output=options.output)
    if options.picture:
        draw_reliability(found.expected, found.dice, options.picture)
    print(
        json.dumps(
            {"weights": str(options.output or options.weights), **report}
            | {"mask": found.calibration.mask, "empty": found.calibration.empty}
            | {"seconds": round(perf_counter() - started, 1)}
        )
    )


def figures(found: Calibrated) -> dict[str, Any]:
    """What is worth knowing of a calibration, as plain values; null where it cannot be said."""
    from imos_engine.training.reliability import calibration_error, rank_correlation

    shown = found.shown  # rightly empty slices have Dice 1 without being surer than a good mask
    values = {
        "calibration_error": calibration_error(found.expected, found.dice),
        "calibration_error_of_defaults": calibration_error(found.uncalibrated, found.dice),
        "rank_correlation": rank_correlation(found.expected[shown], found.dice[shown]),
        "rank_correlation_of_defaults": rank_correlation(found.uncalibrated[shown], found.dice[shown]),
        "mean_dice": float(np.mean(found.dice)) if len(found.dice) else float("nan"),
    }
    return {
        "slices": len(found.dice),
        "presence_threshold": found.calibration.presence_threshold,
        **{name: None if np.isnan(value) else round(value, 4) for name, value in values.items()},
        "j_by_threshold": {str(key): round(value, 4) for key, value in found.j_by_threshold.items()},
    }


def _check_files(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be read or written."""
    if options.weights.suffix == ".pth":
        raise ValueError(
            f"{options.weights.name} has no header to write into; convert it to .safetensors first (imos fetch does)"
        )
    for name in ("output", "picture"):
        path = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"there is no folder {path.absolute().parent}; create it, or choose another --{name}")
