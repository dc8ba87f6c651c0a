"""`make demo`: one marked slice of a real volume goes to the server over HTTP, and the volume comes back.

Starts the server, sends the marks as a client does, saves the answer as the server's label, scores it where there is
truth, draws it, and stops what it started.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from imos_engine.sequence import slices_touched
from imos_engine.volume_file import Volume, VolumeFileError, read_volume, write_labels
from scripts.demo.case import Case, Labels, Request
from scripts.demo.montage import draw_montage
from scripts.demo.own_images import NothingToDoError, find_case
from scripts.demo.result import Followed, follow, print_scores
from scripts.demo.server import running_server

Reply = tuple[Labels, dict[str, Any]]


def main() -> None:
    options = _parser().parse_args()
    # A stop request must pass through the `with` blocks that end the server.
    signal.signal(signal.SIGTERM, _stop)
    try:
        run(options.output, own_images=options.studies, seeds=options.seeds, weights=options.weights)
    except (NothingToDoError, VolumeFileError, MONAILabelClientException, RuntimeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def run(output: Path, *, own_images: Path | None, seeds: Path | None, weights: Path | None) -> None:
    """The whole demo, from an image to a picture."""
    began = time.monotonic()
    studies = _fresh_folder(output) / "studies"
    studies.mkdir()
    case = _find(studies, own_images, seeds)
    image = read_volume(case.image)
    print(f"image     {case.image.name}, {' x '.join(map(str, image.shape))} voxels")
    conf = {} if weights is None else {"weights": weights.resolve()}
    with running_server(studies, log=output / "server.log", conf=conf) as url:
        client = MONAILabelClient(url, tmpdir=str(output))
        print(f"server    {url}, answering after {time.monotonic() - began:.1f} s: {client.info()['name']}")
        replies = [_ask(client, case, request, output) for request in case.requests]
        labels = _combined(case, replies)
        _save(client, case, labels, image, output)
    confidence = {name: by_slice for _, params in replies for name, by_slice in params["imos"]["confidence"].items()}
    followed = [follow(case, structure, labels, confidence) for structure in case.structures]
    for one in followed:
        print_scores(one)
    draw_montage(output / "montage.png", case, image.array, followed, title=_title(case, followed))
    print(f"picture   {output / 'montage.png'}")
    print(f"seconds   {time.monotonic() - began:.1f} in all")


def _find(studies: Path, own_images: Path | None, seeds: Path | None) -> Case:
    if own_images is not None:
        return find_case(own_images, studies, seeds=seeds)
    from scripts.demo.sample import write_sample  # its packages are not needed for the user's own images

    return write_sample(studies)


def _ask(client: MONAILabelClient, case: Case, request: Request, output: Path) -> Reply:
    """Send one label file, as 3D Slicer does, and read the volume that comes back."""
    marks = output / "marks.nii.gz"
    write_labels(marks, request.marks, read_volume(case.image))
    asked = time.monotonic()
    answer, params = client.infer(request.model, _image_id(case), dict(request.params), label_in=str(marks))
    seconds = time.monotonic() - asked
    if answer is None:
        raise RuntimeError(f"the server sent no volume: {params}")
    volume = read_volume(answer)
    Path(answer).unlink()
    about = request.params.get("selected_label_name") or ", ".join(params["label_names"])
    slices = len(slices_touched(volume.array, case.axis))
    print(f"infer     {request.model}: {about}: marks in, a volume of {slices} slices out, {seconds:.1f} s")
    return volume.array, {**params, "seconds": seconds}


def _combined(case: Case, replies: list[Reply]) -> Labels:
    """One label map of all replies; where two overlap, the first asked for stays."""
    labels = np.zeros(replies[0][0].shape, np.uint16)
    for volume, params in replies:
        for name, value in params["label_names"].items():
            labels[(volume == value) & (labels == 0)] = case.structure(name).label
    return labels


def _save(client: MONAILabelClient, case: Case, labels: Labels, image: Volume, output: Path) -> None:
    """Hand the label map in as the accepted one, and read it back from the server."""
    path = output / f"label_{case.image.name}"
    write_labels(path, labels, image)
    info = [{"name": structure.name, "idx": structure.label} for structure in case.structures]
    client.save_label(_image_id(case), str(path), params={"label_info": info})
    kept = Path(client.download_label(_image_id(case), "final"))
    if not np.array_equal(read_volume(kept).array, labels):
        raise RuntimeError("the label that the server keeps differs from the one that was sent")
    kept.unlink()
    print(f"saved     {path} (PUT /datastore/label, read back and equal)")


def _title(case: Case, followed: list[Followed]) -> str:
    marked = len({index for one in followed for index in one.seeds})
    slices = int(np.logical_or.reduce([one.mask.any(axis=(1, 2)) for one in followed]).sum())
    truth = ", true outline in blue" if any(one.truth is not None for one in followed) else ""
    return f"{case.image.name}: {marked} slice{'s' * (marked > 1)} marked, {slices} segmented (red{truth})"


def _image_id(case: Case) -> str:
    return case.image.name.removesuffix(".gz").rsplit(".", 1)[0]


def _fresh_folder(output: Path) -> Path:
    """An empty output folder; only what an earlier demo left there is removed."""
    output.mkdir(parents=True, exist_ok=True)
    if (output / "studies").exists():
        shutil.rmtree(output / "studies")
    return output


def _stop(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=Path, help="your own images (NIfTI, NRRD, MHA); without it, a sample is used")
    parser.add_argument("--seeds", type=Path, help="label map with painted slices, on the grid of one of your images")
    parser.add_argument("--weights", type=Path, help="another checkpoint than the bundled one")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where results go (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
