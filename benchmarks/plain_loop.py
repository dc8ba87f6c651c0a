"""The yardstick for speed: one frame after the other, float32, every memory value read by every pixel.

It computes what the engine computes in one forward pass, without batching, folding, half precision or gathering.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from imos_engine.config import MemoryConfig
from imos_engine.memory.attention import affinity, read_memory, similarity
from imos_engine.network import ImosNetwork
from imos_engine.network.aggregation import aggregate


@torch.inference_mode()
def propagate_plainly(network: ImosNetwork, frames: Tensor, seed: Tensor, config: MemoryConfig) -> Iterator[Tensor]:
    """Yield the probabilities of every frame.

    Shapes: frames (T, 3, H, W), normalised, H and W multiples of 16; seed (K, H, W), 0 or 1, of frame 0. The sequence
    is short enough for working memory. Yields: (K+1, H, W), channel 0 the background.
    """
    height, width = frames.shape[-2] // 16, frames.shape[-1] // 16
    hidden = network.initial_hidden(1, len(seed), height, width)
    keys: list[Tensor] = []
    shrinkages: list[Tensor] = []
    values: list[Tensor] = []
    last_write = 0
    for index, frame in enumerate(frames[:, None]):
        features = network.encode_frames(frame)
        is_last = index == len(frames) - 1
        is_due = (index == 0 or index - last_write >= config.write_every) and not is_last
        if index == 0:
            probabilities = aggregate(seed[None])[1]
        else:
            scores = similarity(
                torch.cat(keys, dim=2), torch.cat(shrinkages, dim=2),
                features.key.flatten(2), features.selection.flatten(2),
            )  # fmt: skip
            dense = read_memory(affinity(scores, top_k=config.read_top_k), torch.cat(values, dim=3))
            readout = dense.unflatten(3, (height, width))
            hidden, _, probabilities = network.decode(
                features, readout, hidden, update_hidden=not is_due and not is_last
            )
        if is_due:
            last_write = index
            masks = probabilities[:, 1:]
            value, hidden = network.encode_values(frame, features.f16, masks, hidden, deep_update=True)
            keys.append(features.key.flatten(2))
            shrinkages.append(features.shrinkage.flatten(2))
            values.append(value.flatten(3))
        yield probabilities[0]
