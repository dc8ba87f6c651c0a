"""What a correction costs at a real server, and what it leaves alone.

A volume gets three true masks and is carried through; then the same client sends the true mask of one more slice.
Printed: seconds and slices visited by both requests, and how many voxels changed outside the neighbouring seeds.

    python -m benchmarks.corrections              a made-up volume
    python -m benchmarks.corrections CASE_FOLDER  the largest label of a labelled case
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import nibabel
import numpy as np
import requests
from numpy.typing import NDArray
from requests_toolbelt.multipart.decoder import MultipartDecoder

from benchmarks.cases import measurable_labels, read_case
from scripts.demo.server import running_server

Mask = NDArray[np.bool_]

MADE_SHAPE = (192, 192, 96)  # the last is the number of slices
SEED_SHARES = (0.15, 0.5, 0.85)  # where the three seeds lie between the object's ends
CORRECTED_SHARE = 0.32  # and the correction, between the first two
ALLOWED_SHARE = 1 / 3  # of the seconds of the full propagation
SECONDS_TO_ANSWER = 1800
STAGES = ("load", "prompts", "encode", "read", "decode", "flow", "refine", "write", "merge", "file", "total")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A volume and the truth that is marked on it."""

    name: str
    image: NDArray[Any]  # (I, J, K) or (I, J, K, 3)
    truth: Mask  # (I, J, K)
    axis: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One reply of the server."""

    mask: Mask  # (T, H, W)
    imos: dict[str, Any]  # `params.imos`
    seconds: float  # from the request to the reply
    cpu_seconds: float  # of the server's processors meanwhile: what other programs do beside does not count


Ask = Callable[[Sequence[int]], Answer]  # slices whose true masks are sent -> the reply


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A full propagation and one correction after it."""

    full: Answer
    correction: Answer
    between: tuple[int, int]  # the seeds next to the corrected slice

    @property
    def share(self) -> float:
        """Cost of the correction over that of the full propagation."""
        return self.correction.cpu_seconds / self.full.cpu_seconds

    @property
    def changed_outside(self) -> int:
        """Voxels that changed on the neighbouring seeds and beyond them; nothing may."""
        changed = self.full.mask != self.correction.mask
        first, last = self.between
        return int(np.count_nonzero(changed)) - int(np.count_nonzero(changed[first + 1 : last]))

    @property
    def passes(self) -> bool:
        """Whether the correction is cheap and leaves everything else alone."""
        return self.share < ALLOWED_SHARE and self.changed_outside == 0


def made_task() -> Task:
    """A bright, noisy body that bends and swells from slice to slice."""
    i, j, k = np.indices(MADE_SHAPE, dtype=np.float32)
    along = k / MADE_SHAPE[2]
    centre_i, centre_j = 96 + 30 * np.sin(4 * along), 90 + 24 * np.cos(5 * along)
    radius = 22 + 8 * np.sin(9 * along)
    truth = ((i - centre_i) / 1.3) ** 2 + (j - centre_j) ** 2 <= radius**2
    truth[..., :4] = truth[..., -4:] = False
    noise = np.random.default_rng(0).normal(0, 12, MADE_SHAPE)
    return Task(name="made up", image=(np.where(truth, 150, 90) + noise).astype(np.int16), truth=truth, axis=2)


def task_of(folder: Path) -> Task:
    """The largest label of a labelled case.

    Raises:
        ValueError: the case has no label that can be measured.
    """
    case = read_case(folder)
    labels, _ = measurable_labels(case, limit=1)
    if not labels:
        raise ValueError(f"{folder} has no label on enough slices; give another case")
    name = f"{case.name}: {case.label_names[labels[0]]}"
    return Task(name=name, image=case.image, truth=case.truth == labels[0], axis=case.slice_axis)


