"""A client of its own on one image of the test server."""

import uuid

import numpy as np

from tests.app.images import SHAPE


class Session:
    """Sends further requests as one client."""

    def __init__(self, server, image="plain", **always):
        self._server, self._image = server, image
        self.always = {"client_id": uuid.uuid4().hex, **always}

    def send(self, label=None, **params):
        """The label map (I, J, K) and `params.imos` of the reply."""
        labels, answer = self._server.infer(self._image, {**self.always, **params}, label=label)
        return labels, answer["imos"]

    def post(self, **params):
        """The bare reply, for refusals."""
        return self._server.post(self._image, {**self.always, **params}, query={"output": "json"})


def seeds_of(imos, label=None):
    """Axis, slice and mode of every seed, of one label or all."""
    return sorted((s["axis"], s["slice"], s["mode"]) for s in imos["seeds"] if label in (None, s["label"]))


def changed_slices(first, second, axis=2):
    """Slices on which two label maps differ."""
    others = tuple(one for one in range(3) if one != axis)
    return np.flatnonzero((first != second).any(axis=others)).tolist()


def square(index, *, axis=2, low=10, high=20, value=1):
    """A label map with one painted square on one slice."""
    labels = np.zeros(SHAPE, np.uint8)
    where = [slice(low, high)] * 3
    where[2] = slice(2, 10)
    where[axis] = index
    labels[tuple(where)] = value
    return labels
