from __future__ import annotations

import time

import pytest

from imos_engine.propagation import Timings


def test_time_spent_in_a_stage_is_added_to_that_stage_only():
    timings = Timings()
    for _ in range(2):
        with timings.measure("decode"):
            time.sleep(0.01)
    assert timings.decode >= 0.02
    assert timings.read == timings.encode == timings.write == timings.merge == 0


def test_time_counts_also_when_the_stage_fails():
    timings = Timings()
    with pytest.raises(RuntimeError, match="broken"), timings.measure("read"):
        raise RuntimeError("broken")
    assert timings.read > 0


def test_timings_become_plain_numbers():
    described = Timings(encode=1.23456, frames=7, cached_frames=3).to_dict()
    assert described == {
        "encode": 1.2346, "read": 0, "decode": 0, "flow": 0, "refine": 0, "write": 0, "merge": 0, "total": 0,
        "frames": 7, "cached_frames": 3,
    }  # fmt: skip
