"""A video as a volume: one NIfTI file whose third axis is that of the frames.

The volume's first axis runs along a frame's columns, its second down its rows: voxel [i, j, k] is the pixel in column i
and row j of frame k, as every viewer of images counts. It lies upright in a viewer that shows axial slices.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np

from imos_engine.volume_file import NIFTI_SUFFIXES, RGB24, UNREADABLE, Volume, VolumeFileError, read_volume
from lib.frames.dicom_frames import DICOM_SUFFIX, open_dicom
from lib.frames.movie import MOVIE_SUFFIXES, open_movie
from lib.frames.png_folder import open_png_folder
from lib.frames.source import FrameSource

FRAME_AXIS = 2
MOST_BYTES = 4 * 2**30  # of decoded frames: 690 of 1920 x 1080 in colour, 4,600 of 640 x 480
MOST_FRAMES = 32767  # the side of a NIfTI volume is a 16-bit number
REMARK = b"iMOS: frames along the third axis"  # in the file's header
HEADER_BYTES = 352
READERS: Mapping[str, Callable[[Path], FrameSource]] = {
    DICOM_SUFFIX: open_dicom,
    **dict.fromkeys(MOVIE_SUFFIXES, open_movie),
}


def holds_frames(path: Path) -> bool:
    """Whether a path is a video: a folder, or a file of a kind that holds frames."""
    return path.suffix.lower() in READERS or path.is_dir()


def frame_axis(path: Path) -> int | None:
    """The axis of the frames in an image file, when it is a video or was made of one; else None: any axis will do."""
    if holds_frames(path):
        return FRAME_AXIS
    if not path.name.endswith(NIFTI_SUFFIXES):
        return None
    try:
        header = nibabel.Nifti1Image.from_filename(path).header
    except UNREADABLE:
        return None  # whoever reads the voxels says why
    return FRAME_AXIS if header["descrip"].item() == REMARK else None


def write_frame_volume(source: Path, path: Path) -> None:
    """Decode a video into a NIfTI file, frame by frame.

    Raises:
        VolumeFileError: the video cannot be read, or is too short or too long; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.partial")
    try:
        frames = _opened(source)
        with beside.open("wb") as file:
            count = _write_frames(frames, file)
            file.seek(0)
            file.write(_header(frames, count).binaryblock)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_frame_volume(source: Path) -> Volume:
    """Decode a video that is not kept: the file it passes through has no name any more when this returns.

    Raises:
        VolumeFileError: the video cannot be read, or is too short or too long.
    """
    with tempfile.TemporaryDirectory(prefix="imos_") as folder:
        path = Path(folder, "frames.nii")
        write_frame_volume(source, path)
        return read_volume(path)


def _opened(source: Path) -> FrameSource:
    opener = open_png_folder if source.is_dir() else READERS[source.suffix.lower()]
    try:
        return opener(source)
    except OSError as error:
        raise VolumeFileError(f"{source.name} cannot be read: {error}; check that the server may read it") from error


def _write_frames(source: FrameSource, file: BinaryIO) -> int:
    """Append all frames; returns how many."""
    _refuse_too_long(source, source.announced)
    file.write(bytes(HEADER_BYTES))
    shape = (source.height, source.width, 3) if source.colour else (source.height, source.width)
    count = 0
    for frame in source.frames:
        if frame.shape != shape or frame.dtype != source.dtype:
            raise VolumeFileError(
                f"frame {count} of {source.name} is {frame.shape[1]} x {frame.shape[0]} pixels of {frame.dtype}, the "
                f"first is {source.width} x {source.height} of {source.dtype}; a video's frames have one size and kind"
            )
        count += 1
        _refuse_too_long(source, count)
        file.write(np.ascontiguousarray(frame).data)
    if count < 2:
        raise VolumeFileError(f"{source.name} holds {count} frame; a video has at least two")
    return count


def _refuse_too_long(source: FrameSource, count: int) -> None:
    size = count * source.frame_bytes
    if count > MOST_FRAMES or size > MOST_BYTES:
        most = min(MOST_FRAMES, MOST_BYTES // source.frame_bytes)
        raise VolumeFileError(
            f"{source.name} holds {count} frames of {source.width} x {source.height} pixels or more, "
            f"{size / 2**30:.1f} GiB once decoded; at most {most} such frames are read, so cut it into clips or make "
            "its frames smaller"
        )


def _header(source: FrameSource, count: int) -> nibabel.Nifti1Header:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(RGB24 if source.colour else source.dtype)
    header.set_data_shape((source.width, source.height, count))
    header.set_xyzt_units("mm")
    # To the patient's left, to the back, upwards: how an upright picture lies in an axial view.
    affine = np.diag([*(np.array([-1, -1, 1]) * source.spacing_mm), 1.0])
    header.set_qform(affine, code="scanner")
    header.set_sform(affine, code="scanner")
    header["descrip"] = REMARK
    header["magic"] = b"n+1"
    header["vox_offset"] = HEADER_BYTES
    return header
