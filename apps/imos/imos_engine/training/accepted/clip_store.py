"""Accepted volumes as arrays on disk, from which any process cuts clips without reading them whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.bank import write_json
from imos_engine.intensity import Intensity, automatic_intensity

ABOUT, IMAGES, LABELS, CHANGED = "about.json", "images.npy", "labels.npy", "changed.npy"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredVolume:
    """One accepted volume, opened."""

    images: NDArray[np.float16]  # (I, J, K) or (I, J, K, 3), 0 to 1 within the window; a map of the file
    labels: NDArray[np.uint8]  # (I, J, K)
    changed: NDArray[np.bool_] | None  # (I, J, K)
    axis: int
    axes: tuple[int, ...]
    intensity: Intensity  # of `images`: what normalises them as propagation does
    weight: float  # how often its clips are drawn, against other volumes'


def store_volume(volume: AcceptedVolume, folder: Path, *, weight: float = 1.0) -> None:
    """Write a volume into a folder of its own, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shown = automatic_intensity(volume.images, volume.labels > 0)
    images = np.empty(volume.images.shape, dtype=np.float16)
    for index in range(len(images)):  # slab by slab: the float32 in between would be four times the volume
        images[index] = shown.apply(volume.images[index]) * shown.deviation + shown.mean
    np.save(folder / IMAGES, images)
    np.save(folder / LABELS, volume.labels)
    if volume.changed is not None:
        np.save(folder / CHANGED, volume.changed)
    about = {"axis": volume.axis, "axes": list(volume.axes), "mean": shown.mean, "deviation": shown.deviation}
    write_json(folder / ABOUT, {**about, "weight": weight})


def open_volume(folder: Path) -> StoredVolume:
    """Open what `store_volume` wrote; voxels are read when they are looked at."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    changed = folder / CHANGED
    return StoredVolume(
        images=np.load(folder / IMAGES, mmap_mode="r"),
        labels=np.load(folder / LABELS, mmap_mode="r"),
        changed=np.load(changed, mmap_mode="r") if changed.is_file() else None,
        axis=about["axis"],
        axes=tuple(about["axes"]),
        intensity=Intensity(low=0.0, high=1.0, mean=about["mean"], deviation=about["deviation"]),
        weight=about["weight"],
    )
