from __future__ import annotations

import numpy as np
import pytest

from benchmarks.averages import interval, mean, mean_over_groups


def test_every_group_weighs_the_same_and_what_was_not_measured_nothing():
    assert mean_over_groups({"CT": [1.0, 0.0, 0.5, float("nan")], "MRI": [0.9]}) == pytest.approx(0.7)
    assert np.isnan(mean([float("nan")]))


def test_an_interval_is_that_of_redrawing_labels_within_their_modality():
    random = np.random.default_rng(0)
    groups = {"CT": random.uniform(size=12).tolist(), "MRI": (random.uniform(size=4) / 2).tolist(), "US": [0.8]}
    redrawn = [
        np.mean([np.mean(random.choice(values, len(values))) for values in groups.values()]) for _ in range(4000)
    ]
    assert interval(groups) == pytest.approx(np.percentile(redrawn, (2.5, 97.5)), abs=0.015)


def test_the_same_values_give_the_same_interval_around_their_mean():
    groups = {"CT": [0.2, 0.4, 0.9], "MRI": [0.5, 0.6]}
    low, high = interval(groups)
    assert (low, high) == interval(groups)
    assert low < mean_over_groups(groups) < high


def test_one_label_has_no_interval():
    assert np.isnan(interval({"US": [0.8]})).all()
