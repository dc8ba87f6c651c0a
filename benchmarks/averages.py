"""Means in which every modality weighs the same, and how far they may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Groups = Mapping[str, Sequence[float]]  # modality -> one value per label; nan where nothing could be measured

CONFIDENCE = 0.95
RESAMPLES = 5000
RANDOM_SEED = 20261121


def mean(values: Sequence[float]) -> float:
    """Mean of what could be measured; nan if nothing could."""
    measured = [value for value in values if not np.isnan(value)]
    return float(np.mean(measured)) if measured else float("nan")


def mean_over_groups(groups: Groups) -> float:
    """Mean of the groups' means, each group weighing the same."""
    return mean([mean(values) for values in groups.values()])


def interval(groups: Groups) -> tuple[float, float]:
    """Bootstrap interval of `mean_over_groups` at CONFIDENCE (percentiles).

    Labels are drawn anew, with replacement, within each group. A group with one label has nothing to draw from and
    stays as it is, so that its uncertainty is not in the interval; nan if that is so for all groups.
    """
    samples = [np.array([value for value in values if not np.isnan(value)]) for values in groups.values()]
    fixed = [float(sample[0]) for sample in samples if len(sample) == 1]
    drawn = [sample for sample in samples if len(sample) > 1]
    if not drawn:
        return float("nan"), float("nan")

    def statistic(*redrawn: NDArray[np.floating], axis: int = -1) -> NDArray[np.floating]:
        return (sum(sample.mean(axis=axis) for sample in redrawn) + sum(fixed)) / (len(drawn) + len(fixed))

    result = stats.bootstrap(
        drawn,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(RANDOM_SEED),
    )
    low, high = result.confidence_interval
    return float(low), float(high)
