"""A bright disc that moves over a textured ground, as videos of every kind that the server must read."""

import cv2
import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

HEIGHT, WIDTH, FRAMES = 72, 96, 12  # three numbers that cannot be mistaken for one another
SEED_FRAME = 4
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"  # class of multi-frame ultrasound images


def disc(frame):
    """Where the disc is on one frame, (H, W) bool: it goes right and down, and grows."""
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    return (column - centre(frame)[0]) ** 2 + (row - centre(frame)[1]) ** 2 <= (13 + frame / 4) ** 2


def centre(frame):
    """Column and row of the disc's centre."""
    return 32 + 2 * frame, 28 + frame


def colour_frames():
    """The video, (T, H, W, 3) uint8, red, green, blue: a pink disc on a green ground."""
    noise = np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH, 1))
    ground = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)[..., None] * 80
    frames = [
        np.where(disc(index)[..., None], (220, 120, 140), np.array((60, 110, 70)) + ground) for index in range(FRAMES)
    ]
    return np.clip(frames, 0, 255).astype(np.uint8)


def grey_frames():
    """The same video without colour, (T, H, W) uint8."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour_frames()])


def truth():
    """Where the disc is, on the grid of the volume (columns, rows, frames)."""
    return volume_of(np.stack([disc(index) for index in range(FRAMES)]))


def volume_of(frames):
    """Frames (T, H, W, ...) as the volume (W, H, T, ...) that the server makes of them."""
    return np.swapaxes(frames, 0, 2)


def write_png_folder(folder, frames):
    """Frames as files whose names count without leading zeros."""
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"frame{index + 1}.png"), frame[..., ::-1] if frame.ndim == 3 else frame)


def write_movie(path, frames, codec="mp4v"):
    """Frames as a film; what its compression loses is little."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, frames.shape[2:0:-1])
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


def write_dicom(path, frames, syntax=ExplicitVRLittleEndian, **elements):
    """Frames (T, H, W) or (T, H, W, 3), or the bytes of each one as they are stored, as a multi-frame DICOM."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, ULTRASOUND
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = ULTRASOUND, meta.MediaStorageSOPInstanceUID, "US"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = HEIGHT, WIDTH, len(frames)
    colour = isinstance(frames, np.ndarray) and frames.ndim == 4
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    dataset.BitsAllocated = dataset.BitsStored = 8 * (frames.dtype.itemsize if isinstance(frames, np.ndarray) else 1)
    dataset.PixelRepresentation, dataset.PlanarConfiguration = 0, 0
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    stored = [frame.tobytes() if isinstance(frame, np.ndarray) else frame for frame in frames]
    dataset.PixelData = encapsulate(stored) if meta.TransferSyntaxUID.is_encapsulated else b"".join(stored)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    dataset["PixelData"].is_undefined_length = meta.TransferSyntaxUID.is_encapsulated
    dataset.is_little_endian, dataset.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    dataset.save_as(path, write_like_original=False)


def write_colour_nifti(path, frames):
    """A 3-D volume of colours, as NIfTI stores them."""
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours = np.ascontiguousarray(volume_of(frames)).view(kind)[..., 0]
    nibabel.save(nibabel.Nifti1Image(colours, np.diag([-1.0, -1, 1, 1])), path)


def write_colour_nrrd(path, frames):
    """A 3-D volume of colours, as ITK stores them."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(frames, isVector=True), str(path))
