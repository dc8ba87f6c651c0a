from __future__ import annotations

import numpy as np
import pytest

from imos_engine import intensity
from imos_engine.intensity import (
    WINDOW_PRESETS,
    Intensity,
    Window,
    automatic_intensity,
    bounded_intensity,
    looks_like_ct,
    robust_intensity,
    window_intensity,
    window_under,
)

SHAPE = (12, 20, 24)


def ct_like() -> np.ndarray:
    """Air outside, soft tissue, fat, a lung and some bone, in Hounsfield units with noise."""
    volume = np.full(SHAPE, -1000.0)
    volume[:, 3:17, 4:20] = -100
    volume[:, 5:15, 6:18] = 50
    volume[:, 6:10, 7:10] = -750
    volume[:, 12:14, 8:10] = 700
    return (volume + np.random.default_rng(0).normal(0, 10, SHAPE)).astype(np.int16)


def mri_like() -> np.ndarray:
    return np.random.default_rng(0).gamma(2.0, 100.0, SHAPE).astype(np.float32)


def test_intensity_matches_its_definition():
    values = np.array([-5.0, 0.0, 2.5, 10.0, 99.0])
    scaled = np.array([0.0, 0.0, 0.25, 1.0, 1.0])
    applied = Intensity(low=0.0, high=10.0, mean=0.4, deviation=0.5).apply(values)
    np.testing.assert_allclose(applied, (scaled - 0.4) / 0.5, atol=1e-6)
    assert applied.dtype == np.float32


@pytest.mark.parametrize("images", [ct_like(), mri_like()], ids=["CT", "MRI"])
@pytest.mark.parametrize("make", [robust_intensity, lambda images: window_intensity(images, WINDOW_PRESETS["abdomen"])])
def test_a_normalised_image_has_zero_mean_and_unit_deviation(images, make):
    applied = make(images).apply(images)
    assert applied.mean() == pytest.approx(0, abs=1e-3)
    assert applied.std() == pytest.approx(1, abs=1e-3)


def test_a_few_extreme_values_do_not_darken_the_rest():
    images = mri_like()
    spoiled = images.copy()
    spoiled.flat[:3] = 1e7
    np.testing.assert_allclose(robust_intensity(spoiled).high, robust_intensity(images).high, rtol=0.05)


def test_brightness_and_contrast_of_the_file_do_not_matter():
    images = mri_like()
    scaled = 3 * images + 700
    np.testing.assert_allclose(
        robust_intensity(scaled).apply(scaled), robust_intensity(images).apply(images), atol=1e-3
    )


