"""A real MRI that may be shown, as a scanner would store it: the demo's brain in coronal slices, with its truth.

The lateral ventricles of the MNI152 template (nilearn's copy, see scripts/demo/sample.py), in slices of 3 mm,
numbered from the back to the front: against OHIF's order, which runs to the back.
"""

from dataclasses import dataclass

import nibabel
import numpy as np
from scipy import ndimage

from scripts.demo.sample import write_sample
from tests.ohif.acquisitions import Acquisition

THICK = 3  # voxels of 1 mm in one slice
BEFORE, COUNT = 2, 24  # slices in front of the ventricles, and in all: their horns in front and their bodies


@dataclass(frozen=True, kw_only=True)
class Brain:
    volume: np.ndarray  # (I, J, K) to the left, downwards, to the back
    truth: np.ndarray  # bool, the same grid
    acquisition: Acquisition


def coronal_brain(folder):
    """The template and its ventricles, in slices."""
    case = write_sample(folder)
    stored = nibabel.load(case.image)
    assert nibabel.aff2axcodes(stored.affine) == ("R", "A", "S")
    volume, share = (_coronal(array) for array in (np.asarray(stored.dataobj), case.structures[0].truth.astype(float)))
    truth = share > 0.5
    first = np.flatnonzero(truth.any(axis=(0, 1)))[0] - BEFORE
    kept = slice(first, first + COUNT)
    return Brain(
        volume=volume[..., kept].round().astype(np.int16),
        truth=truth[..., kept],
        acquisition=Acquisition(plane="coronal", descending=True, modality="MR", spacing_mm=(1.0, 1.0, float(THICK))),
    )


def points_inside(mask, count):
    """Points (i, j) that a person would click: the deepest ones, each far from the last. Shapes: mask (I, J)."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    points = []
    for _ in range(count):
        i, j = np.unravel_index(depth.argmax(), depth.shape)
        if depth[i, j] == 0:
            break
        points.append((int(i), int(j)))
        rows, columns = np.indices(mask.shape)
        depth = np.where(np.hypot(rows - i, columns - j) < 15, 0, depth)
    return points


def points_around(mask, count):
    """Points (i, j) just outside, on all sides."""
    away = ndimage.distance_transform_edt(~mask)
    return points_inside((away > 4) & (away < 16), count)


def _coronal(array):
    """From (R, A, S) to (left, down, back), slices averaged."""
    turned = np.transpose(array, (0, 2, 1))[::-1, ::-1, ::-1]
    count = turned.shape[2] // THICK
    return turned[..., : count * THICK].reshape(*turned.shape[:2], count, THICK).mean(3)
