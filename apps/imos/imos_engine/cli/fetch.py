"""`imos fetch`: published weights, brought on request and kept only once they fit."""

from __future__ import annotations

import argparse
import hashlib
import sys
from datetime import date
from pathlib import Path

from tqdm import tqdm

from imos_engine.cli.download import discard, download
from imos_engine.cli.inputs import DEFAULT_WEIGHTS
from imos_engine.config import PRESETS
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import CheckpointError, load_network, save_network

XMEM_URL = "https://github.com/hkchengrex/XMem/releases/download/v1.0/XMem.pth"
DEFAULT_OUTPUT = DEFAULT_WEIGHTS.with_name("imos_xmem.safetensors")
COPIES = 2  # on disk for a moment: the file as it came, and the one written from it

DESCRIPTION = """\
Bring the published XMem weights (62 M parameters, about 250 MB) into the app's folder; needs the internet.

They were made by the authors of XMem (arXiv 2207.07115), who publish them with their code under the MIT licence.
An interrupted download goes on when the command is given again. The file is opened as numbers only, compared with
the network's keys and shapes, and kept as .safetensors if they agree. `--conf network xmem` then serves it.
"""

NOTE = """\
# `{name}`

| | |
|---|---|
| what | the published XMem network (arXiv 2207.07115), preset `xmem`, {parameters:.1f} M parameters |
| source | {url}, brought by `imos fetch xmem` on {day} |
| SHA-256 of the source | `{source_sha256}` |
| SHA-256 of this file | `{sha256}` |
| licence | MIT, Copyright (c) 2024 Ho Kei Cheng: https://github.com/hkchengrex/XMem/blob/main/LICENSE |

The numbers are those of the source; only the container differs, and says which network it is for. The authors trained
on public collections of images and videos, which have terms of their own.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos fetch`."""
    parser = commands.add_parser(
        "fetch",
        help="bring published weights from the internet",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", choices=("xmem",), help="which weights: xmem")
    parser.add_argument("--url", default=XMEM_URL, help="another address of the same file (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=DEFAULT_OUTPUT,
        metavar="FILE",
        help=".safetensors to write (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it is there already")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos fetch`."""
    output = options.output
    _check_output(output, force=options.force)
    part = output.with_suffix(".part.pth")
    try:
        _bring(options.url, part, show_progress=not options.quiet)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what came is kept; the same command goes on from there") from None
    try:
        network = _published_network(part, preset=options.network)
    except CheckpointError:
        discard(part)  # else every further call would find it whole, and wrong
        raise
    source_sha256 = _sha256(part)
    metadata = {"source": options.url, "source_sha256": source_sha256, "licence": "MIT"}
    save_network(output, network, metadata=metadata)
    note = NOTE.format(
        name=output.name,
        parameters=sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        url=options.url,
        day=date.today(),
        source_sha256=source_sha256,
        sha256=_sha256(output),
    )
    output.with_suffix(".md").write_text(note, encoding="utf-8")
    discard(part)
    print(output)


def _check_output(output: Path, *, force: bool) -> None:
    if output.suffix != ".safetensors":
        raise ValueError(f"--output {output} is no name we write; end it in .safetensors")
    folder = output.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; create it, or choose another place with --output")
    for path in (output, output.with_suffix(".md")):
        if path.exists() and not force:
            raise ValueError(f"{path} is there already; --force replaces it")


def _bring(url: str, part: Path, *, show_progress: bool) -> None:
    steps = download(url, part, copies=COPIES)
    first = next(steps)  # there is a connection: from here on a bar has something to say
    with tqdm(
        total=first.size,
        initial=first.received,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=not show_progress,
    ) as bar:
        for progress in steps:
            bar.total = progress.size
            bar.update(progress.received - bar.n)


def _published_network(path: Path, *, preset: str) -> ImosNetwork:
    """The network of a file that came.

    Raises:
        CheckpointError: it is anything but tensors with the keys and shapes of the preset.
    """
    try:
        network = load_network(path)
    except CheckpointError as error:
        raise CheckpointError(f"what came was removed, it is not the published file: {error}") from error
    if network.config != PRESETS[preset]:
        raise CheckpointError(
            "what came was removed, it is a network with adapters and not the published one; to serve it, download it "
            "yourself and give its path to --conf weights"
        )
    return network


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
