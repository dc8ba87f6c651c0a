"""What the site's benchmark measures beside the server: a network on unseen volumes, and on looks that it knew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.carry import NetworkCarrier, Setup
from benchmarks.cases import find_cases, measurable_labels, read_case
from benchmarks.protocols import measure_label
from imos_engine.metrics import largest_frame, score_sequence
from imos_engine.network import ImosNetwork

Volume = NDArray[Any]


def unseen_scores(network: ImosNetwork, volumes: Mapping[str, tuple[Volume, Volume]]) -> list[float]:
    """J&F of every volume, carried from its largest slice alone. Shapes: image and label (I, J, K), slices last."""
    carrier = _carrier(network)
    scores = []
    for image, labels in volumes.values():
        truth = np.moveaxis(labels, 2, 0) > 0
        seed = largest_frame(truth)
        found = carrier(np.moveaxis(image, 2, 0), {seed: truth[seed]})
        scores.append(score_sequence(found, truth, seeds=[seed]).jf)
    return scores


def known_scores(network: ImosNetwork, folder: Path, *, labels_per_case: int | None) -> dict[str, float]:
    """J&F of every label of real cases, as `benchmarks.accuracy` measures it, by CASE/LABEL."""
    carrier = _carrier(network)
    scores = {}
    for path in find_cases(folder):
        case = read_case(path)
        for label in measurable_labels(case, limit=labels_per_case)[0]:
            name = f"{case.name}/{case.label_names[label]}"
            scores[name] = measure_label(case, label, "", carrier).jf
    return scores


def _carrier(network: ImosNetwork) -> NetworkCarrier:
    return NetworkCarrier(network, Setup(), device=torch.device("cpu"))
