"""The real server process, and what a client says to it."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import SimpleITK
from monailabel.client import MONAILabelClient

from scripts.processes import free_port

APP = Path(__file__).resolve().parents[2] / "apps" / "imos"
SECONDS_TO_START = 240  # ten on an idle machine; other tests and trainings may run beside


class QuietClient:
    """MONAI Label's own client, which leaves closing its connections to the garbage collector."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                return method(*arguments, **options)

        return call


@dataclass(frozen=True, kw_only=True)
class Server:
    url: str
    studies: Path
    temporary: Path  # the server's own temporary files
    downloads: Path  # where the client puts what it receives
    log: Path  # what the server prints

    @property
    def client(self):
        return QuietClient(MONAILabelClient(self.url, tmpdir=str(self.downloads)))

    def infer(self, image, params, *, model="imos", label=None):
        """Through MONAI Label's own client: the label map as its array (I, J, K), and the JSON part."""
        # The client overwrites the field by what it was made with.
        client = QuietClient(MONAILabelClient(self.url, tmpdir=str(self.downloads), client_id=params.get("client_id")))
        file, answer = client.infer(model, image, dict(params), label_in=None if label is None else str(label))
        assert file is not None, answer
        return array_of(file), answer

    def post(self, image, params, *, model="imos", files=None, query=None, timeout=60):
        """The bare request, for replies that are refusals."""
        text = params if isinstance(params, str) else json.dumps(params)
        address = {"image": image, **(query or {})}
        return httpx.post(
            f"{self.url}/infer/{model}", params=address, data={"params": text}, files=files, timeout=timeout
        )

    def stored(self):
        """Everything in the datastore, with its content."""
        names = (path for path in sorted(self.studies.rglob("*")) if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(self.studies)): path.read_bytes() for path in names}

    def leftovers(self):
        """Images and label maps that the server left among its temporary files; it removes them after it answered."""
        kinds = (".gz", ".nii", ".nrrd", ".mha", ".bin")
        deadline = time.monotonic() + 10
        while True:
            names = [path.name for path in self.temporary.rglob("*") if path.name.endswith(kinds)]
            if not names or time.monotonic() > deadline:
                return names
            time.sleep(0.1)


def array_of(path):
    """A label map file, indexed (i, j, k)."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T


def start(studies, folder, conf):
    """Start the server and wait until it answers; returns the process and its address."""
    port = free_port()
    temporary = folder / "server-tmp"
    temporary.mkdir()
    log = (folder / "server.log").open("wb")
    pairs = [text for key, value in conf.items() for text in ("--conf", key, str(value))]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", APP, "--studies", studies]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), *pairs],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(temporary),
            "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        },
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    log.close()
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(process, url, folder / "server.log")
    except BaseException:
        stop(process)
        raise
    return process, url


@contextmanager
def running(folder, conf, *, write):
    """A server on the studies that `write` puts into the folder it is given; it ends with the `with` block."""
    studies, downloads = folder / "studies", folder / "downloads"
    studies.mkdir()
    downloads.mkdir()
    write(studies)
    process, url = start(studies, folder, conf)
    try:
        yield Server(
            url=url, studies=studies, temporary=folder / "server-tmp", downloads=downloads, log=folder / "server.log"
        )
    finally:
        stop(process)


def stop(process):
    """End the server and everything it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)


def _wait_until_up(process, url, log):
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(f"{url}/info/", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise RuntimeError(f"the server did not answer in {SECONDS_TO_START} s:\n{log.read_text()[-3000:]}")
