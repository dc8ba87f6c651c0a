"""Whether a candidate may serve: a paired comparison with what serves now, on images that neither learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RESAMPLINGS = 1000
INTERVAL = (2.5, 97.5)  # percentiles of the resampled mean difference


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One label of one image, carried before and after."""

    image: str
    label: str
    before: float  # J&F, 0 to 1
    after: float


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """How much worse a candidate may be."""

    overall: float = 0.0  # J&F, in the mean over all pairs
    per_label: float = 0.02  # J&F, in the mean over one label's images
    known_looks: float = 0.02  # J on random sequences: what the network could do before


@dataclass(frozen=True, kw_only=True)
class Change:
    """Means over pairs, and what the difference may be by chance."""

    before: float
    after: float
    low: float  # of the 95 % interval of after - before
    high: float
    pairs: int

    @property
    def difference(self) -> float:
        """After - before."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says."""

    passes: bool
    reasons: tuple[str, ...]  # sentences; the first says whether it passes
    overall: Change | None  # None: nothing could be measured
    labels: Mapping[str, Change]
    known_looks: tuple[float, float] | None  # J before and after; None: not measured

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def judge(pairs: Sequence[Pair], *, known_looks: tuple[float, float] | None, rules: GateRules) -> Verdict:
    """Pass only who is not worse overall, for no label beyond the margin, and has forgotten nothing."""
    if not pairs:
        sentence = "It stays a candidate: no accepted label could be measured (each needs two slices or more)."
        return Verdict(passes=False, reasons=(sentence,), overall=None, labels={}, known_looks=known_looks)
    overall = change_of(pairs)
    by_label = {
        label: change_of([pair for pair in pairs if pair.label == label])
        for label in sorted({pair.label for pair in pairs})
    }
    faults = []
    if overall.difference < -rules.overall:
        faults.append(f"overall J&F fell from {overall.before:.3f} to {overall.after:.3f}")
    for label, change in by_label.items():
        if change.difference < -rules.per_label:
            faults.append(f"{label} fell from {change.before:.3f} to {change.after:.3f}")
    if known_looks is not None and known_looks[1] - known_looks[0] < -rules.known_looks:
        faults.append(f"J on random sequences fell from {known_looks[0]:.3f} to {known_looks[1]:.3f}")
    first = (
        f"It stays a candidate: {'; '.join(faults)}."
        if faults
        else f"It passes: overall J&F went from {overall.before:.3f} to {overall.after:.3f}, "
        f"no label fell by more than {rules.per_label:g}."
    )
    return Verdict(passes=not faults, reasons=(first,), overall=overall, labels=by_label, known_looks=known_looks)


def change_of(pairs: Sequence[Pair]) -> Change:
    """Means and the interval of their difference, by resampling the images."""
    images = sorted({pair.image for pair in pairs})
    sums = np.array([sum(pair.after - pair.before for pair in pairs if pair.image == image) for image in images])
    counts = np.array([sum(pair.image == image for pair in pairs) for image in images])
    drawn = np.random.default_rng(0).integers(len(images), size=(RESAMPLINGS, len(images)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), INTERVAL)
    return Change(
        before=float(np.mean([pair.before for pair in pairs])),
        after=float(np.mean([pair.after for pair in pairs])),
        low=float(low),
        high=float(high),
        pairs=len(pairs),
    )
