"""A simulated annotator at a real server: does it pay to correct the slice that the server suggests?

First a few strokes on the slice where a label is largest; then, again and again, the true mask of one more slice (or
"not here", where the label is absent). Which slice: `suggested` takes the one of the last reply, and stops when the
reply says that no further correction is worth it; `middle of gap` takes the middle of the largest gap between annotated
slices, and knows the label's true first and last slice; `first then gap` paints the slice with the strokes before that.
Dice of the volume after each interaction.

    python -m benchmarks.annotator FOLDER --labels-per-case 1
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import nibabel
import numpy as np
import requests
from numpy.typing import NDArray
from requests_toolbelt.multipart.decoder import MultipartDecoder

from benchmarks.cases import LabelledCase, find_cases, measurable_labels, read_case
from benchmarks.protocols import ROUNDS, RoundsMeasurement
from benchmarks.simulated_prompts import KINDS
from benchmarks.summary import by_method, difference, rows_of, within
from benchmarks.tables import print_differences, print_results
from imos_engine.metrics import dice
from scripts.demo.server import running_server

Mask = NDArray[np.bool_]

MODEL = "imos_scribbles"
SUGGESTED, MIDDLE, FIRST_THEN_MIDDLE = "suggested", "middle of gap", "first then gap"
OBJECT, STROKES, ERASED = 1, 2, 3  # ids in the label file that an annotator sends
STROKES_KIND = "3 strokes"
SECONDS_TO_ANSWER = 1800


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """All that an annotator has said of one label so far; every mask (H, W)."""

    strokes: Mapping[int, Mask]  # inside the label, by slice
    masks: Mapping[int, Mask] = field(default_factory=dict)  # the label itself, by slice; an empty one says "not here"

    @property
    def slices(self) -> set[int]:
        """Slices that were annotated."""
        return {*self.strokes, *self.masks}

    def with_mask(self, index: int, mask: Mask) -> Annotation:
        """This and one more slice; a slice that is annotated again has the later mask."""
        kept = {other: one for other, one in self.strokes.items() if other != index}
        return Annotation(strokes=kept, masks={**self.masks, index: mask})

    def label_map(self, shape: tuple[int, int, int], axis: int) -> NDArray[np.uint8]:
        """The label file (I, J, K) of a volume of `shape`, slices across `axis`."""
        frames = np.zeros(shape, np.uint8)
        by_slice = np.moveaxis(frames, axis, 0)
        for index, strokes in self.strokes.items():
            by_slice[index][strokes] = STROKES
        for index, mask in self.masks.items():
            by_slice[index] = np.where(mask, OBJECT, 0) if mask.any() else ERASED
        return frames


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server made of an annotation."""

    mask: Mask  # (T, H, W)
    suggestion: int | None  # the slice to correct next; None: it is not worth it
    seconds: float


Ask = Callable[[Annotation], Answer]
Choose = Callable[[Annotation, Answer, Mask], int | None]  # ..., truth (T, H, W) -> the next slice


