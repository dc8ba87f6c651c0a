"""Everything that a run needs to go on where it stopped."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imos_engine.config import PRESETS, Precision
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network
from imos_engine.training.averaging import AveragedNetwork
from imos_engine.training.processes import ALONE, Processes, synchronised
from imos_engine.training.recipe import Trainable, TrainingConfig, config_from_dict
from imos_engine.training.schedule import Position

CHECKPOINT_NAME = "checkpoint.pt"


class RunState:
    """The network in training, its average, the optimizer and the position.

    There is no state of random generators: every random choice of a step derives from the seed and the position.
    """

    def __init__(self, config: TrainingConfig, network: ImosNetwork, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.network: ImosNetwork = network.to(device).to(memory_format=torch.channels_last)
        self.average = AveragedNetwork(self.network, decay=config.average_decay)
        for phase in config.phases:
            self.unfreeze(config.trainable_in(phase))  # refuses, before any work, a phase that would train nothing
        # One optimizer for all phases: a parameter that a phase leaves alone keeps its moments until the next one.
        self.optimizer = torch.optim.AdamW(self._groups(), lr=0.0, weight_decay=config.weight_decay)
        self.position = Position()
        self.unfreeze(config.trainable_in(config.phases[0]))

    @property
    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimizer moves in this phase."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def _groups(self) -> list[dict[str, Any]]:
        """What the optimizer moves, by how fast: `share` is of the learning rate."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if self.config.moves(name):
                share = self.config.refiner_rate if name.startswith("refiner.") else 1.0
                groups.setdefault(share, []).append(parameter)
        return [{"params": parameters, "share": share} for share, parameters in groups.items()]

    def set_learning_rate(self, rate: float) -> None:
        """Of the step that comes; each group takes its share."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)  # checkpoints of earlier releases have one group and no share

    def unfreeze(self, trainable: Trainable) -> None:
        """Compute gradients for these parameters and no others; the optimizer leaves the others as they are."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(trainable.covers(name))
        if not self.trained_parameters:
            raise ValueError(f"trainable={trainable.value!r} leaves nothing to train: attach adapters first")

    def autocast(self) -> torch.autocast:
        """The recipe's number format, as a context."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision is Precision.BFLOAT16)

    def save(self, folder: Path) -> None:
        """Write the checkpoint; a crash leaves the previous one."""
        state = {
            "config": self.config.as_dict(),
            "position": asdict(self.position),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        beside = folder / f".{CHECKPOINT_NAME}.partial"
        torch.save(state, beside)
        beside.replace(folder / CHECKPOINT_NAME)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint. The recipe may have changed since, but not which weights there are and which move.

        Raises:
            ValueError: they have.
        """
        known = {item.name for item in fields(TrainingConfig)}  # of an older version's others, none matters here
        before = config_from_dict({name: value for name, value in state["config"].items() if name in known})
        if before.network != self.config.network:
            raise ValueError(
                f"the checkpoint holds the network {before.network!r}, not {self.config.network!r}; "
                "use another output folder"
            )
        if any(before.moves(name) != self.config.moves(name) for name, _ in self.network.named_parameters()):
            raise ValueError(
                "the checkpoint was trained with another choice of trainable parameters; use another output folder"
            )
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.position = Position(**state["position"])


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, on the CPU; None if there is none."""
    path = folder / CHECKPOINT_NAME
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None


def start_run(
    config: TrainingConfig, device: torch.device, *, weights: Path | None, processes: Processes = ALONE
) -> RunState:
    """A run at its beginning, from random weights or from a file's; a refiner that the file lacks begins untrained."""
    preset = PRESETS[config.network]
    # The global generator, because layers initialise themselves from it; restored, so that callers notice nothing.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ImosNetwork(preset) if weights is None else load_network(weights)
        if network.refiner is None and preset.refiner is not None:
            network.attach_refiner(preset.refiner)
    return RunState(config, network if processes.count == 1 else synchronised(network, device), device)
