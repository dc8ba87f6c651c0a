"""Exponential moving average of a network: the weights that are validated and published."""

import copy

import torch

from imos_engine.network import ImosNetwork


class AveragedNetwork:
    """A copy of a network that follows it slowly."""

    def __init__(self, network: ImosNetwork, *, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: ImosNetwork, steps_done: int) -> None:
        """Move towards the network; the first steps weigh more, so that the random start is soon forgotten."""
        decay = min(self.decay, (1 + steps_done) / (10 + steps_done))
        followed = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(followed[name], 1 - decay)
            else:
                average.copy_(followed[name])
