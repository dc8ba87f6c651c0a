import numpy as np
import pytest
import torch

from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import save_network
from imos_engine.training.augmentation import LabelledClip
from tests.engine.narrow import NARROW as TINY


class MovingSquares:
    """A bright square, and in clips of odd index a second one, on noise; they move by two pixels per frame."""

    def __init__(self, *, frames: int, size: int, seed: int) -> None:
        self.frames = frames
        self.size = size
        self.seed = seed

    def clip(self, index: int) -> LabelledClip:
        random = np.random.default_rng([self.seed, index])
        labels = np.zeros((self.frames, self.size, self.size), dtype=np.uint8)
        row, column = random.integers(2, self.size // 3, size=2)
        for time in range(self.frames):
            labels[time, row + 2 * time : row + 2 * time + 12, column : column + 12] = 1
            if index % 2:
                labels[time, -10:-2, 4 + time : 12 + time] = 2
        grey = 0.3 * random.random(labels.shape) + 0.3 * labels
        return LabelledClip(frames=np.repeat(grey[:, None], 3, axis=1).astype(np.float32), labels=labels)


@pytest.fixture
def tiny_weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_network(path, ImosNetwork(TINY))
    return path