class HttpAnnotator:
    """Asks a server about one label of one image, as one client."""

    def __init__(self, url: str, image: Path, label: str, *, axis: int) -> None:
        """`image` is the file in the server's study folder."""
        self._url, self._image, self._label, self._axis = url, image, label, axis
        self._client = f"annotator-{uuid4().hex}"
        self._grid = nibabel.load(image)

    def __call__(self, annotation: Annotation) -> Answer:
        """Send all that was said so far; to a server that remembers earlier requests only the last of it is new.

        Raises:
            RuntimeError: the server refused; the message holds its sentence.
        """
        labels = annotation.label_map(self._grid.shape[:3], self._axis)
        names = {self._label: OBJECT, "foreground_scribbles": STROKES, "background_scribbles": ERASED}
        params = {
            "label_info": [{"name": name, "id": number} for name, number in names.items()],
            "selected_label_name": self._label,
            "slice_axis": str(self._axis),
            "client_id": self._client,
            "result_extension": ".nii",
        }
        start = time.perf_counter()
        response = requests.post(
            f"{self._url}/infer/{MODEL}",
            params={"image": self._image.name.removesuffix(".nii.gz"), "output": "all"},
            data={"params": json.dumps(params)},
            files={"label": ("annotation.nii", nibabel.Nifti1Image(labels, self._grid.affine).to_bytes())},
            timeout=SECONDS_TO_ANSWER,
        )
        seconds = time.perf_counter() - start
        if not response.ok:
            raise RuntimeError(f"the server refused {self._label} of {self._image.name}: {response.text}")
        reply, file = (part.content for part in MultipartDecoder.from_response(response).parts)
        suggestion = json.loads(reply)["imos"]["next_slice"]
        found = np.asarray(nibabel.Nifti1Image.from_bytes(file).dataobj)
        return Answer(
            mask=np.moveaxis(found > 0, self._axis, 0),
            suggestion=None if suggestion is None else int(suggestion["slice"]),
            seconds=seconds,
        )


def suggested(annotation: Annotation, answer: Answer, truth: Mask) -> int | None:
    """The slice that the last reply names."""
    return answer.suggestion


def middle_of_gap(annotation: Annotation, answer: Answer, truth: Mask) -> int | None:
    """The middle of the largest gap between annotated slices and the label's true ends, the first of equals."""
    held = np.flatnonzero(truth.any(axis=(1, 2)))
    said = sorted(annotation.slices)
    stops = [min(int(held[0]), said[0]) - 1, *said, max(int(held[-1]), said[-1]) + 1]
    before, after = max(pairwise(stops), key=lambda gap: gap[1] - gap[0])
    return (before + after) // 2 if after - before > 1 else None


def first_then_middle(annotation: Annotation, answer: Answer, truth: Mask) -> int | None:
    """The slice with the strokes, then as `middle_of_gap`: what is left of a suggestion that is always to paint it."""
    return next(iter(annotation.strokes), None) if annotation.strokes else middle_of_gap(annotation, answer, truth)


STRATEGIES: Mapping[str, Choose] = {
    SUGGESTED: suggested,
    MIDDLE: middle_of_gap,
    FIRST_THEN_MIDDLE: first_then_middle,
}


def first_annotation(case: LabelledCase, label: int) -> Annotation:
    """A few strokes on the slice where a label is largest, the same on every call."""
    seed = case.seed_frame(label)
    generator = np.random.default_rng(zlib.crc32(f"{case.name}/{label}/annotator".encode()))
    strokes = KINDS[STROKES_KIND](case.label_mask(label)[seed], generator).scribbles_foreground
    assert strokes is not None
    return Annotation(strokes={seed: strokes})


def measure_session(
    case: LabelledCase, label: int, name: str, *, ask: Ask, first: Answer | None = None
) -> tuple[RoundsMeasurement, Answer]:
    """One annotator's session by one strategy; `first` is the answer to the strokes, where it is known already."""
    truth, annotation = case.label_mask(label), first_annotation(case, label)
    order = sorted(annotation.slices)
    opening = answer = first or ask(annotation)
    scores, seconds = [dice(answer.mask, truth)], [answer.seconds]
    while len(scores) < ROUNDS:
        chosen = STRATEGIES[name](annotation, answer, truth)
        if chosen is None:
            scores += [scores[-1]] * (ROUNDS - len(scores))
            break
        order.append(chosen)
        annotation = annotation.with_mask(chosen, truth[chosen])
        answer = ask(annotation)
        scores.append(dice(answer.mask, truth))
        seconds.append(answer.seconds)
    measured = RoundsMeasurement(
        case=case.name,
        modality=case.modality,
        label=case.label_names[label],
        method=name,
        frames=tuple(order),
        dice=tuple(scores),
        seconds_per_frame=float(np.mean(seconds)) / len(truth),
    )
    return measured, opening


