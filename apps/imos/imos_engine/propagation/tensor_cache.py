"""Tensors kept for the next request on the same image, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import Generic, Protocol, TypeVar

from torch import Tensor


class Held(Protocol):
    """What can be kept."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """All that takes memory."""
        ...


H = TypeVar("H", bound=Held)


class TensorCache(Generic[H]):
    """Tensors by key, least recently used dropped first once they exceed a budget of bytes; safe across threads."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._held: OrderedDict[Hashable, H] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes held now, at most the budget."""
        return self._bytes

    def __contains__(self, key: Hashable) -> bool:
        """Whether anything is held under `key`; does not count as use."""
        return key in self._held

    def get(self, key: Hashable) -> H | None:
        """What is held under `key`, now the most recently used, or None."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, held: H) -> None:
        """Keep something, dropping others to stay within the budget; what alone exceeds it is not kept."""
        size = _bytes_of(held)
        with self._lock:
            if key in self._held or size > self._budget:
                return
            while self._bytes + size > self._budget:
                self._bytes -= _bytes_of(self._held.popitem(last=False)[1])
            self._held[key] = held
            self._bytes += size


def _bytes_of(held: Held) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in held.tensors)
