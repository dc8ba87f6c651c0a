"""What every kind of video hands out: frames, one at a time, and where their pixels lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.generic]  # (H, W) grey, or (H, W, 3) red, green, blue of 8 bits
LEAST_GAP_MM = 1.0  # between two frames of a video, which have no distance


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSource:
    """An opened video. Its frames are decoded while they are taken, so that only one is in memory."""

    name: str  # of the file or folder, for sentences
    height: int
    width: int
    colour: bool
    dtype: np.dtype[np.generic]  # of a grey value, or of one of the three colours: those are uint8
    announced: int  # frames that the header promises
    row_mm: float = 1.0  # between rows
    column_mm: float = 1.0  # between columns
    gap_mm: float | None = None  # between frames; None: a video
    frames: Iterator[Frame]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.height * self.width * self.dtype.itemsize * (3 if self.colour else 1)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between columns, rows and frames: the axes of the volume. Frames are never closer than pixels.

        A single click touches one slice along each axis, and the coarsest one is then taken for that of the frames.
        """
        gap = max(LEAST_GAP_MM, self.row_mm, self.column_mm) if self.gap_mm is None else self.gap_mm
        return self.column_mm, self.row_mm, gap
