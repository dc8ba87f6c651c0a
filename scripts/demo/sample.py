"""A real study on a fresh machine: the MNI152 T1 MRI, with truth from its tissue maps, both inside the nilearn package.

The image is the average of the T1 scans of 152 healthy adults in one space (ICBM 152 nonlinear symmetric 2009a, 1 mm),
without the skull. Each tissue map says how much of a voxel is grey or white matter. The lateral ventricles follow from
them: neither grey nor white, well inside the brain, in one piece with the body of the left one. They are followed from
back to front, where they part, bend and meet again, past fluid of the same brightness that is not theirs.

Nothing is downloaded. Licences: nilearn BSD-3; the template (c) 1993-2009 Louis Collins, McConnell Brain Imaging
Centre, Montreal Neurological Institute, McGill University: free to use, copy, modify and distribute with this notice.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from benchmarks.simulated_prompts import strokes_inside
from imos_engine.sequence import frames_along, slices_touched
from scripts.demo.case import Case, Labels, Mask, Request, Structure

PARTS = {part: f"mni_icbm152_{part}_tal_nlin_sym_09a_converted.nii.gz" for part in ("t1", "gm", "wm")}
HALF = 128  # of 255: half of a voxel
IN_LEFT_VENTRICLE_MM = (-20.0, -35.0, 20.0)  # MNI: right, anterior, superior
DEPTH_MM = 12  # cerebrospinal fluid nearer to the surface than this lies in the furrows
CORONAL = 1
IDS = {"foreground_scribbles": 2, "background_scribbles": 3}  # in the file that is sent
STROKES_INSIDE = 3  # on every large piece of the structure
STROKES_OUTSIDE = 6
PERSON = 7  # seed of the simulated person who scribbles


def write_sample(studies: Path) -> Case:
    """Put the MRI into the study folder and scribble on the slice in the middle of the structure."""
    image = studies / "mni152_t1.nii.gz"
    with as_file(files("nilearn.datasets") / "data") as folder:
        shutil.copyfile(folder / PARTS["t1"], image)
        maps = {part: nibabel.load(folder / name) for part, name in PARTS.items()}
    ventricles = Structure(name="lateral ventricles", label=1, truth=_lateral_ventricles(maps))
    held = slices_touched(ventricles.truth, CORONAL)
    middle = held[len(held) // 2]
    return Case(
        image=image,
        axis=CORONAL,
        structures=(ventricles,),
        request=scribbled(ventricles, [middle]),
        with_slices=lambda slices: scribbled(ventricles, [middle], painted=slices),
    )


def scribbled(structure: Structure, slices: Sequence[int], *, painted: Sequence[int] = ()) -> Request:
    """What 3D Slicer sends after a few strokes and painted slices: every segment of the scene in one label map."""
    marks = np.zeros(structure.truth.shape, np.uint8)
    for index in painted:
        frames_along(marks, CORONAL)[index][frames_along(structure.truth, CORONAL)[index]] = structure.label
    for index in set(slices) - set(painted):
        inside, outside = _strokes(frames_along(structure.truth, CORONAL)[index])
        frames_along(marks, CORONAL)[index][inside] = IDS["foreground_scribbles"]
        frames_along(marks, CORONAL)[index][outside] = IDS["background_scribbles"]
    names = {structure.name: structure.label, **IDS}
    return Request(
        model="imos_scribbles",
        marks=marks,
        params={
            "label_info": [{"name": name, "id": number} for name, number in names.items()],
            "selected_label_name": structure.name,
            "roi": [],
        },
    )


def _strokes(mask: Mask) -> tuple[Mask, Mask]:
    """Strokes of a simulated person who sees the true (H, W) outline: inside it, and around it."""
    person = np.random.default_rng(PERSON)
    pieces, count = ndimage.label(mask)
    large = [piece for piece in range(1, count + 1) if np.count_nonzero(pieces == piece) > 0.1 * mask.sum()]
    inside = np.logical_or.reduce([strokes_inside(pieces == piece, STROKES_INSIDE, person) for piece in large])
    away = ndimage.distance_transform_edt(~mask)
    outside = strokes_inside((away > 2) & (away < 15), STROKES_OUTSIDE, person)
    return inside, outside


def _lateral_ventricles(maps: dict[str, nibabel.Nifti1Image]) -> Mask:
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(_array(maps["t1"]) > 30, iterations=3))
    tissue = _array(maps["gm"]).astype(int) + _array(maps["wm"])
    fluid, _ = ndimage.label(ndimage.binary_erosion(brain, iterations=DEPTH_MM) & (tissue < HALF))
    to_voxel = np.linalg.inv(maps["t1"].affine)
    point = tuple(np.round(to_voxel @ (*IN_LEFT_VENTRICLE_MM, 1.0)).astype(int)[:3])
    if not fluid[point]:
        raise ValueError(f"voxel {point} of the template holds no fluid; the pinned nilearn carries another template")
    return fluid == fluid[point]


def _array(image: nibabel.Nifti1Image) -> Labels:
    return np.asanyarray(image.dataobj)
