"""Memory elements: what one remembered pixel consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Elements:
    """N remembered pixels, one a row. K counts objects; `valid` says which objects a row knows anything of."""

    key: Tensor  # (N, Ck) float32
    shrinkage: Tensor  # (N, 1) float32, at least 1
    selection: Tensor  # (N, Ck) float32, 0 to 1
    values: Tensor  # (N, K, Cv), in the network's precision
    valid: Tensor  # (N, K) bool
    usage: Tensor  # (N,) float32, affinity received so far
    lifetime: Tensor  # (N,) float32, reads survived so far

    def __len__(self) -> int:
        """Number of elements."""
        return int(self.key.shape[0])

    def __getitem__(self, rows: slice | Tensor) -> Elements:
        """The elements in `rows` (views for a slice: usage counted on them is counted on the whole)."""
        return Elements(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @property
    def rate(self) -> Tensor:
        """How much each element is used: affinity received per read, (N,)."""
        return self.usage / self.lifetime


def join(parts: Sequence[Elements]) -> Elements:
    """All elements of all parts, in order."""
    return Elements(
        **{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Elements)}
    )
