"""How pixels move from one frame to the next: dense optical flow, and masks carried along it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

JUMP = 8.0  # pixels of common motion from which the search also begins there: it finds little that is further away
SHOWN_DEVIATIONS = 2.5  # normalised values beyond these are black and white to the flow


def grey_bytes(frames: Tensor) -> npt.NDArray[np.uint8]:
    """Normalised frames as the flow sees them: (n, 3, h, w) -> (n, h, w)."""
    grey = frames.float().mean(1).clamp(-SHOWN_DEVIATIONS, SHOWN_DEVIATIONS)
    scaled = (grey + SHOWN_DEVIATIONS) * (255 / (2 * SHOWN_DEVIATIONS))
    pixels: npt.NDArray[np.uint8] = scaled.round().byte().cpu().numpy()
    return pixels


class FlowEstimator:
    """Dense inverse search (Kroeger et al., ECCV 2016, arXiv 1603.03590), as OpenCV implements it.

    Where the picture as a whole may have jumped (a camera that was moved), a second search begins from the jump.
    """

    def __init__(self, *, finest_scale: int = 1) -> None:
        """`finest_scale`: 0 searches at full resolution, each further one at half of it."""
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setFinestScale(finest_scale)

    def origin(self, current: npt.NDArray[np.uint8], neighbour: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Where each pixel of `current` lies in `neighbour`, as a displacement in pixels.

        Shapes: both (h, w). Returns: (2, h, w), along x first, then along y.
        """
        if min(current.shape) < 16:  # too few pixels for a patch to be searched
            return np.zeros((2, *current.shape), dtype=np.float32)
        found = self._searched(current, neighbour, (0.0, 0.0))
        jump = _common_motion(current, neighbour)
        if max(map(abs, jump)) >= JUMP:
            candidates = found, self._searched(current, neighbour, jump)
            found = min(candidates, key=lambda flow: _unexplained(current, neighbour, flow))
        return np.ascontiguousarray(np.moveaxis(found, 2, 0))

    def _searched(
        self, current: npt.NDArray[np.uint8], neighbour: npt.NDArray[np.uint8], start: tuple[float, float]
    ) -> npt.NDArray[np.float32]:
        """The flow (h, w, 2) found from one displacement of all pixels on."""
        flow = np.full((*current.shape, 2), start, dtype=np.float32)
        return np.asarray(self._search.calc(current, neighbour, flow), dtype=np.float32)


def _common_motion(current: npt.NDArray[np.uint8], neighbour: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """By how many pixels, along x and y, the picture moved as a whole, by phase correlation at half resolution."""
    height, width = (length // 2 for length in current.shape)
    here, there = (cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in (current, neighbour))
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(here.astype(np.float32), there.astype(np.float32), window)
    return 2 * x, 2 * y


def _unexplained(
    current: npt.NDArray[np.uint8], neighbour: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]
) -> float:
    """Mean difference in brightness that a flow (h, w, 2) leaves."""
    way = torch.from_numpy(flow).movedim(2, 0)[None]
    moved = follow(torch.from_numpy(neighbour)[None, None], way)[0, 0]
    return float((moved - torch.from_numpy(current)).abs().mean())


def follow(planes: Tensor, flow: Tensor) -> Tensor:
    """Planes of the neighbouring frame, moved to where the flow says that they are now.

    Shapes: planes (B, C, h, w); flow (B, 2, H, W): pixel (y, x) of the answer is taken from (y, x) + flow of `planes`.
    Returns: (B, C, H, W) in float32. What comes from outside `planes` is their border.
    """
    height, width = planes.shape[-2:]
    rows = torch.arange(flow.shape[2], device=flow.device, dtype=torch.float32)[:, None]
    columns = torch.arange(flow.shape[3], device=flow.device, dtype=torch.float32)[None]
    x = (2 * (columns + flow[:, 0].float()) + 1) / width - 1
    y = (2 * (rows + flow[:, 1].float()) + 1) / height - 1
    grid = torch.stack((x, y), dim=-1)
    moved: Tensor = F.grid_sample(planes.float(), grid, padding_mode="border", align_corners=False)
    return moved
