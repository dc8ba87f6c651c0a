"""From stored values to what the network sees: a window, then zero mean and unit variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROBUST_PERCENTILES = (0.5, 99.5)
SAMPLED_VALUES = 2_000_000  # enough for stable percentiles, few enough to be instant on any volume
SMALLEST_DEVIATION = 0.05  # of a window's width; a nearly constant image is not blown up to noise


@dataclass(frozen=True, kw_only=True)
class Window:
    """A range of Hounsfield units that is shown from black to white."""

    level: float
    width: float

    def __post_init__(self) -> None:
        """Refuse a window without width."""
        if not self.width > 0:
            raise ValueError(f"a window's width must be above 0, got {self.width}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value shown."""
        return self.level - self.width / 2, self.level + self.width / 2


# The usual display windows of radiology workstations, in Hounsfield units.
WINDOW_PRESETS: dict[str, Window] = {
    "abdomen": Window(level=50, width=400),
    "lung": Window(level=-600, width=1500),
    "mediastinum": Window(level=40, width=400),
    "brain": Window(level=40, width=80),
    "bone": Window(level=400, width=1800),
    "liver": Window(level=80, width=180),
}


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """Clip to [low, high], scale to [0, 1], subtract `mean`, divide by `deviation` (both of the scaled values)."""

    low: float
    high: float
    mean: float
    deviation: float

    def apply(self, images: Array) -> npt.NDArray[np.float32]:
        """Normalise any array of stored values; what is not a number becomes the lowest value."""
        values = np.asarray(images, dtype=np.float32)
        scaled = (np.nan_to_num(values, nan=self.low, posinf=self.high, neginf=self.low) - self.low) / (
            self.high - self.low
        )
        normalised: npt.NDArray[np.float32] = (np.clip(scaled, 0, 1) - np.float32(self.mean)) / np.float32(
            self.deviation
        )
        return normalised


def bounded_intensity(images: Array, low: float, high: float) -> Intensity:
    """Normalisation that shows `low` to `high`; an empty range is widened by one unit."""
    if not high > low:
        high = low + 1.0
    sample = _sample(images)
    scaled = np.clip((sample - low) / (high - low), 0, 1) if sample.size else np.zeros(1, dtype=np.float32)
    return Intensity(
        low=low, high=high, mean=float(scaled.mean()), deviation=max(float(scaled.std()), SMALLEST_DEVIATION)
    )


def robust_intensity(images: Array) -> Intensity:
    """Normalisation that shows all but the darkest and brightest half percent."""
    sample = _sample(images)
    if not sample.size:
        return bounded_intensity(images, 0.0, 1.0)
    low, high = np.percentile(sample, ROBUST_PERCENTILES)
    return bounded_intensity(images, float(low), float(high))


def window_intensity(images: Array, window: Window) -> Intensity:
    """Normalisation that shows one window of Hounsfield units."""
    return bounded_intensity(images, *window.bounds)


def looks_like_ct(images: Array) -> bool:
    """Whether stored values are Hounsfield units: grey, signed, with air far below water and little below air."""
    if images.ndim == 4:
        return False
    sample = _sample(images)
    if not sample.size:
        return False
    low, high = np.percentile(sample, (1, 99.9))
    return bool(-3500 < low < -200 and 50 < high < 5000)


def window_under(images: Array, annotated: Array) -> Window:
    """The preset that shows annotated tissue and its surroundings with the most contrast.

    Shapes: images and annotated (any equal shape); `annotated` is true where the user marked an object.
    The narrowest of the abdomen, bone and lung presets that does not clip the middle half of the marked values.
    """
    marked = np.asarray(images[annotated], dtype=np.float32)
    marked = marked[np.isfinite(marked)]
    if not marked.size:
        return WINDOW_PRESETS["abdomen"]
    lower, upper = np.percentile(marked, (25, 75))
    for name in ("abdomen", "lung", "bone"):
        low, high = WINDOW_PRESETS[name].bounds
        if low <= lower and upper <= high:
            return WINDOW_PRESETS[name]
    return Window(level=float(lower + upper) / 2, width=max(4 * float(upper - lower), 400.0))


def automatic_intensity(images: Array, annotated: Array) -> Intensity:
    """A window chosen under the annotation for CT, robust percentiles for everything else."""
    if looks_like_ct(images):
        return window_intensity(images, window_under(images, annotated))
    return robust_intensity(images)


def _sample(images: Array) -> npt.NDArray[np.float32]:
    """At most about SAMPLED_VALUES finite values, evenly spread, always the same for the same image."""
    flat = images.reshape(-1) if images.flags.c_contiguous else images.ravel(order="K")
    values = np.asarray(flat[:: max(1, flat.size // SAMPLED_VALUES)], dtype=np.float32)
    finite: npt.NDArray[np.float32] = values[np.isfinite(values)]
    return finite
