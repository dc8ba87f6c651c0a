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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from imos_engine.sequence import slices_touched
from imos_engine.volume_file import Volume, VolumeFileError, read_volume, write_labels
from scripts.demo.case import Case, Request
from scripts.demo.montage import draw_montage
from scripts.demo.own_images import NothingToDoError, find_case
from scripts.demo.result import Reply, follow, print_scores
from scripts.demo.server import running_server

CORRECTIONS = 2  # slices that are marked because the server asks for them


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
        replies = [_ask(client, case, case.request, output)]
        replies += _correct(client, case, replies, output)
        _save(client, case, replies[-1], image, output)
    followed = [follow(case, structure, reply) for reply in replies for structure in case.structures]
    for one in followed:
        print_scores(one)
    draw_montage(output / "montage.png", case, image.array, followed)
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
    answer, params = client.infer(request.model, case.image_id, dict(request.params), label_in=str(marks))
    seconds = time.monotonic() - asked
    if answer is None:
        raise RuntimeError(f"the server sent no volume: {params}")
    labels = read_volume(answer).array
    Path(answer).unlink()
    marked, found = len(slices_touched(request.marks, case.axis)), len(slices_touched(labels, case.axis))
    print(f"infer     {request.model}: {_slices(marked)} marked, {_slices(found)} segmented, {seconds:.1f} s")
    for warning in params["imos"]["warnings"]:
        print(f"warning   {warning}")
    return Reply(request=request, labels=labels, params=params)


def _correct(client: MONAILabelClient, case: Case, replies: list[Reply], output: Path) -> Iterator[Reply]:
    """Paint the slice that the server suggests, and ask again, where the case has somebody who can."""
    if case.with_slices is None:
        return
    reply, painted = replies[-1], list[int]()
    for _ in range(CORRECTIONS):
        print(f"advice    {reply.params['imos']['advice']}")
        suggested = reply.params["imos"]["next_slice"]
        if suggested is None:
            return
        painted.append(suggested["slice"])
        reply = replace(_ask(client, case, case.with_slices(painted), output), asked_for=painted[-1])
        yield reply


def _save(client: MONAILabelClient, case: Case, reply: Reply, image: Volume, output: Path) -> None:
    """Hand the label map in as the accepted one, and read it back from the server."""
    path = output / f"label_{case.image.name}"
    write_labels(path, reply.labels, image)
    info = [{"name": name, "idx": number} for name, number in reply.params["label_names"].items()]
    client.save_label(case.image_id, str(path), params={"label_info": info})
    kept = Path(client.download_label(case.image_id, "final"))
    if not np.array_equal(read_volume(kept).array, reply.labels):
        raise RuntimeError("the label that the server keeps differs from the one that was sent")
    kept.unlink()
    print(f"saved     {path} (PUT /datastore/label, read back and equal)")


def _slices(count: int) -> str:
    return f"{count} slice{'s' * (count != 1)}"


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
