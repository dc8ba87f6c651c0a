"""A folder of PNG frames, in the order in which a person counts them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from imos_engine.volume_file import VolumeFileError
from lib.frames.source import Frame, FrameSource

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">8sI4sIIBB")  # signature, length, IHDR, width, height, bits, kind of colour
END = b"IEND\xaeB`\x82"
TAIL_BYTES = 1024  # the end mark lies within: some programs append remarks
GREY_KINDS = (0, 4)  # without and with transparency


@dataclass(frozen=True)
class _Kind:
    """What all frames of a sequence must share."""

    width: int
    height: int
    bits: int  # 8 or 16 for a value
    colour: bool

    def __str__(self) -> str:
        return f"{self.width} x {self.height}, {self.bits} bits, {'colour' if self.colour else 'grey'}"


def frame_files(folder: Path) -> list[Path]:
    """The PNG files of a folder, frame 2 before frame 10; hidden ones are left out."""
    names = (path for path in folder.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith("."))
    return sorted(names, key=_counting_order)


def open_png_folder(folder: Path) -> FrameSource:
    """Open a folder of PNG frames.

    Raises:
        VolumeFileError: a frame is damaged, or differs from the first one in size or kind.
    """
    files = frame_files(folder)
    if not files:
        raise VolumeFileError(f"the folder {folder.name} holds no .png; put the frames of one video into it")
    kind = _kind(files[0])
    for path in files[1:]:
        other = _kind(path)
        if other != kind:
            raise VolumeFileError(
                f"the frames of {folder.name} differ: {files[0].name} is {kind}, {path.name} is {other}; a video's "
                "frames have one size and kind, so put others into a folder of their own"
            )
    return FrameSource(
        name=folder.name,
        height=kind.height,
        width=kind.width,
        colour=kind.colour,
        dtype=np.dtype(np.uint16 if kind.bits == 16 and not kind.colour else np.uint8),
        announced=len(files),
        frames=_decoded(files, kind),
    )


def _counting_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Runs of digits as numbers, the rest as text."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.stem)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts], path.name


def _kind(path: Path) -> _Kind:
    with path.open("rb") as file:
        head = file.read(HEADER.size)
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read()
    if len(head) < HEADER.size or not head.startswith(SIGNATURE):
        raise VolumeFileError(f"the frame {path.name} is no PNG image; replace it, or take it out of the folder")
    if END not in tail:
        raise VolumeFileError(f"the frame {path.name} is cut short; copy it anew, or take it out of the folder")
    _, _, _, width, height, bits, colour_kind = HEADER.unpack(head)
    return _Kind(width, height, 16 if bits == 16 else 8, colour_kind not in GREY_KINDS)


def _decoded(files: Sequence[Path], kind: _Kind) -> Iterator[Frame]:
    depth = cv2.IMREAD_ANYDEPTH if kind.bits == 16 and not kind.colour else 0  # colour is brought to 8 bits
    for path in files:
        # Turning by an Exif remark would change the size that the header tells.
        flags = depth | cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_COLOR if kind.colour else cv2.IMREAD_GRAYSCALE)
        try:
            frame = cv2.imread(str(path), flags)
        except cv2.error:
            frame = None  # more pixels than OpenCV decodes
        if frame is None:
            raise VolumeFileError(f"the frame {path.name} cannot be decoded; replace it, or take it out of the folder")
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if kind.colour else frame
