"""A film in one file, decoded by OpenCV's FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from imos_engine.volume_file import VolumeFileError
from lib.frames.source import Frame, FrameSource

MOVIE_SUFFIXES = (".mp4", ".mov", ".avi")
LEAST_DECODED = 0.9  # part of the announced frames: containers round their count, damaged files lose far more
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # with which MP4 and QuickTime begin
REMEDY = "encode it anew, for instance with `ffmpeg -i IN -c:v libx264 OUT.mp4`"


def open_movie(path: Path) -> FrameSource:
    """Open a film; it is turned upright where it says how it was held.

    Raises:
        VolumeFileError: it is no film, or none that can be decoded.
    """
    if not _is_container(path):
        raise VolumeFileError(f"{path.name} is no MP4, QuickTime or AVI file; {REMEDY}")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    decoded, first = capture.read()
    if not decoded:
        capture.release()
        raise VolumeFileError(f"{path.name} holds no frame that can be decoded; {REMEDY}")
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return FrameSource(
        name=path.name,
        height=first.shape[0],
        width=first.shape[1],
        colour=True,
        dtype=np.dtype(np.uint8),
        announced=max(announced, 0),
        frames=_decoded(path.name, capture, first, announced),
    )


def _is_container(path: Path) -> bool:
    """Look at the first bytes: FFmpeg itself would also follow a play list to other files of this machine."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in BOXES or (head[:4] == b"RIFF" and head[8:] == b"AVI ")


def _decoded(name: str, capture: cv2.VideoCapture, first: Frame, announced: int) -> Iterator[Frame]:
    count, frame = 0, first
    try:
        decoded = True
        while decoded:
            count += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            decoded, frame = capture.read()
    finally:
        capture.release()
    if count < LEAST_DECODED * announced:
        raise VolumeFileError(
            f"only {count} of the {announced} frames of {name} can be decoded: it is damaged or cut short; copy it "
            f"anew, or {REMEDY}"
        )
