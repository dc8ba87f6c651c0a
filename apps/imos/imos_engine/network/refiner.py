"""From a coarse mask and the moved mask of the neighbouring frame to a sharp mask, and whether the object is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imos_engine.config import RefinerConfig
from imos_engine.motion import follow
from imos_engine.network.likeness import Likeness

SUREST = 0.98  # a moved mask is never surer than this: the object may have ended
DOUBT = 0.25  # normalised intensity by which a moved frame may differ before it counts e times less
RESTRAINT = 0.5  # share of the correction outside training: images are not what synthesis makes of them
RELIANCE = 0.25  # logits that likeness adds outside training: it knows this image, the correction only made ones
EVIDENCE = 10  # planes that `evidence` stacks
MEASURES = 6  # numbers that `measures` takes


class Neighbour(NamedTuple):
    """A frame whose masks are known, and the way to it."""

    masks: Tensor  # (B, K, h, w), 0 to 1
    image: Tensor  # (B, 3, h, w), normalised
    flow: Tensor  # (B, 2, H, W): from each pixel of this frame to where it lies in that one, in pixels


class MovedMasks(NamedTuple):
    """What neighbouring frames say about this one, carried along the optical flow."""

    masks: Tensor  # (B, K, H, W), 0 to 1
    change: Tensor  # (B, 1, H, W), at least 0: how much the frame differs from its moved neighbours


def moved_masks(frames: Tensor, neighbours: Sequence[Neighbour]) -> MovedMasks:
    """Carry neighbouring frames' masks here; each counts where, once moved, it looks like this frame.

    The chain from frame to frame drifts; a second and a third, longer step beside it hold it back.
    Shapes: frames (B, 3, H, W), normalised.
    """
    here = frames.float().mean(1, keepdim=True)
    planes, weights = [], []
    for masks, image, flow in neighbours:
        moved = follow(torch.cat((masks.float(), image.float().mean(1, keepdim=True)), dim=1), flow)
        error = F.avg_pool2d((here - moved[:, -1:]).abs(), 7, stride=1, padding=3, count_include_pad=False)
        planes.append(moved)
        weights.append(torch.exp(-error / DOUBT) + 1e-6)
    whole = sum(weights)
    moved = torch.stack([plane * weight / whole for plane, weight in zip(planes, weights, strict=True)]).sum(0)
    return MovedMasks(masks=moved[:, :-1], change=(here - moved[:, -1:]).abs())


class Refined(NamedTuple):
    """One frame after refinement."""

    logits: Tensor  # (B, K, H, W), each object on its own
    presence: Tensor  # (B, K), logit of the object being in the frame at all


class Stage(nn.Module):
    """Two normalised convolutions with a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(8, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (N, Cin, h, w). Returns: (N, Cout, h, w)."""
        inner = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x)))))
        return F.silu(inner + self.shortcut(x))


class Refiner(nn.Module):
    """A small U-Net at half resolution, over every object alone.

    Its answer is added to a weighted sum of the two masks that it is given, so an untrained one returns the moved mask.
    """

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        widths = config.channels
        self.stem = nn.Conv2d(4 * EVIDENCE, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Stage(widths[max(level - 1, 0)], width) for level, width in enumerate(widths))
        self.up = nn.ModuleList(
            Stage(widths[level + 1] + widths[level], widths[level]) for level in range(len(widths) - 1)
        )
        self.correction = nn.Conv2d(widths[0], 4, 3, padding=1)
        self.trust = nn.Parameter(torch.tensor([0.0, 1.0]))  # in the coarse mask, in the moved mask
        self.presence = nn.Sequential(
            nn.Linear(2 * widths[-1] + MEASURES, widths[-1]), nn.SiLU(), nn.Linear(widths[-1], 1)
        )
        nn.init.zeros_(self.correction.weight)
        if self.correction.bias is not None:
            nn.init.zeros_(self.correction.bias)

    def forward(self, frames: Tensor, coarse: Tensor, moved: MovedMasks, likeness: Likeness) -> Refined:
        """Shapes: frames (B, 3, H, W), coarse (B, K, H, W) logits; H and W multiples of 16."""
        objects = coarse.shape[1]
        trusted = moved.masks.float().clamp(1 - SUREST, SUREST).logit()
        trust = self.trust.float()
        prior = trust[0] * coarse.float().clamp(-8, 8) + trust[1] * trusted
        x = self.stem(F.pixel_unshuffle(evidence(frames, coarse, moved, likeness).to(self.stem.weight.dtype), 2))
        levels = []
        for level, stage in enumerate(self.down):
            x = stage(F.avg_pool2d(x, 2) if level else x)
            levels.append(x)
        measured = measures(coarse, moved, likeness).flatten(0, 1).to(x.dtype)
        summary = torch.cat((x.mean((2, 3)), x.amax((2, 3)), measured), dim=1)
        for level in reversed(range(len(self.up))):
            doubled = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat((doubled, levels[level]), dim=1))
        correction = F.pixel_shuffle(self.correction(x), 2)[:, 0].unflatten(0, (-1, objects))
        presence = self.presence(summary)[:, 0].unflatten(0, (-1, objects))
        if self.training:
            return Refined(logits=prior + correction.float(), presence=presence.float())
        logits = prior + RESTRAINT * correction.float() + RELIANCE * likeness.scores.float()
        return Refined(logits=logits, presence=presence.float())


def evidence(frames: Tensor, coarse: Tensor, moved: MovedMasks, likeness: Likeness) -> Tensor:
    """Everything that is known of each object's pixels, on one scale: (B*K, EVIDENCE, H, W).

    Shapes: frames (B, 3, H, W), coarse (B, K, H, W) logits.
    """
    objects = coarse.shape[1]
    masks, sure = moved.masks.float(), coarse.float().sigmoid()
    per_object = torch.stack((masks, sure, masks.sum(1, keepdim=True) - masks, sure.sum(1, keepdim=True) - sure), dim=2)
    per_frame = torch.cat((frames.float(), moved.change.float()), dim=1)[:, None].expand(-1, objects, -1, -1, -1)
    alike = torch.stack((likeness.scores.float(), _best_other(likeness.scores.float())), dim=2)
    return torch.cat((2 * per_object - 1, per_frame, alike), dim=2).flatten(0, 1)


def measures(coarse: Tensor, moved: MovedMasks, likeness: Likeness) -> Tensor:
    """What the moved mask covers, in numbers about -2 to 2: (B, K, MEASURES).

    Mean likeness within it, just around it and, for comparison, of the object on the seeds; mean change, mean of the
    coarse mask, and its size.
    """
    masks = moved.masks.float()
    around = (F.max_pool2d(masks, 9, stride=1, padding=4) - masks).clamp(min=0)
    inside, outside = masks / (masks.sum((2, 3), keepdim=True) + 1), around / (around.sum((2, 3), keepdim=True) + 1)
    alike = likeness.scores.float()
    size = torch.log(masks.mean((2, 3)) + 1e-3) / 3 + 1
    return torch.stack(
        (
            (inside * alike).sum((2, 3)),
            (outside * alike).sum((2, 3)),
            (inside * moved.change.float()).sum((2, 3)),
            2 * (inside * coarse.float().sigmoid()).sum((2, 3)) - 1,
            size,
            likeness.typical.float(),
        ),
        dim=2,
    )


def _best_other(likeness: Tensor) -> Tensor:
    """Likeness to the object that a pixel looks most like, apart from one's own; -1 without another one."""
    if likeness.shape[1] == 1:
        return torch.full_like(likeness, -1.0)
    best = likeness.topk(2, dim=1)
    return torch.where(likeness >= best.values[:, :1], best.values[:, 1:], best.values[:, :1])
