"""What several subcommands read: images, label volumes, weights, devices."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imos_engine.config import Precision, PropagationConfig
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import Propagator
from imos_engine.volume_file import GRID_TOLERANCE, Volume, VolumeFileError, grid_distance, read_volume

DEFAULT_WEIGHTS = Path(__file__).resolve().parents[2] / "model" / "imos_small.safetensors"  # in the app's folder
LARGEST_LABEL = 65535


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose the network and how it runs."""
    group = parser.add_argument_group("network")
    group.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or .pth (default: those bundled)")
    group.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default)"
    )
    group.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help=f"side of the square in which a slice is seen (default: {PropagationConfig().size}); 0 keeps its own size",
    )
    group.add_argument(
        "--precision",
        choices=["auto", *(precision.value for precision in Precision)],
        default="auto",
        help="number format of the network (default: auto, bfloat16 where the device computes it fast)",
    )


def load_propagator(options: argparse.Namespace) -> Propagator:
    """The propagator that `add_network_options` describe."""
    device = find_device(options.device)
    return Propagator(load_network(_weights(options.weights)), settings=propagation_settings(options), device=device)


def propagation_settings(options: argparse.Namespace) -> PropagationConfig:
    """How frames are carried, as `add_network_options` describe it."""
    settings: dict[str, Any] = {}
    if options.precision != "auto":
        settings["precision"] = Precision(options.precision)
    if options.size is not None:
        settings["size"] = options.size or None
    return PropagationConfig(**settings)


def find_device(name: str) -> torch.device:
    """The device of this name, made sure that it exists here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no kind of device named {name!r}; give cpu, cuda, cuda:1 or auto") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {name} here, only {_devices_here()}; give one of them or auto")
    return device


def read_labels(path: Path, like: Volume) -> NDArray[np.integer[Any]]:
    """A label volume (I, J, K) on the grid of `like`.

    Raises:
        VolumeFileError: it lies on another grid, or holds anything but whole numbers from 0 to LARGEST_LABEL.
    """
    volume = read_volume(path)
    if volume.array.shape != like.shape:
        raise VolumeFileError(
            f"{path.name} has shape {volume.array.shape} and the image {like.shape}; resample it onto the image's grid"
        )
    distance = grid_distance(volume, like)
    if distance > GRID_TOLERANCE:
        raise VolumeFileError(
            f"{path.name} has the image's shape but lies up to {distance:.3g} voxels away from it (another origin, "
            "spacing or orientation); save it with the image's affine"
        )
    return _whole_numbers(volume.array, path.name)


def _whole_numbers(values: NDArray[Any], name: str) -> NDArray[np.integer[Any]]:
    if values.dtype.kind not in "iub" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise VolumeFileError(f"{name} holds fractions; a label volume needs whole numbers, 0 for background")
    if values.size and (values.min() < 0 or values.max() > LARGEST_LABEL):
        raise VolumeFileError(
            f"{name} holds labels from {values.min():g} to {values.max():g}; use 0 to {LARGEST_LABEL}"
        )
    return values.astype(np.uint16)


def _weights(chosen: Path | None) -> Path:
    if chosen is None and not DEFAULT_WEIGHTS.is_file():
        raise ValueError(
            f"the bundled weights are missing (expected at {DEFAULT_WEIGHTS}); run from the app's folder, "
            "or give --weights FILE"
        )
    return chosen or DEFAULT_WEIGHTS


def _devices_here() -> str:
    return ", ".join(["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))])
