"""The fields of a request to train: from what a client shows as options to checked values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from imos_engine.adapters import AdapterError
from imos_engine.adapters.bank import checked_name
from imos_engine.adapters.learning_settings import LearningSettings
from lib.errors import RequestError

DEFAULT_NAME = "site"
PARTS = ("adapters", "adapters+decoder")
TRACKING = ("none", "mlflow")
# What Slicer shows as editable options; lists are choices, and their first entry is the default. 0 is "choose for me".
ADVERTISED: Mapping[str, Any] = {
    "adapter": DEFAULT_NAME,  # its name in the bank
    "train": list(PARTS),
    "steps": 0,
    "learning_rate": 0.0,
    "replay": LearningSettings().replay,
    "gradient_checkpointing": False,
    "multi_gpu": True,
    "gpus": "all",  # or their numbers, "0,1": MONAI Label hides the others from the training
    "tracking": list(TRACKING),
    "tracking_uri": "",
}


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What one client asked for."""

    adapter: str
    learning: LearningSettings
    device: str
    multi_gpu: bool  # train on all GPUs that can be seen
    tracking: str
    tracking_uri: str  # empty: MLflow's own default


def read_train_request(request: Mapping[str, Any], *, default_device: str) -> TrainRequest:
    """Check the fields that mean something here; MONAI Label adds others of its own.

    Raises:
        RequestError: a value cannot be used.
    """
    steps, rate = _number(request, "steps"), _number(request, "learning_rate")
    try:
        learning = LearningSettings(
            steps=int(steps) or None,
            learning_rate=rate or None,
            replay=_number(request, "replay"),
            decoder=_choice(request, "train", PARTS) == "adapters+decoder",
            gradient_checkpointing=_yes(request, "gradient_checkpointing"),
        )
        name = checked_name(str(request.get("adapter") or DEFAULT_NAME))
    except (ValueError, AdapterError) as error:
        raise RequestError(f"this cannot be trained: {error}") from error
    return TrainRequest(
        adapter=name,
        learning=learning,
        device=_device(request.get("device"), default_device),
        multi_gpu=_yes(request, "multi_gpu"),
        tracking=_choice(request, "tracking", TRACKING),
        tracking_uri=str(request.get("tracking_uri") or ""),
    )


def _number(request: Mapping[str, Any], name: str) -> float:
    value = request.get(name)
    if value is None or value == "":
        value = ADVERTISED[name]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RequestError(f"{name} is {value!r}; send a number, or leave it out") from None
    if not 0 <= number < 1e6:
        raise RequestError(f"{name} is {value!r}; send a number that is not negative")
    return number


def _yes(request: Mapping[str, Any], name: str) -> bool:
    value = request.get(name)
    found = {"true": True, "1": True, "false": False, "0": False, "": bool(ADVERTISED[name])}.get(
        "" if value is None else str(value).lower()
    )
    if found is None:
        raise RequestError(f"{name} is {value!r}; send true or false")
    return found


def _choice(request: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = request.get(name)
    if value is None or value == "" or isinstance(value, list):
        return choices[0]
    found = str(value).lower()
    if found not in choices:
        raise RequestError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
    return found


def _device(value: Any, default: str) -> str:
    name = default if value is None or value == "" or isinstance(value, list) else str(value)
    if name.startswith("cuda") and not torch.cuda.is_available():
        logging.getLogger(__name__).warning("There is no %s here; training on the CPU", name)
        return "cpu"
    try:
        torch.device(name)
    except RuntimeError:
        raise RequestError(f"device {name!r} is none; send cpu, cuda or cuda:0") from None
    return name
