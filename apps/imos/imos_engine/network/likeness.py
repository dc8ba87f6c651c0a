"""How much every pixel looks like an object, judged by what the user marked: a classifier fitted to the seeds alone.

A network that has only seen made images may not know a tissue; the seed slice shows it. A quadratic function of a small
filter bank is fitted to the seeds' masks in closed form, in the spirit of target models for video objects (Robinson et
al., CVPR 2020, arXiv 2003.00908) and of interactive pixel classification (Berg et al., Nature Methods 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 4  # strides 1, 2, 4, 8
FILTERS = 5 * LEVELS + 2  # what `filter_bank` stacks
LARGEST = 4.0  # a filter's answer is never further from 0
MOST_SAMPLES = 9216  # pixels of one seed that are fitted: more add seconds, not knowledge
RIDGE = 0.01  # added to the diagonal of the normal equations, whose classes weigh one half each
BINOMIAL = (0.25, 0.5, 0.25)


class Moments(NamedTuple):
    """What a seed adds to the fit of each object; the moments of several seeds add up."""

    products: Tensor  # (B, K, P, P) float64
    targets: Tensor  # (B, K, P) float64
    inside: Tensor  # (B, K, P) float64, mean over the object
    seeds: Tensor  # (B, K) float64, how many there are

    def of(self, objects: Tensor) -> Moments:
        """Nothing of the other objects. Shapes: objects (K,) bool."""
        return Moments(*(part * objects.view(-1, *[1] * (part.ndim - 2)) for part in self))


class Likeness(NamedTuple):
    """How much a frame's pixels look like each object."""

    scores: Tensor  # (B, K, H, W), about 1 like the object, -1 like its surroundings on the seeds; -2 to 2
    typical: Tensor  # (B, K), mean score of the object itself on the seeds


class LikenessModel(NamedTuple):
    """A quadratic function of the filter bank, per object."""

    constant: Tensor  # (B, K)
    linear: Tensor  # (B, K, FILTERS)
    quadratic: Tensor  # (B, K, FILTERS, FILTERS)
    typical: Tensor  # (B, K)

    def __call__(self, filtered: Tensor) -> Likeness:
        """Shapes: filtered (B, FILTERS, H, W)."""
        pixels = filtered.flatten(2)
        curved = torch.einsum("bkij,bjn->bkin", self.quadratic, pixels)
        scores = ((curved + self.linear[..., None]) * pixels[:, None]).sum(2) + self.constant[..., None]
        return Likeness(scores.clamp(-2, 2).unflatten(2, filtered.shape[2:]), self.typical)


@torch.no_grad()
def filter_bank(frames: Tensor) -> Tensor:
    """Brightness, slope, spread and curvatures at four scales, and two colours, each about -4 to 4.

    Shapes: frames (B, 3, H, W), normalised. Returns: (B, FILTERS, H, W) float32.
    """
    frames = frames.float()
    grey = frames.mean(1, keepdim=True)
    colours = torch.cat((frames[:, :1] - frames[:, 1:2], frames[:, 2:] - grey), dim=1)
    answers = [_smooth(colours)]
    level = grey
    for number in range(LEVELS):
        if number:
            level = F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)
        found = _filters(level)
        if number:
            found = F.interpolate(found, size=grey.shape[2:], mode="bilinear", align_corners=False)
        answers.append(found)
    return torch.cat(answers, dim=1).clamp(-LARGEST, LARGEST)


def _filters(level: Tensor) -> Tensor:
    """Shapes: level (B, 1, h, w). Returns: (B, 5, h, w)."""
    smooth = _smooth(level)
    mean = F.avg_pool2d(level, 5, stride=1, padding=2, count_include_pad=False)
    square = F.avg_pool2d(level**2, 5, stride=1, padding=2, count_include_pad=False)
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    slope = ((right - left) ** 2 + (below - above) ** 2).sqrt() / 2
    across, along = left + right - 2 * smooth, above + below - 2 * smooth
    mixed = (padded[..., 2:, 2:] + padded[..., :-2, :-2] - padded[..., 2:, :-2] - padded[..., :-2, 2:]) / 4
    spread = ((across - along) ** 2 / 4 + mixed**2).sqrt()
    curvatures = torch.cat(((across + along) / 2 + spread, (across + along) / 2 - spread), dim=1)
    sizes = torch.cat((slope, (square - mean**2).clamp(min=0).sqrt()), dim=1)
    return torch.cat((smooth, torch.log(0.03 + sizes) + 2, torch.asinh(8 * curvatures)), dim=1)


def _smooth(images: Tensor) -> Tensor:
    kernel = torch.tensor(BINOMIAL, device=images.device)
    channels = images.shape[1]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    weight = (kernel[:, None] * kernel[None]).expand(channels, 1, 3, 3).contiguous()
    return F.conv2d(padded, weight, groups=channels)


@torch.no_grad()
def seed_moments(filtered: Tensor, masks: Tensor) -> Moments:
    """What one seed frame says of K objects; the object and all else weigh the same.

    Shapes: filtered (B, FILTERS, H, W), masks (B, K, H, W), 0 to 1.
    """
    step = max(1, round((filtered.shape[2] * filtered.shape[3] / MOST_SAMPLES) ** 0.5 + 0.49))
    terms = _terms(filtered[:, :, ::step, ::step].flatten(2))[:, None]  # (B, 1, P, N)
    inside = masks[:, :, None, ::step, ::step].flatten(3).to(terms.dtype)  # (B, K, 1, N)
    size, rest = inside.sum(3).clamp(min=1), (1 - inside).sum(3).clamp(min=1)
    of_object, of_rest = inside / (2 * size[..., None]), (1 - inside) / (2 * rest[..., None])
    # Weighed before summing: a difference of two large sums is not positive definite where the rest is small.
    products = (terms * (of_object + of_rest)) @ terms.mT
    targets = (terms * (of_object - of_rest)).sum(3)
    mean = 2 * (terms * of_object).sum(3)
    return Moments(products.double(), targets.double(), mean.double(), torch.ones_like(size[..., 0]).double())


@torch.no_grad()
def fit_likeness(moments: Moments) -> LikenessModel:
    """The quadratic function that comes nearest to 1 on the objects and -1 elsewhere."""
    count = moments.products.shape[-1]
    ridge = RIDGE * torch.eye(count, dtype=torch.float64, device=moments.products.device)
    # Not `solve`: on several CPU threads it fails for batches (torch 2.14.1 with MKL). The matrix is positive definite.
    factor = torch.linalg.cholesky(moments.products + ridge)
    solved = torch.cholesky_solve(moments.targets[..., None], factor)[..., 0]
    typical = (solved * moments.inside).sum(2) / moments.seeds.clamp(min=1)
    solved = solved.float()
    quadratic = solved.new_zeros(*solved.shape[:2], FILTERS, FILTERS)
    rows, columns = torch.triu_indices(FILTERS, FILTERS, device=solved.device)
    quadratic[..., rows, columns] = solved[..., 1 + FILTERS :]
    return LikenessModel(solved[..., 0], solved[..., 1 : 1 + FILTERS], quadratic, typical.float())


def _terms(pixels: Tensor) -> Tensor:
    """1, every filter, every product of two. Shapes: pixels (B, FILTERS, N). Returns: (B, P, N)."""
    rows, columns = torch.triu_indices(FILTERS, FILTERS, device=pixels.device)
    return torch.cat((torch.ones_like(pixels[:, :1]), pixels, pixels[:, rows] * pixels[:, columns]), dim=1)
