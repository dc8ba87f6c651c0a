"""The refiner: what it does untrained, and what its evidence may depend on."""

import pytest
import torch

from imos_engine.config import RefinerConfig
from imos_engine.network.likeness import Likeness
from imos_engine.network.refiner import MovedMasks, Neighbour, Refiner, measures, moved_masks

SMALL = RefinerConfig(channels=(8, 16))


def refiner(*, random: bool = False) -> Refiner:
    torch.manual_seed(0)
    module = Refiner(SMALL)
    if random:
        torch.nn.init.normal_(module.correction.weight, std=0.3)
    return module.eval()


def inputs(objects: int = 2):
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(1, 3, 32, 48, generator=generator)
    coarse = 3 * torch.randn(1, objects, 32, 48, generator=generator)
    masks = torch.rand(1, objects, 32, 48, generator=generator)
    scores = torch.randn(1, objects, 32, 48, generator=generator).clamp(-2, 2)
    likeness = Likeness(scores, torch.rand(1, objects, generator=generator))
    return frames, coarse, MovedMasks(masks=masks, change=torch.rand(1, 1, 32, 48, generator=generator)), likeness


def silent(likeness: Likeness) -> Likeness:
    return likeness._replace(scores=torch.zeros_like(likeness.scores))


def test_untrained_it_is_sure_where_both_masks_agree():
    frames, coarse, moved, likeness = inputs()
    agreed = (moved.masks > 0.6) & (coarse > 0)
    logits = refiner()(frames, coarse, moved, silent(likeness)).logits
    assert bool((logits[agreed] > 0).all())
    assert bool((logits[(moved.masks < 0.4) & (coarse < 0)] < 0).all())


def test_exchanging_two_objects_exchanges_their_answers():
    frames, coarse, moved, likeness = inputs()
    module = refiner(random=True)
    straight = module(frames, coarse, moved, likeness)
    swapped = module(
        frames,
        coarse.flip(1),
        moved._replace(masks=moved.masks.flip(1)),
        Likeness(*(part.flip(1) for part in likeness)),
    )
    torch.testing.assert_close(swapped.logits.flip(1), straight.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(swapped.presence.flip(1), straight.presence, rtol=1e-4, atol=1e-4)


def test_a_neighbouring_object_is_seen():
    frames, coarse, moved, likeness = inputs()
    module = refiner(random=True)
    before = module(frames, coarse, moved, likeness).logits[:, 0]
    other = moved.masks.clone()
    other[:, 1] = 1 - other[:, 1]
    assert not torch.allclose(module(frames, coarse, moved._replace(masks=other), likeness).logits[:, 0], before)
    unlike = likeness._replace(scores=torch.cat((likeness.scores[:, :1], -likeness.scores[:, 1:]), dim=1))
    assert not torch.allclose(module(frames, coarse, moved, unlike).logits[:, 0], before)


def test_measures_tell_where_the_moved_mask_lies():
    _, coarse, moved, likeness = inputs(objects=1)
    square = torch.zeros(1, 1, 32, 48)
    square[..., 10:20, 15:30] = 1
    found = measures(
        6 * (2 * square - 1), MovedMasks(masks=square, change=0.5 * square), likeness._replace(scores=2 * square - 1)
    )
    alike, around, change, sure, size, typical = found[0, 0].tolist()
    assert alike > 0.9
    assert around < -0.9
    assert change == pytest.approx(0.5, abs=0.01)
    assert sure > 0.9
    larger = torch.ones_like(square)
    assert float(measures(coarse, moved._replace(masks=larger), likeness)[0, 0, 4]) > size
    assert typical == pytest.approx(float(likeness.typical[0, 0]))


def test_empty_masks_have_finite_gradients():
    frames, coarse, moved, likeness = inputs()
    nothing = moved._replace(masks=torch.zeros_like(moved.masks).requires_grad_())
    refined = refiner(random=True)(frames, coarse, nothing, likeness)
    (refined.logits.sum() + refined.presence.sum()).backward()
    assert bool(nothing.masks.grad.isfinite().all())


@pytest.mark.parametrize(("columns", "rows"), [(5, 0), (0, -4)])
def test_masks_move_with_the_flow_and_an_explained_frame_shows_no_change(columns, rows):
    generator = torch.Generator().manual_seed(2)
    neighbour = torch.rand(1, 3, 32, 48, generator=generator)
    masks = torch.zeros(1, 1, 32, 48)
    masks[:, :, 10:20, 15:30] = 1
    frames = neighbour.roll((rows, columns), (2, 3))
    flow = torch.stack((torch.full((32, 48), -float(columns)), torch.full((32, 48), -float(rows))))[None]
    moved = moved_masks(frames, [Neighbour(masks, neighbour, flow)])
    inner = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(moved.masks[inner], masks.roll((rows, columns), (2, 3))[inner], atol=1e-4, rtol=0)
    assert float(moved.change[inner].max()) < 1e-4


def test_a_neighbour_that_does_not_look_like_the_frame_hardly_counts():
    generator = torch.Generator().manual_seed(3)
    frames, still = torch.randn(1, 3, 32, 48, generator=generator), torch.zeros(1, 2, 32, 48)
    like = Neighbour(torch.ones(1, 1, 32, 48), frames, still)
    unlike = Neighbour(torch.zeros(1, 1, 32, 48), -2 * frames, still)
    assert float(moved_masks(frames, [like, unlike]).masks.min()) > 0.7
    assert torch.equal(moved_masks(frames, [like]).masks, like.masks)
    even = moved_masks(frames, [like, Neighbour(torch.zeros(1, 1, 32, 48), frames, still)]).masks
    torch.testing.assert_close(even, torch.full_like(even, 0.5))


@torch.no_grad()
def test_outside_training_likeness_moves_the_mask_towards_what_looks_like_the_object():
    frames, coarse, moved, likeness = inputs()
    untrained = refiner()
    without = untrained(frames, coarse, moved, silent(likeness)).logits
    gained = untrained(frames, coarse, moved, likeness).logits - without
    assert bool((gained * likeness.scores >= 0).all())
    assert float(gained.abs().max()) > 0.1
    torch.testing.assert_close(untrained.train()(frames, coarse, moved, likeness).logits, without)
