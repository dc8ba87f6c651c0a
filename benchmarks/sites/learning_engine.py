"""What the site's benchmark measures beside the server: a network on unseen volumes, and on looks that it knew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import find_cases, measurable_labels, read_case
from benchmarks.protocols import measure_label
from imos_engine.cli.carrying import carry
from imos_engine.metrics import largest_frame, score_sequence
from imos_engine.network import ImosNetwork
from imos_engine.network.adapter_weights import AdapterWeights, put_on
from imos_engine.propagation import Propagator
from imos_engine.sequence import Seed

Volume = NDArray[Any]


def dressed(base: ImosNetwork, weights: AdapterWeights) -> ImosNetwork:
    """A copy of the network that wears a version."""
    network = ImosNetwork(base.config)
    network.load_state_dict(base.state_dict())
    put_on(network, weights)
    network.metadata = base.metadata
    return network.eval()


def unseen_scores(network: ImosNetwork, volumes: Mapping[str, tuple[Volume, Volume]]) -> list[float]:
    """J&F of every volume, carried from its largest slice alone. Shapes: image and label (I, J, K), slices last."""
    carrier = _Carrier(network)
    scores = []
    for image, labels in volumes.values():
        truth = np.moveaxis(labels, 2, 0) > 0
        seed = largest_frame(truth)
        found = carrier(np.moveaxis(image, 2, 0), {seed: truth[seed]})
        scores.append(score_sequence(found, truth, seeds=[seed]).jf)
    return scores


def known_scores(network: ImosNetwork, folder: Path, *, labels_per_case: int | None) -> dict[str, float]:
    """J&F of every label of real cases, as `benchmarks.accuracy` measures it, by CASE/LABEL."""
    carrier = _Carrier(network)
    scores = {}
    for path in find_cases(folder):
        case = read_case(path)
        for label in measurable_labels(case, limit=labels_per_case)[0]:
            name = f"{case.name}/{case.label_names[label]}"
            scores[name] = measure_label(case, label, "", carrier).jf
    return scores


class _Carrier:
    """The engine with this network, as a method of the benchmarks."""

    def __init__(self, network: ImosNetwork) -> None:
        self._propagator = Propagator(network)

    def __call__(self, images: Volume, seeds: Mapping[int, Volume]) -> Volume:
        """Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W) bool."""
        annotated = [
            Seed(index=index, labels=mask.astype(np.uint8), objects=frozenset({1})) for index, mask in seeds.items()
        ]
        return np.asarray(carry(self._propagator, images, annotated) == 1)
