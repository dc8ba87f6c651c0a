"""Orthanc and our app on it, and the requests that OHIF's panel sends."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from scripts.ohif.orthanc import Orthanc

SECONDS_TO_LIST = 20.0  # until a series that came must be offered
# What the panel adds to its points.
OHIF_PARAMS = {
    "result_extension": ".nrrd",
    "result_dtype": "uint8",
    "result_compress": False,
    "restore_label_idx": False,
}


@dataclass(frozen=True, kw_only=True)
class Store:
    """An app on a DICOMweb server."""

    orthanc: Orthanc
    app: str  # address
    folder: Path  # what the app keeps
    log: Path

    def add(self, series):
        """Upload a series that a test wrote."""
        for path in series.files:
            self.orthanc.store(path.read_bytes())
        return series

    def post(self, series_uid, foreground, background=(), *, browser=httpx, model="imos", timeout=240, **options):
        """The bare reply to a press of Run, in a `browser` that keeps its cookies, or from nobody in particular."""
        params = {**options, "foreground": foreground, "background": list(background), **OHIF_PARAMS}
        return browser.post(
            f"{self.app}/infer/{model}",
            params={"image": series_uid, "output": "image"},
            files={"params": (None, json.dumps(params))},
            headers={"accept": "application/json, multipart/form-data"},
            timeout=timeout,
        )

    def browser(self):
        """A browser that shows our page; to be closed."""
        return httpx.Client(headers={"origin": self.app})

    def infer(self, series_uid, foreground, background=(), **options):
        """The label map as OHIF lays it over the series, (I, J, K)."""
        reply = self.post(series_uid, foreground, background, **options)
        assert reply.status_code == 200, reply.text
        return labels_of_nrrd(reply.content)

    def listed(self):
        """How many images the app offers; for two seconds it believes its own list."""
        return httpx.get(f"{self.app}/datastore/", timeout=60).json()["total"]

    def listed_after(self, before):
        """How many images it offers once that changes from `before`."""
        deadline = time.monotonic() + SECONDS_TO_LIST
        while (now := self.listed()) == before and time.monotonic() < deadline:
            time.sleep(0.1)
        return now


def labels_of_nrrd(content):
    """Read a reply the way OHIF does: a header, then bytes that it takes in the order of its own volume."""
    text, _, buffer = content.partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in text.decode().splitlines() if ": " in line)
    assert fields["encoding"] == "raw"
    assert fields["type"] in ("unsigned char", "uchar", "uint8")
    sizes = [int(size) for size in fields["sizes"].split()]
    return np.frombuffer(buffer, np.uint8).reshape(sizes, order="F")
