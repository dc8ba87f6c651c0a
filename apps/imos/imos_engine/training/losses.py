"""Loss of one frame: cross-entropy over the hardest pixels plus Dice, both on soft-aggregated objects."""

import torch
from torch import Tensor
from torch.nn import functional as F


def segmentation_loss(logits: Tensor, masks: Tensor, valid: Tensor, *, hardest: float = 1.0) -> Tensor:
    """Bootstrapped cross-entropy plus Dice loss, averaged over the batch.

    Shapes: logits (B, K+1, H, W) of background and objects, -inf in padded channels; masks (B, K, H, W), 0 or 1, at
    most one object per pixel; valid (B, K) is False for padding, which changes nothing. `hardest` is the share of
    pixels that count in the cross-entropy.
    """
    logits = logits.float()
    labels = label_map(masks * valid[..., None, None])
    cross_entropy = bootstrapped_cross_entropy(logits, labels, hardest=hardest)
    return cross_entropy + dice_loss(logits.softmax(dim=1)[:, 1:], masks, valid)


def bootstrapped_cross_entropy(logits: Tensor, labels: Tensor, *, hardest: float) -> Tensor:
    """Mean cross-entropy of the hardest share of every frame's pixels.

    Shapes: logits (B, K+1, H, W); labels (B, H, W) integers in 0..K.
    """
    per_pixel = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    count = max(1, round(hardest * per_pixel.shape[1]))
    if count == per_pixel.shape[1]:
        return per_pixel.mean()
    return per_pixel.topk(count, dim=1, sorted=False).values.mean()


def dice_loss(probabilities: Tensor, masks: Tensor, valid: Tensor) -> Tensor:
    """1 - Dice with one pixel of smoothing, averaged over the valid objects.

    Shapes: probabilities and masks (B, K, H, W) in [0, 1]; valid (B, K).
    """
    overlap = (probabilities * masks).flatten(2).sum(-1)
    total = (probabilities + masks).flatten(2).sum(-1)
    loss = 1 - (2 * overlap + 1) / (total + 1)
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def kept_loss(logits: Tensor, former: Tensor, valid: Tensor) -> Tensor:
    """How far an answer is from one that is to stay: mean divergence over pixels and batch, 0 where both are alike.

    Shapes: logits and former (B, K+1, H, W) of background and objects, -inf in padded channels; valid (B, K).
    """
    padding = ~torch.cat((torch.ones_like(valid[:, :1]), valid), dim=1)[..., None, None]
    now, before = (one.float().log_softmax(dim=1).masked_fill(padding, 0.0) for one in (logits, former))
    return (former.float().softmax(dim=1) * (before - now)).sum(dim=1).mean()


def presence_loss(presence: Tensor, masks: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of each valid object being in the frame. Shapes: presence (B, K) logits; masks (B, K, H, W)."""
    truth = masks.flatten(2).any(dim=2).float()
    loss = F.binary_cross_entropy_with_logits(presence.float(), truth, reduction="none")
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def label_map(masks: Tensor) -> Tensor:
    """Channel + 1 of the object at every pixel, 0 where there is none: (..., K, H, W) -> (..., H, W) integers."""
    numbers = torch.arange(1, masks.shape[-3] + 1, device=masks.device)[:, None, None]
    return (masks.gt(0.5) * numbers).amax(dim=-3)


def without_padding(logits: Tensor, valid: Tensor) -> Tensor:
    """Soft aggregation over the valid objects only.

    Shapes: logits (B, K+1, H, W), object channels holding each object's own logit; valid (B, K).
    Returns: (B, K+1, H, W); padded channels are -inf and the background is the product of the valid objects' absence.
    """
    if bool(valid.all()):
        return logits
    padding = ~valid[..., None, None]
    objects = logits[:, 1:].float()
    log_background = F.logsigmoid(-objects).masked_fill(padding, 0.0).sum(dim=1, keepdim=True)
    background = log_background.exp().clamp(1e-7, 1 - 1e-7).logit()
    return torch.cat([background, objects.masked_fill(padding, -torch.inf)], dim=1)
