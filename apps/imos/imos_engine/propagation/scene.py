"""What every pass over one sequence works with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from imos_engine.config import MemoryConfig, PropagationConfig
from imos_engine.network import ImosNetwork
from imos_engine.propagation.features import FrameEncoder
from imos_engine.propagation.motion_field import MotionField
from imos_engine.propagation.timings import Timings
from imos_engine.propagation.window import Windows


@dataclass(frozen=True)
class Scene:
    """What all sweeps over one sequence share."""

    network: ImosNetwork
    encoder: FrameEncoder
    motion: MotionField
    windows: Windows
    memory: MemoryConfig
    settings: PropagationConfig
    presence_threshold: float  # an object whose estimated presence is lower counts as absent
    timings: Timings

    @property
    def dtype(self) -> torch.dtype:
        """In which the network computes."""
        return next(self.network.parameters()).dtype