@pytest.mark.parametrize("value", [0.0, -1000.0, 7.0, 1e9, np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_image_becomes_finite_and_flat(value, dtype):
    images = np.full(SHAPE, value, dtype)
    applied = automatic_intensity(images, np.zeros(SHAPE, bool)).apply(images)
    assert np.isfinite(applied).all()
    assert np.ptp(applied) == 0


def test_what_is_not_a_number_becomes_the_darkest_value_and_infinity_the_end_of_the_range():
    images = mri_like() - 1000
    expected = robust_intensity(images)
    images[0, 0, :3] = np.nan, np.inf, -np.inf
    normalisation = robust_intensity(images)
    applied = normalisation.apply(images)
    assert np.isfinite(applied).all()
    assert applied[0, 0, 0] == applied[0, 0, 2] == applied.min()
    assert applied[0, 0, 1] == applied.max()
    assert normalisation.high == pytest.approx(expected.high, rel=0.05)


def test_a_nearly_constant_image_is_not_blown_up_to_noise():
    images = np.full(SHAPE, 100.0)
    images[0, 0, 0] = 101
    assert np.abs(bounded_intensity(images, 0, 200).apply(images)).max() < 1


def test_an_empty_range_is_widened():
    assert bounded_intensity(np.zeros(SHAPE), 5, 5).high > 5


def test_applying_to_a_part_equals_a_part_of_applying_to_all():
    images = mri_like()
    normalisation = robust_intensity(images)
    assert np.array_equal(normalisation.apply(images[3:5]), normalisation.apply(images)[3:5])


@pytest.mark.parametrize("images", [ct_like(), mri_like()], ids=["CT", "MRI"])
def test_the_statistics_do_not_depend_on_the_layout_in_memory_when_every_value_is_read(images):
    for view in (np.asfortranarray(images), images.transpose(2, 0, 1), images[::-1]):
        found, expected = robust_intensity(view), robust_intensity(images)
        assert found.low == expected.low
        assert found.deviation == pytest.approx(expected.deviation, rel=1e-4)


def test_large_images_are_judged_by_a_sample_that_agrees(monkeypatch):
    images = mri_like()
    exact = robust_intensity(images)
    monkeypatch.setattr(intensity, "SAMPLED_VALUES", images.size // 4)
    assert robust_intensity(images).high == pytest.approx(exact.high, rel=0.1)
    assert robust_intensity(images).mean == pytest.approx(exact.mean, rel=0.1)


def test_images_in_hounsfield_units_are_recognised():
    assert looks_like_ct(ct_like())
    assert looks_like_ct(ct_like().astype(np.float64))
    padded = ct_like()
    padded[:, :2] = -3024  # some scanners fill the corners so
    assert looks_like_ct(padded)


@pytest.mark.parametrize(
    "images",
    [
        mri_like(),
        (ct_like() + 1024).astype(np.uint16),
        np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8),
        np.random.default_rng(0).normal(0, 1, SHAPE),
        np.zeros(SHAPE),
        np.full(SHAPE, np.nan),
        np.repeat(ct_like()[..., None], 3, axis=3),
    ],
    ids=["MRI", "unsigned", "ultrasound", "z-score", "constant", "not a number", "colour"],
)
def test_other_images_are_not_mistaken_for_hounsfield_units(images):
    assert not looks_like_ct(images)


@pytest.mark.parametrize(
    ("tissue", "name"), [(60, "abdomen"), (-100, "abdomen"), (200, "abdomen"), (-800, "lung"), (900, "bone")]
)
def test_the_window_is_the_narrowest_preset_that_shows_what_was_marked(tissue, name):
    images = np.full(SHAPE, -1000.0)
    marked = np.zeros(SHAPE, bool)
    marked[5, 5:12, 5:12] = True
    images[marked] = tissue + np.random.default_rng(0).normal(0, 10, marked.sum())
    assert window_under(images, marked) == WINDOW_PRESETS[name]


def test_tissue_beyond_every_preset_gets_a_window_of_its_own():
    images, marked = np.full(SHAPE, 2500.0), np.ones(SHAPE, bool)
    low, high = window_under(images, marked).bounds
    assert low < 2500 < high


@pytest.mark.parametrize("content", [np.nan, 0.0])
def test_without_a_marked_value_the_abdomen_is_shown(content):
    images = np.full(SHAPE, content)
    assert window_under(images, np.full(SHAPE, np.isnan(content))) == WINDOW_PRESETS["abdomen"]


def test_a_window_is_chosen_for_hounsfield_units_only():
    lung = np.zeros(SHAPE, bool)
    lung[:, 6:10, 7:10] = True
    chosen = automatic_intensity(ct_like(), lung)
    assert (chosen.low, chosen.high) == WINDOW_PRESETS["lung"].bounds
    assert automatic_intensity(mri_like(), lung) == robust_intensity(mri_like())


def test_a_window_shows_half_its_width_on_both_sides_of_its_level():
    assert Window(level=50, width=400).bounds == (-150, 250)


@pytest.mark.parametrize("width", [0, -10, float("nan")])
def test_a_window_without_width_is_refused(width):
    with pytest.raises(ValueError, match="width must be above 0"):
        Window(level=0, width=width)
