"""What 3D Slicer's MONAILabel module sends, byte for byte, and what it makes of the answer.

Written from what the module was seen to send; `scene` and `points` stand for what a person does in it.
"""

import email
import http.client
import itertools
import json
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlsplit

import nibabel
import numpy as np

from tests.app.server import array_of

BOUNDARY = "----------lImIt_of_THE_fIle_eW_$"
DEFAULT_CLIENT_ID = "user-xyz"  # until a person types another in the module's settings
STROKES = ("background_scribbles", "foreground_scribbles")  # in the order in which the module adds them
FILES = itertools.count()


@dataclass(frozen=True)
class Answer:
    """What the module received."""

    status: int
    labels: np.ndarray | None  # (I, J, K)
    params: dict

    def segment(self):
        """The label map as the module imports it: one segment, so one value."""
        values = set(np.unique(self.labels).tolist()) - {0}
        assert len(values) <= 1
        return self.labels > 0


@dataclass
class Slicer:
    """One person's Slicer, connected to the server."""

    server: object
    client_id: str = field(default_factory=lambda: f"user-{uuid.uuid4().hex[:6]}")
    session: str | None = None
    chosen: dict = field(default_factory=dict)  # options that the person changed

    def smart_edit(self, image, label, foreground, background=(), **extra):
        """A press of Update in SmartEdit, after points were placed."""
        params = {"label": label, "foreground": list(foreground), "background": list(background)}
        return self._infer("imos", image, {**params, **self._options("imos"), **extra})

    def scribbles(self, image, scene, selected, *, roi=()):
        """A press of Update in Scribbles; `scene` holds masks by segment's name, in the order of the scene."""
        params = {
            **self._options("imos_scribbles"),
            "roi": list(roi),
            "label_info": [{"name": name, "id": place} for place, name in enumerate(scene, start=1)],
            "selected_label_name": selected,
        }
        return self._infer("imos_scribbles", image, params, label=self._exported(image, scene))

    def submit(self, image, scene):
        """A press of Submit Label."""
        drawn = {name: mask for name, mask in scene.items() if name not in STROKES}
        info = [{"name": name, "idx": place} for place, name in enumerate(scene, start=1) if name in drawn]
        fields = {"params": json.dumps({"label_info": info, "client_id": self.client_id})}
        label = self._exported(image, drawn)
        return self._send("PUT", f"/datastore/label?image={quote_plus(image)}", fields, {"label": label})

    def open_session(self, image):
        """Have the module upload an image for itself alone."""
        path = self.server.studies / f"{image}.nii.gz"
        self.session = self.server.client.create_session(str(path))["session_id"]

    def _options(self, model):
        config = self.server.client.info()["models"][model]["config"]
        defaults = {name: value[0] if isinstance(value, list) else value for name, value in config.items()}
        return {**defaults, **self.chosen}

    def _infer(self, model, image, params, label=None):
        params = {**params, "result_extension": ".nrrd", "result_dtype": "uint8", "client_id": self.client_id}
        address = f"/infer/{quote_plus(model)}?image={quote_plus(image)}"
        if self.session:
            address += f"&session_id={quote_plus(self.session)}"
        return self._send("POST", address, {"params": json.dumps(params)}, {"label": label} if label else {})

    def _send(self, method, address, fields, files):
        body = encoded(fields, files)
        server = urlsplit(self.server.url)
        connection = http.client.HTTPConnection(server.hostname, server.port, timeout=120)
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "content-length": str(len(body))}
        try:
            connection.request(method, address, body, headers)
            reply = connection.getresponse()
            return self._answer(reply.status, reply.getheader("content-type"), reply.read())
        finally:
            connection.close()

    def _answer(self, status, kind, content):
        if status != 200 or "multipart" not in kind:
            return Answer(status, None, json.loads(content))
        message = email.message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + content)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        path = self.server.downloads / f"slicer_{next(FILES)}.nrrd"
        path.write_bytes(parts["image"].get_payload(decode=True))
        return Answer(status, array_of(path), json.loads(parts["params"].get_payload(decode=True)))

    def _exported(self, image, scene):
        """Every segment of the scene in one label map: where two overlap, the later is seen."""
        source = nibabel.load(self.server.studies / f"{image}.nii.gz")
        labels = np.zeros(source.shape, np.int16)
        for value, mask in enumerate(scene.values(), start=1):
            labels[np.asarray(mask, bool)] = value
        path = self.server.downloads / f"tmp{next(FILES)}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(labels, source.affine), path)
        return path


def encoded(fields, files):
    """The form as the module puts it together."""
    lines = []
    for name, text in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"', "", text]
    for name, path in files.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"; filename="{path}"']
        lines += ["Content-Type: application/octet-stream", "", path.read_bytes()]
    lines += [f"--{BOUNDARY}--", ""]
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines)