def measure_label(
    case: LabelledCase, label: int, asking: Callable[[], Ask], strategies: Sequence[str] = tuple(STRATEGIES)
) -> list[RoundsMeasurement]:
    """Every strategy; each is a client of its own (`asking`), and all begin with the same strokes."""
    results: list[RoundsMeasurement] = []
    opening = None
    for name in strategies:
        found, opening = measure_session(case, label, name, ask=asking(), first=opening)
        results.append(found)
    return results


def write_image(folder: Path, case: LabelledCase, studies: Path) -> Path:
    """A case's image as a file that the server takes, in its stored voxel order."""
    path = studies / f"{case.name}.nii.gz"
    if (folder / "image.nii.gz").exists():
        shutil.copyfile(folder / "image.nii.gz", path)
        return path
    colour = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    pixels = np.ascontiguousarray(case.image).view(colour)[..., 0] if case.image.ndim == 4 else case.image
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([*(np.array([-1, -1, 1]) * case.spacing_mm), 1.0])), path)
    return path


def print_sessions(results: Sequence[RoundsMeasurement]) -> None:
    """Tables of Dice after each interaction, what was annotated, and how far apart the strategies are."""
    print_results(results)
    sessions = by_method(results)
    ours = sessions.pop(SUGGESTED, [])
    if not ours:
        return
    for name, other in sessions.items():
        gaps = [difference(within(ours, row), within(other, row), row=row, second_name=name) for row in rows_of(ours)]
        print_differences(f"suggested minus {name}, mean Dice, 95% interval of the difference", gaps)
    stopped = sum(len(one.frames) < ROUNDS for one in ours)
    print(f"\n{stopped} of {len(ours)} labels: no further correction suggested before {ROUNDS} interactions")
    for one in ours:
        print(f"{one.case[:24]:26}{one.label[:28]:30}slices {', '.join(map(str, one.frames))}")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    results: list[RoundsMeasurement] = []
    conf = {"models": "all", "threads": options.threads, "device": options.device}
    with tempfile.TemporaryDirectory(prefix="annotator-") as temporary:
        studies = Path(temporary, "studies")
        studies.mkdir()
        folders = {folder.name: folder for folder in find_cases(options.folder)}
        wanted = options.cases.split(",") if options.cases else list(folders)
        cases = [(read_case(folders[name]), folders[name]) for name in wanted]
        images = {case.name: write_image(folder, case, studies) for case, folder in cases}
        with running_server(studies, log=Path(temporary, "server.log"), conf=conf) as url:
            for case, _ in cases:
                for label in measurable_labels(case, limit=options.labels_per_case)[0]:
                    axis, name, image = case.slice_axis, case.label_names[label], images[case.name]
                    asking = partial(HttpAnnotator, url, image, name, axis=axis)
                    found = measure_label(case, label, asking, options.strategies)
                    results += found
                    shown = [f"{one.method} " + " ".join(f"{score:.3f}" for score in one.dice) for one in found]
                    print(f"{case.name}: {name}: {'; '.join(shown)}", file=sys.stderr, flush=True)
    print_sessions(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.annotator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    parser.add_argument("--cases", help="only these cases, by the names of their folders, separated by commas")
    parser.add_argument("--labels-per-case", type=int, metavar="N", help="only the N largest labels of each case")
    parser.add_argument(
        "--strategies",
        type=_strategies,
        default=list(STRATEGIES),
        metavar="NAME,NAME",
        help=f"of {', '.join(STRATEGIES)} (default: all)",
    )
    parser.add_argument("--threads", type=int, default=1, help="of the server (default: 1)")
    parser.add_argument("--device", default="cpu", help="of the server (default: cpu)")
    return parser


def _strategies(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in STRATEGIES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no strategy {unknown[0]!r}; choose from {', '.join(STRATEGIES)}")
    return list(dict.fromkeys(chosen))


if __name__ == "__main__":
    main()
