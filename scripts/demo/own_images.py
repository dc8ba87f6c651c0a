"""The demo on the user's own images: `make demo STUDIES=folder [SEEDS=file]`. The folder itself is never written to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imos_engine.metrics import largest_frame
from imos_engine.sequence import choose_slice_axis, frames_along
from imos_engine.volume_file import ITK_SUFFIXES, NIFTI_SUFFIXES, VolumeFileError, read_volume
from scripts.demo.case import Case, Labels, Request, Structure

SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
MOST_STRUCTURES = 3  # the montage stays readable

WHAT_TO_GIVE = """\
The demo needs to know what to follow. Give it one of these:
  labels   the folder holds labels/final/NAME for an image NAME (where MONAI Label keeps accepted labels):
           the demo keeps one slice of each label, has the rest found again, and scores it
  a seed   make demo STUDIES={folder} SEEDS=marks.nii.gz
           a label map on the grid of one image, in which one or a few slices are painted (by any program)
Or paint by hand: make serve STUDIES={folder}, then connect 3D Slicer (README.md says how)."""


class NothingToDoError(ValueError):
    """The folder has no image that the demo can ask about; the message says what to give."""


def find_case(folder: Path, studies: Path, *, seeds: Path | None) -> Case:
    """Link one of the user's images into `studies`, and find what to follow in it.

    Raises:
        NothingToDoError: there is no image, or no label and no seed for one.
    """
    images = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    if not images:
        raise NothingToDoError(f"{folder} holds no image; the demo reads {', '.join(SUFFIXES)}")
    if seeds is not None:
        return _seeded(images, seeds, studies)
    for image in images:
        label = folder / "labels" / "final" / image.name
        if label.is_file():
            return _labelled(image, label, studies)
    raise NothingToDoError(WHAT_TO_GIVE.format(folder=folder))


def _seeded(images: list[Path], seeds: Path, studies: Path) -> Case:
    """The first image on whose grid the seeds lie."""
    marks = read_volume(seeds)
    for image in images:
        volume = read_volume(image)
        if volume.shape == marks.shape and np.allclose(volume.affine, marks.affine, atol=1e-3):
            values = _largest_labels(marks.array)
            structures = tuple(Structure(name=f"label {value}", label=value) for value in values)
            kept = np.where(np.isin(marks.array, values), marks.array, 0)
            axis = choose_slice_axis(kept, volume.spacing_mm)
            return _case(image, kept, structures, studies, axis=axis)
    raise NothingToDoError(
        f"{seeds.name} has shape {marks.shape}, and no image lies on its grid; paint on one of the images"
    )


def _labelled(image: Path, label: Path, studies: Path) -> Case:
    """One slice of every label, where it is largest, as the seed; the whole label as truth."""
    volume, truth = read_volume(image), read_volume(label)
    if volume.shape != truth.shape:
        raise VolumeFileError(f"{label} has shape {truth.shape}, its image {volume.shape}; they must share a grid")
    values = _largest_labels(truth.array)
    # A whole label is planar along no axis: images are read slice by slice along their coarsest one.
    axis = choose_slice_axis(np.zeros((1, 1, 1)), volume.spacing_mm)
    structures = tuple(Structure(name=f"label {value}", label=value, truth=truth.array == value) for value in values)
    marks = np.zeros(volume.shape, np.uint16)
    for structure in structures:
        mask = frames_along(structure.truth, axis)
        seed = largest_frame(mask)
        frames_along(marks, axis)[seed][mask[seed]] = structure.label
    return _case(image, marks, structures, studies, axis=axis)


def _case(image: Path, marks: Labels, structures: tuple[Structure, ...], studies: Path, *, axis: int) -> Case:
    linked = studies / image.name
    linked.symlink_to(image.resolve())
    params = {
        "label_info": [{"name": structure.name, "id": structure.label} for structure in structures],
        "slice_axis": str(axis),
        "seed_mode": "mask",
    }
    request = Request(model="imos", marks=marks, params=params)
    return Case(image=linked, axis=axis, structures=structures, request=request)


def _largest_labels(labels: Labels) -> list[int]:
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    if values.size == 0:
        raise NothingToDoError("the label file is empty; paint the structure on at least one slice")
    return sorted(int(value) for value in values[np.argsort(-counts)][:MOST_STRUCTURES])
