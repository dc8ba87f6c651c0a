"""A real case that is long enough, cut in two along its slices: does its first half teach anything about its second?"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import read_case
from benchmarks.sites.halves import Half, halves
from benchmarks.sites.site import Site
from scripts.demo.server import running_server

ADAPTER = "real"


def real_case(path: Path, *, most: int, steps: int, weights: Path) -> dict[str, Any]:
    """J&F per label of the second half, without adapters and with what the first half taught, over HTTP.

    Args:
        path: folder of the case.
        most: labels, the largest in both halves.
        steps: of the training; 0 lets the trainer choose.
        weights: of the network.

    Raises:
        ValueError: no label lies in both halves.
    """
    with tempfile.TemporaryDirectory(prefix="imos_real_") as temporary:
        folder = Path(temporary)
        studies, bank = folder / "studies", folder / "adapters"
        studies.mkdir()
        first, second = halves(read_case(path), studies, most=most)
        conf = {
            "adapter_bank": bank, "sessions": folder / "sessions", "weights": weights.resolve(),
        }  # fmt: skip
        with running_server(studies, log=folder / "server.log", conf=conf) as url:
            site = Site(url, folder)
            never = _scores(site, second, adapter="none")
            site.accept(first.name, first.truth, first.affine, first.labels)
            trained = site.train(adapter=ADAPTER, steps=steps)
            learned = _scores(site, second, adapter=trained.version)
            return {"case": path.name, "never": never, "learned": learned, **asdict(trained)}


def _scores(site: Site, half: Half, *, adapter: str) -> dict[str, float]:
    return {
        name: site.carried(half.name, half.truth == label, half.affine, label=name, axis=half.axis, adapter=adapter)[0]
        for label, name in half.labels.items()
    }
