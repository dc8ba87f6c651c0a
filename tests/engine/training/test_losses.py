import pytest
import torch

from imos_engine.network.aggregation import aggregate
from imos_engine.training.losses import (
    bootstrapped_cross_entropy,
    dice_loss,
    label_map,
    segmentation_loss,
    without_padding,
)


def random_case(objects=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(2, objects, 6, 5, generator=generator)
    labels = torch.randint(0, objects + 1, (2, 6, 5), generator=generator)
    masks = torch.stack([labels == number for number in range(1, objects + 1)], dim=1).float()
    return own, masks, labels


def test_cross_entropy_of_the_hardest_pixels_matches_its_definition():
    own, _, labels = random_case()
    logits, probabilities = aggregate(own.sigmoid())
    expected = []
    for frame in range(2):
        surprises = [-probabilities[frame, labels[frame, y, x], y, x].log().item() for y in range(6) for x in range(5)]
        expected.append(sum(sorted(surprises)[-9:]) / 9)  # 30 % of 30 pixels
    assert bootstrapped_cross_entropy(logits, labels, hardest=0.3).item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_harder_pixels_cost_more():
    own, _, labels = random_case()
    logits, _ = aggregate(own.sigmoid())
    costs = [bootstrapped_cross_entropy(logits, labels, hardest=share).item() for share in (0.1, 0.5, 1.0)]
    assert costs == sorted(costs, reverse=True)


def test_dice_loss_is_nearly_zero_for_the_truth_and_nearly_one_for_its_complement():
    _, masks, _ = random_case()
    valid = torch.ones(2, 2, dtype=torch.bool)
    assert dice_loss(masks, masks, valid).item() < 1e-6
    assert dice_loss(1 - masks, masks, valid).item() > 0.9


def test_padded_objects_change_neither_loss_nor_gradient():
    own, masks, _ = random_case(objects=2)
    valid = torch.ones(2, 2, dtype=torch.bool)
    alone = own.clone().requires_grad_()
    loss = segmentation_loss(aggregate(alone.sigmoid())[0], masks, valid, hardest=0.5)
    loss.backward()

    padded = torch.cat([own, torch.full_like(own[:, :1], 3.0)], dim=1).requires_grad_()
    padded_valid = torch.cat([valid, torch.zeros(2, 1, dtype=torch.bool)], dim=1)
    padded_masks = torch.cat([masks, torch.zeros_like(masks[:, :1])], dim=1)
    logits = without_padding(aggregate(padded.sigmoid())[0], padded_valid)
    padded_loss = segmentation_loss(logits, padded_masks, padded_valid, hardest=0.5)
    padded_loss.backward()

    torch.testing.assert_close(padded_loss, loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(padded.grad[:, :2], alone.grad, rtol=1e-4, atol=1e-6)
    assert not padded.grad[:, 2].any()


def test_without_padding_leaves_complete_batches_untouched():
    own, _, _ = random_case()
    logits, _ = aggregate(own.sigmoid())
    assert without_padding(logits, torch.ones(2, 2, dtype=torch.bool)) is logits


def test_label_map_inverts_one_mask_per_object():
    _, masks, labels = random_case(objects=3)
    assert torch.equal(label_map(masks), labels)
