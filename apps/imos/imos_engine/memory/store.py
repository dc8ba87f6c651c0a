"""The store that a propagation writes frames into and reads from: permanent, working and long-term elements."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from imos_engine.config import MemoryConfig
from imos_engine.memory.attention import SparseAffinity, gather_memory, memory_side, query_side, top_k_affinity
from imos_engine.memory.consolidation import NEWBORN_LIFETIME, consolidate, forget
from imos_engine.memory.elements import Elements, join


class MemoryStore:
    """What has been seen, bounded however long the sequence is (arXiv 2207.07115, section 3.3).

    Permanent frames (seeds) stay as they are. Of the other frames the most recent stay whole; older ones live on as
    long-term prototypes. Objects may enter at different frames: each reads only elements that know it.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._permanent: list[Elements] = []
        self._recent: list[Elements] = []
        self._long_term: list[Elements] = []  # none, or one block
        self._all: Elements | None = None  # every element in one block, rebuilt by a write
        self._side = torch.empty(0)  # memory's half of the similarity, (2*Ck + 1, N)
        self._groups: list[_Group] = []

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of elements in working memory (permanent ones included) and in long-term memory."""
        return sum(map(len, (*self._permanent, *self._recent))), sum(map(len, self._long_term))

    def write(
        self,
        key: Tensor,
        shrinkage: Tensor,
        selection: Tensor,
        values: Tensor,
        *,
        known: Tensor,
        permanent: bool = False,
    ) -> None:
        """Remember one frame.

        Shapes: key and selection (Ck, P), shrinkage (1, P), values (K, Cv, P), known (K,) bool: the objects that this
        frame tells about, whatever `values` holds for the others.
        """
        pixels = key.shape[1]
        frame = Elements(
            key=key.mT,
            shrinkage=shrinkage.mT,
            selection=selection.mT,
            values=values.permute(2, 0, 1),
            valid=known.expand(pixels, -1),
            usage=key.new_zeros(pixels),
            lifetime=key.new_full((pixels,), NEWBORN_LIFETIME),
        )
        self._keep_counts()
        (self._permanent if permanent else self._recent).append(frame)
        self._limit()
        self._rebuild()

    def read(self, query_key: Tensor, selection: Tensor) -> Tensor:
        """What memory says about every pixel of a frame.

        Shapes: query_key and selection (Ck, P). Returns: (K, Cv, P); zeros for an object that no element knows.
        """
        memory = self._all
        if memory is None:
            raise ValueError("memory is empty: write a frame before reading")
        scores = query_side(query_key, selection).mT @ self._side  # (P, N)
        objects, value_channels = memory.values.shape[1:]
        if len(self._groups) == 1 and self._groups[0].everywhere and len(self._groups[0].channels) == objects:
            sparse = top_k_affinity(scores, top_k=self._config.read_top_k)
            self._count(sparse, share=1.0)
            return gather_memory(sparse, memory.values.flatten(1)).mT.unflatten(0, (objects, value_channels))
        readout = memory.values.new_zeros(objects, value_channels, scores.shape[0])
        for group in self._groups:
            sparse = top_k_affinity(scores[:, group.rows], top_k=self._config.read_top_k)
            sparse = SparseAffinity(sparse.weights, group.rows[sparse.indices])
            self._count(sparse, share=len(group.channels) / objects)
            blended = gather_memory(sparse, memory.values[:, group.channels].flatten(1))
            readout[group.channels] = blended.mT.unflatten(0, (len(group.channels), value_channels))
        return readout

    def _count(self, sparse: SparseAffinity, *, share: float) -> None:
        """Add one read to usage and lifetime; `share` is the part of the objects that this read was for."""
        if self._all is None or self._config.max_long_term == 0:
            return
        self._all.usage.index_add_(0, sparse.indices.flatten(), sparse.weights.flatten() * share)
        self._all.lifetime.add_(share)

    def _keep_counts(self) -> None:
        """Take usage and lifetime from the joined block back into its parts."""
        if self._all is None:
            return
        start = 0
        for block in (self._permanent, self._recent, self._long_term):
            for position, part in enumerate(block):
                block[position] = self._all[slice(start, start + len(part))]
                start += len(part)

    def _limit(self) -> None:
        """Consolidate when working memory is full: all but the most recent frames become prototypes."""
        config = self._config
        # The first frame (a seed) counts as one working frame, so that the limits are those of the paper.
        if len(self._recent) < config.max_working_frames - 1:
            return
        keep = config.min_working_frames - 1
        if config.max_long_term == 0:
            self._recent = self._recent[-keep:]
            return
        candidates = join(self._recent[: len(self._recent) - keep])
        prototypes = consolidate(candidates, prototypes=config.prototypes)
        self._recent = self._recent[len(self._recent) - keep :]
        if self._long_term:
            kept = forget(self._long_term[0], keep=config.max_long_term - len(prototypes))
            prototypes = join([kept, prototypes])
        self._long_term = [prototypes]

    def _rebuild(self) -> None:
        self._all = join([*self._permanent, *self._recent, *self._long_term])
        self._side = memory_side(self._all.key.mT, self._all.shrinkage.mT)
        self._groups = _groups_by_validity(self._all.valid)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Objects that are known by the same elements, and so share one affinity."""

    rows: Tensor  # (n,) positions of the elements that know them
    everywhere: bool  # whether every element knows them
    channels: list[int]  # the objects


def _groups_by_validity(valid: Tensor) -> list[_Group]:
    """Shapes: valid (N, K) bool. Objects that no element knows are in no group."""
    patterns, membership = valid.unique(dim=1, return_inverse=True)
    groups = []
    for position in range(patterns.shape[1]):
        rows = patterns[:, position].nonzero()[:, 0]
        if len(rows):
            channels = (membership == position).nonzero()[:, 0].tolist()
            groups.append(_Group(rows=rows, everywhere=len(rows) == len(valid), channels=channels))
    return groups
