"""Draw the pictures of docs/slicer.md and docs/api.md from real replies: `python -m scripts.pictures`.

Starts the server on the demo's sample, sends what Slicer sends, and draws marks and replies slice by slice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.client import MONAILabelClient
from scipy import ndimage

from imos_engine.sequence import frames_along
from imos_engine.volume_file import read_volume, write_labels
from scripts.demo.case import Case, Mask, Request
from scripts.demo.sample import CORONAL, write_sample
from scripts.demo.server import running_server
from scripts.pictures.drawing import Row, draw

DOCS = Path(__file__).resolve().parents[2] / "docs" / "images"
REACH = 16  # slices to either side of the marked one: enough for a picture
FAR = 44  # slices from it where it goes wrong
SHOWN = 5  # slices in a row
AWAY = (4, 12)  # pixels from the structure to a background point


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder, "studies")
        studies.mkdir()
        case = write_sample(studies)
        with running_server(studies, log=Path(folder, "server.log")) as url:
            client = MONAILabelClient(url, tmpdir=folder)
            for name, rows in pictures(client, case, Path(folder)).items():
                draw(DOCS / name, frames_along(read_volume(case.image).array, CORONAL), rows)
                print(f"wrote {DOCS / name}")


def pictures(client: MONAILabelClient, case: Case, folder: Path) -> dict[str, Sequence[Row]]:
    """Rows of slices by the picture's name."""
    middle = int(np.flatnonzero(case.request.marks.any(axis=(0, 2)))[0])
    first, last = middle - REACH, middle + REACH
    limits = {"slice_axis": str(CORONAL), "slice_range": [first, last]}
    shown = [int(index) for index in np.linspace(first, last, SHOWN)]

    points = points_on(frames_along(case.structures[0].truth, CORONAL)[middle], middle)
    clicked, _ = ask(client, case, "imos", {"label": case.structures[0].name, **points, **limits})
    drawn, _ = ask(client, case, "imos_scribbles", {**case.request.params, **limits}, case.request, folder)
    return {
        "slicer/smart_edit.png": [Row("points on one slice", clicked, shown, points=points)],
        "slicer/scribbles.png": [Row("strokes on one slice", drawn, shown, strokes=strokes_by_slice(case.request))],
        "api/correction.png": correction(client, case, folder, middle),
    }


def correction(client: MONAILabelClient, case: Case, folder: Path, middle: int) -> list[Row]:
    """A reply far from the marked slice, and the next one, with a mark on the slice that the first asked for."""
    limits = {"slice_axis": str(CORONAL), "slice_range": [middle - FAR, middle]}
    before, told = ask(client, case, "imos_scribbles", {**case.request.params, **limits}, case.request, folder)
    suggestion = told["imos"]["next_slice"]
    asked = suggestion["slice"] if suggestion else middle - FAR
    assert case.with_slices is not None, "the sample has a person who scribbles"
    request = case.with_slices([middle, asked])
    after, _ = ask(client, case, "imos_scribbles", {**request.params, **limits}, request, folder)
    shown = sorted({*np.linspace(middle - FAR, middle, SHOWN).astype(int).tolist(), asked})
    return [
        Row(f"one slice marked; next_slice: {asked}", before, shown, strokes=strokes_by_slice(case.request)),
        Row(f"slice {asked} marked too", after, shown, strokes=strokes_by_slice(request)),
    ]


def ask(
    client: MONAILabelClient,
    case: Case,
    model: str,
    params: Mapping[str, Any],
    request: Request | None = None,
    folder: Path = Path(),
) -> tuple[Mask, dict[str, Any]]:
    """Where the structure is answered to be, (T, H, W), and the JSON part; nothing is remembered between requests."""
    label = None
    if request is not None:
        label = folder / "marks.nii.gz"
        write_labels(label, request.marks, read_volume(case.image))
    file, told = client.infer(model, case.image_id, {**params, "reset_state": True}, label_in=label and str(label))
    print(f"{model}: {told['imos']['timings']['total']} s, next {told['imos']['next_slice']}")
    return frames_along(read_volume(file).array > 0, CORONAL), told


def points_on(mask: Mask, index: int) -> dict[str, list[list[int]]]:
    """A click in the middle of every large piece of a structure (H, W), and four around it."""
    inside = ndimage.distance_transform_edt(mask)
    pieces, count = ndimage.label(mask)
    large = [piece for piece in range(1, count + 1) if np.count_nonzero(pieces == piece) > 0.1 * mask.sum()]
    clicks = [np.unravel_index(np.argmax(np.where(pieces == piece, inside, 0)), mask.shape) for piece in large]
    outside = ndimage.distance_transform_edt(~mask)
    near = np.argwhere((outside > AWAY[0]) & (outside < AWAY[1]))
    corners = [near[np.argmax(near @ way)] for way in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    return {
        "foreground": [[int(row), index, int(column)] for row, column in clicks],
        "background": [[int(row), index, int(column)] for row, column in corners],
    }


def strokes_by_slice(request: Request) -> Mask:
    """Values of the marks, (T, H, W)."""
    return frames_along(request.marks, CORONAL)


if __name__ == "__main__":
    main()
