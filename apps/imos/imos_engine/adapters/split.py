"""Which accepted image trains and which one validates: decided once, by content, for good.

An image that ever validated never trains, and one that trained never validates: only so does a number measured today
mean the same for a version that is trained next month.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from imos_engine.adapters.bank import AdapterError, write_json

REGISTRY = "split.json"
FEWEST_VALIDATION = 2  # images; with fewer, numbers come from cross-validation and are provisional


class Role(Enum):
    """What an image is for."""

    TRAINING = "training"
    VALIDATION = "validation"


def validation_target(images: int) -> int:
    """How many of this many images should validate: none of two, two of five, later a quarter."""
    if images < 5:
        return int(images >= 3)
    return max(FEWEST_VALIDATION, round(images / 4))


class SplitRegistry:
    """The roles given so far, in a file of one adapter."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the adapter's.

        Raises:
            AdapterError: the file is there and cannot be read.
        """
        self._path = folder / REGISTRY
        self._images: dict[str, tuple[Role, tuple[str, ...]]] = {}
        if self._path.is_file():
            try:
                entries = json.loads(self._path.read_text(encoding="utf-8"))["images"]
                self._images = {
                    sha256: (Role(entry["role"]), tuple(entry["labels"])) for sha256, entry in entries.items()
                }
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                raise AdapterError(
                    f"{self._path} cannot be read ({error}); it says which images validate, so restore it from a backup"
                ) from error

    def role(self, sha256: str) -> Role:
        """The role of an image that was assigned one."""
        return self._images[sha256][0]

    def assign(self, images: Mapping[str, tuple[str, ...]]) -> None:
        """Give every image that is new here its role, and write the file.

        Args:
            images: names of the labels on each image, by the hash of its content.
        """
        for sha256 in sorted(images):
            labels = tuple(sorted(images[sha256]))
            known = self._images.get(sha256)
            role = self._role_of_new(labels) if known is None else known[0]
            self._images[sha256] = role, labels
        entries = {
            sha256: {"role": role.value, "labels": list(labels)} for sha256, (role, labels) in self._images.items()
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, {"images": entries})

    def _role_of_new(self, labels: tuple[str, ...]) -> Role:
        """Validation where it is short of images, or of one of these labels, and every label is trained already."""
        trained, validated = self._counts(Role.TRAINING), self._counts(Role.VALIDATION)
        if not labels or any(trained[label] == 0 for label in labels):
            return Role.TRAINING
        images = len(self._images) + 1
        validating = sum(role is Role.VALIDATION for role, _ in self._images.values())
        short_of_label = any(
            validated[label] < validation_target(trained[label] + validated[label] + 1) for label in labels
        )
        wanted = short_of_label and validating < max(validation_target(images), 1 + images // 3)
        return Role.VALIDATION if images > 2 and wanted else Role.TRAINING

    def _counts(self, role: Role) -> Counter[str]:
        return Counter(label for given, labels in self._images.values() if given is role for label in labels)
