"""Which image a session is about, and whose session it is."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT = 16  # images whose digest is kept, so that a correction need not read all voxels again
SHARED_CLIENT_IDS = frozenset({"user-xyz"})  # what every Slicer sends until its user chooses another in the settings


def client_identity(client_id: str, *, address: str, browser: str, in_session: bool) -> str:
    """A text that is different for different clients; empty when a client cannot be told from others.

    Args:
        client_id: what the request says.
        address: where the request came from.
        browser: what this server gave to the browser that asks, if one does.
        in_session: the image lies in a session of MONAI Label, which is one client's.
    """
    if client_id in SHARED_CLIENT_IDS:
        return f"id {client_id} at {address}"
    if client_id:
        return f"id {client_id}"
    if browser:
        return f"browser {browser}"
    return "session" if in_session else ""


class ImageIdentities:
    """Digests of images, so that a file that was replaced is another image, and one that was merely touched is not."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = threading.Lock()

    def identity(self, path: Path, stamp: Hashable, array: npt.NDArray[Any], affine: npt.NDArray[Any]) -> str:
        """A text that names an image and its content. `stamp` says whether the file is the one seen before."""
        with self._lock:
            digest = self._known.get(stamp)
        if digest is None:
            digest = _digest(array, affine)
            with self._lock:
                self._known[stamp] = digest
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
        return f"{path} {digest}"


def _digest(array: npt.NDArray[Any], affine: npt.NDArray[Any]) -> str:
    digest = hashlib.blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=20)
    digest.update(np.ascontiguousarray(affine, dtype=np.float64).tobytes())
    slowest = int(np.argmax(np.abs(array.strides)))  # one slab at a time, in the order in which memory holds them
    for slab in np.moveaxis(array, slowest, 0):
        digest.update(np.asfortranarray(slab).tobytes(order="A") if slab.flags.f_contiguous else slab.tobytes())
    return digest.hexdigest()
