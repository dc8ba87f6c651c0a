"""How good an object's mask on one frame will turn out to be, judged without the truth.

What both passes left behind is reduced to a few numbers (`Evidence`), and a logistic model turns them into the Dice
that masks with such evidence had on synthetic clips (`Calibration`, fitted by `imos calibrate`). It travels in the
header of the weights, since it describes what these weights are able to do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

METADATA_KEY = "imos_calibration"  # entry of the weights' header that holds a calibration as JSON
POSSIBLE = 0.05  # pixels of a lower probability are surely not the object
LARGEST_CHANGE = 2.0  # natural logarithm of a ratio of areas; more is no worse
INTERCEPT = "intercept"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for or against one object's mask on one frame."""

    empty: bool  # no pixel of the frame went to the object
    inside: float  # mean probability inside the mask, 0 to 1; 0 where it is empty
    entropy: float  # mean binary entropy of the pixels that may be the object, 0 to 1 bit
    peak: float  # highest probability on the frame, 0 to 1; 0 where the object is hidden
    presence: float  # estimate that the object is in the frame at all, 0 to 1
    agreement: float | None  # soft overlap of both passes, 0 to 1; None where one pass alone counts
    distance: int  # frames to the nearest one on which the object was annotated
    change: float  # absolute natural logarithm of its area over that on the neighbouring frame

    @staticmethod
    def gone(distance: int) -> Evidence:
        """Nothing was looked for, because the object had been absent for too long."""
        return Evidence(
            empty=True, inside=0.0, entropy=0.0, peak=0.0, presence=0.0, agreement=None, distance=distance, change=0.0
        )

    @property
    def features(self) -> dict[str, float]:
        """By name, larger is better throughout, except `passes`; a mask and an absence are judged by different ones."""
        if self.empty:
            return {"absence": 1 - self.presence, "silence": 1 - self.peak}
        return {
            "sureness": self.inside,
            "crispness": 1 - self.entropy,
            "presence": self.presence,
            "passes": 0.0 if self.agreement is None else 1.0,
            "agreement": self.agreement or 0.0,
            "nearness": -math.log1p(self.distance),
            "steadiness": -min(self.change, LARGEST_CHANGE),
        }


EMPTY_FEATURES = tuple(Evidence.gone(1).features)
MASK_FEATURES = ("sureness", "crispness", "presence", "passes", "agreement", "nearness", "steadiness")
UNSIGNED = frozenset({INTERCEPT, "passes"})  # coefficients that may be negative

# For weights that bring none of their own: set by hand, so that a perfect mask and a sure absence come near to 1, and a
# vague mask on which the passes disagree near to 0.
DEFAULT_MASK = {INTERCEPT: -4.0, "sureness": 4.0, "crispness": 2.0, "presence": 1.0, "passes": -2.0} | {
    "agreement": 3.0,
    "nearness": 0.3,
    "steadiness": 1.0,
}
DEFAULT_EMPTY = {INTERCEPT: -4.0, "absence": 5.0, "silence": 2.0}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From evidence to the expected Dice, by coefficients per feature; and when to hide an object."""

    mask: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MASK))
    empty: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_EMPTY))
    presence_threshold: float = 0.5  # an object whose estimated presence is lower is not shown

    def __post_init__(self) -> None:
        """Refuse coefficients of other features, or that punish what is good, and thresholds beyond 0 to 1."""
        for name, features in (("mask", MASK_FEATURES), ("empty", EMPTY_FEATURES)):
            coefficients = getattr(self, name)
            if set(coefficients) != {INTERCEPT, *features}:
                raise ValueError(
                    f"a calibration's {name!r} needs coefficients of intercept, {', '.join(features)}; "
                    f"got {', '.join(sorted(coefficients)) or 'none'}"
                )
            wrong = [
                key
                for key, value in coefficients.items()
                if not math.isfinite(value) or (value < 0 and key not in UNSIGNED)
            ]
            if wrong:
                raise ValueError(f"coefficients must be finite and at least 0, got {wrong[0]}={coefficients[wrong[0]]}")
        if not 0 <= self.presence_threshold <= 1:
            raise ValueError(f"presence_threshold must lie in 0 to 1, got {self.presence_threshold}")

    def confidence(self, evidence: Evidence) -> float:
        """Expected Dice of the object's mask on this frame, 0 to 1; where the mask is empty, that it should be."""
        coefficients = self.empty if evidence.empty else self.mask
        score = coefficients[INTERCEPT]
        score += sum(coefficients[name] * value for name, value in evidence.features.items())
        return 0.5 + 0.5 * math.tanh(score / 2)  # the logistic function, without overflow

    def to_metadata(self) -> dict[str, str]:
        """The entry of a weights file; `from_metadata` inverts it."""
        plain = {"mask": dict(self.mask), "empty": dict(self.empty), "presence_threshold": self.presence_threshold}
        return {METADATA_KEY: json.dumps(plain)}

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> Calibration:
        """The calibration that came with the weights; the default one where none did.

        Raises:
            ValueError: the entry cannot be read, or is of another version.
        """
        text = metadata.get(METADATA_KEY)
        if text is None:
            return Calibration()
        try:
            plain = json.loads(text)
            return Calibration(
                mask={str(name): float(value) for name, value in plain["mask"].items()},
                empty={str(name): float(value) for name, value in plain["empty"].items()},
                presence_threshold=float(plain["presence_threshold"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"the calibration in the weights' header cannot be used ({error}); write it anew with `imos calibrate`"
            ) from error


def inside(probabilities: Tensor, mask: Tensor) -> float:
    """Mean probability inside a mask, 0 where it is empty. Shapes: (h, w), the mask boolean."""
    return float(probabilities[mask].mean()) if mask.any() else 0.0


def entropy(probabilities: Tensor) -> float:
    """Mean binary entropy in bits of the pixels above POSSIBLE, 0 to 1; 0 where there are none. Shapes: (h, w)."""
    possible = probabilities[probabilities > POSSIBLE].clamp(1e-6, 1 - 1e-6)
    if not len(possible):
        return 0.0
    bits = -(possible * possible.log2() + (1 - possible) * (1 - possible).log2())
    return float(bits.mean())


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Soft intersection over union of two passes, 0 to 1 per object; 1 when neither sees the object.

    Shapes: first and second (K, h, w). Returns: (K,).
    """
    overlap = torch.minimum(first, second).flatten(1).sum(1)
    union = torch.maximum(first, second).flatten(1).sum(1)
    return torch.where(union < 0.5, torch.ones_like(union), overlap / union.clamp(min=1e-6))


def change_of(areas: Tensor, before: Tensor) -> Tensor:
    """Absolute natural logarithm of each area over the one before, at least 0; one pixel is added to both.

    Shapes: both (K,), in frame pixels.
    """
    return ((areas + 1) / (before + 1)).log().abs()
