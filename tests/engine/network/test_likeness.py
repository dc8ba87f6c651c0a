"""Likeness to the seed's object: it separates by brightness and by texture, and means the same on another frame."""

import pytest
import torch

from imos_engine.network.likeness import FILTERS, LARGEST, Moments, filter_bank, fit_likeness, seed_moments


def discs(places, *, side=64, radius=9):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    near = [((rows - row) ** 2 + (columns - column) ** 2 <= radius**2) for row, column in places]
    return torch.stack(near).any(0).float()[None, None]


def bright(mask, *, seed):
    noise = 0.2 * torch.randn(1, 3, *mask.shape[2:], generator=torch.Generator().manual_seed(seed))
    return mask + noise


def grainy(mask, *, seed):
    noise = torch.randn(1, 1, *mask.shape[2:], generator=torch.Generator().manual_seed(seed)).expand(-1, 3, -1, -1)
    return noise * (0.1 + 0.9 * mask)


def separation(scores, mask):
    inside, outside = scores[mask[:, 0].bool()[:, None].expand_as(scores)], scores[mask < 0.5]
    return float((inside > 0).float().mean()), float((outside < 0).float().mean())


def fitted(frame, mask):
    return fit_likeness(seed_moments(filter_bank(frame), mask))


@pytest.mark.parametrize("look", [bright, grainy])
def test_an_object_is_recognised_elsewhere_on_another_frame(look):
    seed, other = discs([(20, 20)]), discs([(42, 36)])
    scores = fitted(look(seed, seed=0), seed)(filter_bank(look(other, seed=1))).scores
    inside, outside = separation(scores, other)
    assert inside > 0.8
    assert outside > 0.9


def test_a_small_object_weighs_as_much_as_all_around_it():
    seed = discs([(32, 32)], radius=3)
    scores = fitted(bright(seed, seed=2), seed)(filter_bank(bright(seed, seed=3))).scores
    assert float(scores[seed > 0.5].mean()) > 0.5


def test_two_seeds_teach_two_looks():
    mask = discs([(30, 30)])
    bright_one, dark_one = bright(mask, seed=4), -bright(mask, seed=5)
    found = [seed_moments(filter_bank(frame), mask) for frame in (bright_one, dark_one)]
    both = fit_likeness(Moments(*(a + b for a, b in zip(*found, strict=True))))
    for frame in (bright_one, dark_one):
        assert min(separation(both(filter_bank(frame)).scores, mask)) > 0.8
    assert separation(fit_likeness(found[0])(filter_bank(dark_one)).scores, mask)[0] < 0.5


def test_objects_are_fitted_each_on_its_own():
    masks = torch.cat((discs([(16, 16)]), discs([(44, 44)])), dim=1)
    frame = bright(masks[:, :1] - masks[:, 1:], seed=6)
    together = fitted(frame, masks)(filter_bank(frame)).scores
    alone = fitted(frame, masks[:, 1:])(filter_bank(frame)).scores
    torch.testing.assert_close(together[:, 1:], alone, rtol=1e-3, atol=1e-3)


def test_clips_of_a_batch_do_not_see_each_other():
    mask = discs([(32, 32)])
    frames = torch.cat((bright(mask, seed=7), -bright(mask, seed=8)))
    scores = fitted(frames, mask.expand(2, -1, -1, -1))(filter_bank(frames)).scores
    torch.testing.assert_close(
        scores[1:], fitted(frames[1:], mask)(filter_bank(frames[1:])).scores, rtol=1e-3, atol=1e-3
    )


def test_a_turned_frame_has_turned_answers_within_bounds():
    frame = 3 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    answers = filter_bank(frame)
    assert answers.shape == (1, FILTERS, 64, 64)
    assert float(answers.abs().max()) <= LARGEST
    torch.testing.assert_close(filter_bank(frame.rot90(1, (2, 3))), answers.rot90(1, (2, 3)), rtol=1e-3, atol=1e-3)


def test_the_typical_score_is_the_mean_over_the_seeds_that_speak_of_an_object():
    mask = discs([(30, 30)])
    frames = bright(mask, seed=11), bright(mask, seed=12)
    found = [seed_moments(filter_bank(frame), mask.expand(-1, 2, -1, -1)) for frame in frames]
    second_silent = found[1].of(torch.tensor([True, False]))
    model = fit_likeness(Moments(*(a + b for a, b in zip(found[0], second_silent, strict=True))))
    scores = [model(filter_bank(frame)).scores for frame in frames]
    means = torch.stack([(one * mask).sum((2, 3)) / mask.sum() for one in scores])
    assert float(model.typical[0, 0]) == pytest.approx(float(means[:, 0, 0].mean()), abs=0.05)
    assert float(model.typical[0, 1]) == pytest.approx(float(means[0, 0, 1]), abs=0.05)


def test_an_object_without_a_pixel_is_seen_nowhere():
    frame = bright(discs([(32, 32)]), seed=10)
    scores = fitted(frame, torch.zeros(1, 1, 64, 64))(filter_bank(frame)).scores
    assert bool(scores.isfinite().all())
    assert float(scores.max()) < 0


@pytest.mark.parametrize("left", [0, 1, 3, 10])
def test_an_object_that_leaves_hardly_a_pixel_can_be_fitted(left):
    frame = 3 * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    mask = torch.ones(1, 1, 96, 96)
    mask.view(-1)[:left] = 0
    assert bool(fitted(frame, mask)(filter_bank(frame)).scores.isfinite().all())
