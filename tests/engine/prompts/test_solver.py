from __future__ import annotations

import numpy as np
import pytest

from imos_engine.prompts import (
    PromptWeightsError,
    SlicePrompts,
    classical_solver,
    learned_solver,
    segment_slice,
    without_overlap,
)
from tests.engine.prompts.slices import slice_with_organs


def test_every_pixel_goes_to_the_likeliest_object_above_one_half():
    one = np.array([[0.9, 0.6, 0.2, 0.5]], np.float32)
    other = np.array([[0.8, 0.7, 0.4, 0.5]], np.float32)
    assert without_overlap([one, other]).tolist() == [[1, 2, 0, 0]]
    assert without_overlap([one]).tolist() == [[1, 1, 0, 0]]


def test_of_equally_likely_objects_the_first_wins():
    share = np.array([[1.0, 0.7]], np.float32)
    assert without_overlap([share, share]).tolist() == [[1, 1]]


def test_the_classical_solver_says_what_segment_slice_says():
    image, _, _ = slice_with_organs()
    prompts = SlicePrompts(foreground=[(50, 70), (72, 82)])
    np.testing.assert_array_equal(classical_solver(image, prompts) > 0.5, segment_slice(image, prompts))


def test_a_learned_solver_needs_its_weights(tmp_path):
    with pytest.raises(PromptWeightsError, match="no file of prompt weights"):
        learned_solver(tmp_path / "nowhere.safetensors")
