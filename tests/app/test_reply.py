"""What a reply says of every slice, for made-up results."""

import json

import numpy as np
import pytest

from lib.infers.marks import Marks
from lib.infers.reply import reply_params, slice_lists
from lib.infers.seeds import SeedPlan
from lib.infers.segmentation import Segmentation
from tests.app.test_next_slice import volume

CONFIDENCE = {"liver": {2: 0.8123, 3: 1.0, 4: 0.7, 5: 0.4444}}
PRESENCE = {"liver": {2: 0.9, 3: 1.0, 4: 0.6667, 5: 0.3}}


@pytest.fixture
def result() -> Segmentation:
    """An object on slices 2 to 4 of eight; slice 5 was computed and found empty."""
    labels = np.zeros((6, 7, 8), dtype=np.uint8)
    labels[1:4, 1:4, 2:5] = 3
    return Segmentation(
        labels=labels,
        axis=2,
        marks=[Marks(name="liver", object_id=3)],
        plan=SeedPlan(axis=2),
        confidence=CONFIDENCE,
        presence=PRESENCE,
        seconds={},
        warnings=[],
    )


def test_both_numbers_are_given_for_every_computed_slice_and_survive_json(result):
    imos = json.loads(
        json.dumps(reply_params(result, volume(shape=(6, 7, 8)), is_video=False, network={}, adapter={}, device="cpu"))
    )["imos"]
    assert imos["slices"] == {
        "liver": {"first": 2, "confidence": [0.81, 1.0, 0.7, 0.44], "presence": [0.9, 1.0, 0.67, 0.3]}
    }
    assert imos["confidence"] == {"liver": {"2": 0.8123, "3": 1.0, "4": 0.7}}
    assert imos["extent"] == {"liver": [2, 4]}


def test_slices_that_were_not_computed_are_null():
    assert slice_lists({4: 1.0, 6: 0.5}, {4: 1.0, 6: 0.25}) == {
        "first": 4,
        "confidence": [1.0, None, 0.5],
        "presence": [1.0, None, 0.25],
    }
    assert slice_lists({}, {}) == {"first": 0, "confidence": [], "presence": []}
