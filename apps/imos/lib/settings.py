"""The app's own settings: what `--conf KEY VALUE` may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imos_engine.adapters import AdapterError
from imos_engine.adapters.choice import AdapterChoice
from imos_engine.config import PRESETS, Precision, PropagationConfig
from lib.errors import closest, listed
from lib.labels import LabelError, read_labels

MODELS = ("imos", "imos_scribbles")
FETCHED = ("xmem",)  # presets whose weights the repository does not carry: `imos fetch` brings them
PROMPT_WEIGHTS = "imos_prompts.safetensors"
PROMPT_SOLVERS = ("learned", "classical")
SERVER_KEYS = ("server_mode",)  # keys that MONAI Label itself reads


class ConfError(ValueError):
    """A `--conf` pair that the app cannot use."""


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """How this server offers iMOS."""

    models: tuple[str, ...]
    weights: Path
    prompts: Path | None  # weights that make masks of marks; None grows regions without any
    device: str  # as torch names it
    labels: Mapping[str, int]  # offered names and their ids, 1 to 255
    propagation: PropagationConfig
    threads: int | None  # for one inference on the CPU; None leaves torch's choice
    adapter: str  # none, auto, NAME or NAME/VERSION: what serves requests that do not choose
    adapter_bank: Path  # folder of adapter versions
    sessions: Path  # folder of what clients said so far


def read_settings(conf: Mapping[str, str], *, app_dir: Path) -> AppSettings:
    """Read every `--conf` pair.

    Raises:
        ConfError: for an unknown key, or a value that cannot be used.
    """
    for key in conf:
        if key not in READERS and key not in SERVER_KEYS:
            raise ConfError(f"--conf {key}: unknown key{closest(key, READERS)}; known keys are {listed(READERS)}")
    value = {key: reader(conf.get(key, "").strip()) for key, reader in READERS.items()}
    return AppSettings(
        models=value["models"],
        weights=value["weights"] or _bundled_weights(value["network"], app_dir / "model"),
        prompts=_prompts(value["prompts"], app_dir / "model" / PROMPT_WEIGHTS),
        device=value["device"],
        labels=value["labels"],
        propagation=PropagationConfig(
            **{field: value[key] for field, key in PROPAGATION_KEYS.items() if conf.get(key, "").strip()}
        ),
        threads=value["threads"],
        adapter=value["adapter"],
        adapter_bank=value["adapter_bank"] or app_dir / "model" / "adapters",
        sessions=value["sessions"] or app_dir / "sessions",
    )


def _models(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in (*MODELS, "all"):
            raise ConfError(
                f"--conf models {text}: no model {name!r}{closest(name, MODELS)}; offered: {listed(MODELS)}, all"
            )
    return MODELS if not names or "all" in names else names


def _network(text: str) -> str:
    name = text or "small"
    if name not in PRESETS:
        raise ConfError(f"--conf network {text}: no such preset; there are {listed(PRESETS)}")
    return name


def _weights(text: str) -> Path | None:
    path = Path(text).expanduser() if text else None
    if path is not None and not path.is_file():
        raise ConfError(f"--conf weights {path}: no such file; give the path of a .safetensors or .pth checkpoint")
    return path


def _bundled_weights(network: str, folder: Path) -> Path:
    path = folder / f"imos_{network}.safetensors"
    if path.is_file():
        return path
    remedy = "the app's copy is incomplete, restore that file"
    if network in FETCHED:
        remedy = f"with internet, run `imos fetch {network} --output {path}` once"
    raise ConfError(f"--conf network {network}: no weights at {path}; {remedy}, or give others by --conf weights FILE")


def _prompt_solver(text: str) -> str:
    if text and text not in PROMPT_SOLVERS:
        raise ConfError(f"--conf prompts {text}: give one of {listed(PROMPT_SOLVERS)}")
    return text


def _prompts(solver: str, bundled: Path) -> Path | None:
    """Where the weights lie; by default those bundled, where they are."""
    if solver == "learned" and not bundled.is_file():
        raise ConfError(f"--conf prompts learned: there are no weights at {bundled}; give classical")
    return bundled if solver != "classical" and bundled.is_file() else None


def _device(text: str) -> str:
    name = text or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfError(f"--conf device {text}: not a device; give cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfError(f"--conf device {text}: this machine has no usable CUDA device; give cpu")
    return name


def _labels(text: str) -> dict[str, int]:
    try:
        return read_labels(text)
    except LabelError as error:
        raise ConfError(f"--conf labels {text}: {error}") from error


def _size(text: str) -> int | None:
    return None if text in ("", "full") else _whole_number("size", text, least=32, unit="pixels, or full")


def _precision(text: str) -> Precision | None:
    names = ["auto", *(precision.value for precision in Precision)]
    if text and text not in names:
        raise ConfError(f"--conf precision {text}: give one of {listed(names)}")
    return Precision(text) if text not in ("", "auto") else None


def _cache_bytes(text: str) -> int:
    return _whole_number("cache_mb", text, least=0, unit="megabytes") * 2**20 if text else 0


def _threads(text: str) -> int | None:
    return _whole_number("threads", text, least=1, unit="threads") if text else None


def _adapter(text: str) -> str:
    try:
        AdapterChoice.parse(text or "auto")
    except AdapterError as error:
        raise ConfError(f"--conf adapter {text}: {error}") from error
    return text or "auto"


def _sessions(text: str) -> Path | None:
    path = Path(text).expanduser().resolve() if text else None
    if path is not None and path.exists() and not path.is_dir():
        raise ConfError(f"--conf sessions {path}: that is a file; give a folder")
    return path


def _adapter_bank(text: str) -> Path | None:
    path = Path(text).expanduser() if text else None
    if path is not None and path.exists() and not path.is_dir():
        raise ConfError(f"--conf adapter_bank {path}: that is a file; give a folder")
    return path


def _whole_number(key: str, text: str, *, least: int, unit: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ConfError(f"--conf {key} {text}: not a whole number; give at least {least} {unit}") from None
    if number < least:
        raise ConfError(f"--conf {key} {text}: too small; give at least {least} {unit}")
    return number


READERS: Mapping[str, Callable[[str], Any]] = {
    "models": _models,  # which models to offer: imos, imos_scribbles or all, separated by commas
    "network": _network,  # which weights in model/ to use: small, or xmem once fetched
    "weights": _weights,  # path of another checkpoint
    "prompts": _prompt_solver,  # how marks become masks: learned (default where its weights are) or classical
    "device": _device,  # where to compute by default: cpu, cuda, cuda:1
    "size": _size,  # internal frame size in pixels, or full
    "precision": _precision,  # auto, bfloat16 or float32
    "labels": _labels,  # names that clients offer, separated by commas, or a file of them
    "cache_mb": _cache_bytes,  # memory for encoded slices kept for corrections
    "threads": _threads,  # CPU threads of one inference
    "adapter": _adapter,  # none, auto (default: by label and look), NAME or NAME/VERSION
    "sessions": _sessions,  # folder of what clients said so far (default: sessions)
    "adapter_bank": _adapter_bank,  # folder of adapter versions (default: model/adapters)
}
# Settings of the engine that a key of `--conf` replaces.
PROPAGATION_KEYS = {"size": "size", "precision": "precision", "feature_cache_bytes": "cache_mb"}
