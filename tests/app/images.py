"""Small volumes with a bright ball in them, and files of every kind that the server must read or refuse."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

SHAPE = (40, 48, 12)
CENTRE = (22, 17, 6)  # in the middle of nothing: every axis and direction can be told from the others
RADII = (8.0, 6.0, 4.0)
FOUND = 0.5  # Dice above which a mask is this object's and no other's: how good prompts are is measured elsewhere


def ball(shape=SHAPE, centre=CENTRE, radii=RADII):
    """Where the ball is, (I, J, K) bool."""
    grid = np.indices(shape, dtype=float)
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
    return distance <= 1


def picture(shape=SHAPE, *, seed=0, inside=160, outside=60):
    """An image of the ball, (I, J, K) int16, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    return (np.where(ball(shape), inside, outside) + noise).astype(np.int16)


BALL = ball()
SEED_SLICE = CENTRE[2]
CLICKS = {"foreground": [list(CENTRE), [25, 19, SEED_SLICE]], "background": [[2, 2, SEED_SLICE], [37, 45, SEED_SLICE]]}


def rotated_affine(degrees, axis, spacing=(0.8, 1.1, 2.5), origin=(-30.0, 12.0, 40.0)):
    """Voxel to patient (RAS, mm), turned about one patient axis."""
    first, second = (other for other in range(3) if other != axis)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    turn[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


# Grids whose voxel order disagrees with the patient's axes, each in another way.
AFFINES = {
    "plain": np.diag([0.8, 1.1, 2.5, 1.0]),
    "flipped": np.diag([-0.8, -1.1, 2.5, 1.0]),
    "mirrored": np.diag([0.8, -1.1, -2.5, 1.0]),
    "permuted": np.array([[0, 0, 2.5, 5], [0.8, 0, 0, -7], [0, -1.1, 0, 9], [0, 0, 0, 1.0]]),
    "rotated": rotated_affine(25, 2),
    "oblique": rotated_affine(-40, 0) @ np.diag([-1, 1, 1, 1.0]),
}


def save_nifti(path, array, affine=AFFINES["plain"]):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def save_itk(path, array, affine=AFFINES["plain"]):
    """Store an array (I, J, K) as NRRD or MetaImage on the grid of a RAS affine."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(spacing)
    image.SetDirection((lps[:3, :3] / spacing).ravel())
    image.SetOrigin(lps[:3, 3])
    SimpleITK.WriteImage(image, str(path))


def write_studies(folder: Path):
    """Every image that the tests ask for, by its id."""
    for name, affine in AFFINES.items():
        save_nifti(folder / f"{name}.nii.gz", picture(), affine)
    save_itk(folder / "nrrd.nrrd", picture(), AFFINES["oblique"])
    save_itk(folder / "mha.mha", picture(), AFFINES["permuted"])
    save_nifti(folder / "ct.nii.gz", picture(inside=60, outside=-900))
    save_nifti(folder / "long.nii.gz", picture((64, 64, 3000)))
    holes = picture().astype(np.float32)
    holes[:4] = np.nan
    save_nifti(folder / "nan.nii.gz", holes)
    save_nifti(folder / "constant.nii.gz", np.full(SHAPE, 7, np.int16))
    save_nifti(folder / "flat.nii.gz", picture()[:, :, 0])
    save_nifti(folder / "single_slice.nii.gz", picture()[:, :, :1])
    save_nifti(folder / "series.nii.gz", np.stack([picture()] * 2, axis=-1))
    (folder / "broken.nii.gz").write_bytes(b"this is no image")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((8, 8), np.uint8)), str(folder / "photo.png"))
    save_empty(folder / "empty.nii.gz")


def save_empty(path):
    """A volume without a voxel: a header that says so."""
    image = nibabel.Nifti1Image(np.zeros((4, 4, 1), np.uint8), np.eye(4))
    image.header["dim"][3] = 0
    header = image.header.copy()
    header["dim"][1:4] = 4, 4, 0
    import gzip

    with gzip.open(path, "wb") as file:
        file.write(header.binaryblock + b"\0\0\0\0")


def on_slices(mask, slices, value=1):
    """A label map (I, J, K) that holds `mask` on some slices only."""
    labels = np.zeros(mask.shape, np.uint8)
    labels[..., slices] = mask[..., slices] * value
    return labels