def measure(task: Task, ask: Ask) -> Measurement:
    """Three seeds, then one more slice between the first two."""
    held = np.flatnonzero(np.moveaxis(task.truth, task.axis, 0).any(axis=(1, 2)))
    place = [int(held[round(share * (len(held) - 1))]) for share in (*SEED_SHARES, CORRECTED_SHARE)]
    *seeds, corrected = place
    return Measurement(full=ask(seeds), correction=ask([corrected]), between=(seeds[0], seeds[1]))


def asking(url: str, image: str, task: Task) -> Ask:
    """Requests of one client about one image of a server."""
    client = uuid4().hex
    frames = np.moveaxis(task.truth, task.axis, 0)

    def ask(slices: Sequence[int]) -> Answer:
        painted = np.zeros(frames.shape, np.uint8)
        painted[list(slices)] = frames[list(slices)]
        file = io.BytesIO(nibabel.Nifti1Image(np.moveaxis(painted, 0, task.axis), np.eye(4)).to_bytes())
        params = {"client_id": client, "slice_axis": task.axis, "result_extension": ".nii"}
        started, used = time.perf_counter(), cpu_seconds_of_children()
        response = requests.post(
            f"{url}/infer/imos",
            params={"image": image, "output": "all"},
            data={"params": json.dumps(params)},
            files={"label": ("painted.nii", file)},
            timeout=SECONDS_TO_ANSWER,
        )
        seconds, cpu_seconds = time.perf_counter() - started, cpu_seconds_of_children() - used
        if not response.ok:
            raise RuntimeError(f"the server refused: {response.text}")
        reply, content = (part.content for part in MultipartDecoder.from_response(response).parts)
        labels = np.asarray(nibabel.Nifti1Image.from_bytes(content).dataobj)
        return Answer(
            mask=np.moveaxis(labels > 0, task.axis, 0),
            imos=json.loads(reply)["imos"],
            seconds=seconds,
            cpu_seconds=cpu_seconds,
        )

    return ask


def cpu_seconds_of_children() -> float:
    """Processor seconds that the programs started by this one have used so far (Linux)."""
    ticks = 0
    for name in Path("/proc/self/task").glob("*/children"):
        for child in name.read_text().split():
            fields = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # in user and in system mode
    return ticks / os.sysconf("SC_CLK_TCK")


def print_table(task: Task, found: Measurement) -> None:
    """What was measured."""
    print(f"{task.name}, {' x '.join(map(str, task.truth.shape))} voxels, seeds around the correction: {found.between}")
    print(f"{'request':22}{'seconds':>9}{'CPU s':>9}{'visits':>8}{'cached':>8}{'recomputed':>12}   seconds by stage")
    for name, answer in (("three seeds", found.full), ("one corrected slice", found.correction)):
        timings = answer.imos["timings"]
        slices = "-".join(map(str, next(iter(answer.imos["recomputed"].values()))))
        stages = " ".join(f"{stage} {timings[stage]:.1f}" for stage in STAGES)
        print(
            f"{name:22}{answer.seconds:9.1f}{answer.cpu_seconds:9.1f}{timings['frames']:8d}"
            f"{timings['cached_frames']:8d}{slices:>12}   {stages}"
        )
    print(
        f"cost of the correction: {found.share:.0%} of the CPU seconds of the full one (allowed: {ALLOWED_SHARE:.0%})"
    )
    print(f"voxels changed outside the neighbouring seeds: {found.changed_outside} (allowed: 0)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if the correction costs too much or changes too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", type=Path, help="folder of a labelled case")
    chosen = parser.parse_args(arguments)
    task = task_of(chosen.case) if chosen.case else made_task()
    with tempfile.TemporaryDirectory(prefix="imos_corrections_") as folder:
        studies = Path(folder, "studies")
        studies.mkdir()
        nibabel.save(nibabel.Nifti1Image(task.image, np.eye(4)), studies / "volume.nii.gz")
        conf = {"sessions": Path(folder, "sessions")}
        with running_server(studies, log=Path(folder, "server.log"), conf=conf) as url:
            found = measure(task, asking(url, "volume", task))
    print_table(task, found)
    return 0 if found.passes else 1


if __name__ == "__main__":
    sys.exit(main())
