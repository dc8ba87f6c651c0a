"""Volumes made from videos, kept so that each video is decoded once."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path

from imos_engine.volume_file import VolumeFileError
from lib.errors import RequestError
from lib.frames.png_folder import frame_files
from lib.frames.volume import write_frame_volume

logger = logging.getLogger(__name__)

INSUFFICIENT_STORAGE = 507
MOST_KEPT_BYTES = 20 * 2**30


class VolumeCache:
    """A folder of volumes by the content of their videos; the longest unused leave first. Safe across threads."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._making = threading.Lock()

    def path(self, video: Path) -> Path:
        """Where the volume of a video is, or will be once it is asked for: a video that was replaced has another."""
        key = hashlib.sha256(repr(_content(video)).encode()).hexdigest()[:20]
        name = video.name if video.is_dir() else video.stem
        return self._folder / key / f"{name}.nii"

    def volume(self, video: Path) -> Path:
        """The volume of a video, decoded now if it is not there.

        Raises:
            RequestError: the video cannot be read or is gone, or there is no room for its volume.
        """
        if not video.exists():
            raise RequestError(f"the video {video.name} is no longer in the datastore; put it back", status=404)
        try:
            path = self.path(video)
            with self._making:
                if not path.is_file():
                    self._make(video, path)
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # used now, and still of the same content
            return path
        except VolumeFileError as error:
            raise RequestError(f"the video cannot be used: {error}") from error
        except OSError as error:
            raise RequestError(
                f"the video {video.name} cannot be unpacked into {self._folder} ({error}); make room there, or set "
                "XDG_CACHE_HOME to a folder with more before the server is started",
                status=INSUFFICIENT_STORAGE,
            ) from error

    def forget(self, video: Path) -> None:
        """Remove the volume of a video that is about to be removed itself."""
        path = self.path(video)
        with self._making:
            _remove(path)

    def _make(self, video: Path, path: Path) -> None:
        started = time.perf_counter()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # images of patients
        try:
            write_frame_volume(video, path)
        except BaseException:
            path.parent.rmdir()
            raise
        logger.info("Unpacked %s into %s in %.1f s", video.name, path, time.perf_counter() - started)
        self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        kept = {path: path.stat() for path in self._folder.glob("*/*.nii")}
        size = sum(status.st_size for status in kept.values())
        for path in sorted(kept, key=lambda path: kept[path].st_atime_ns):
            if size <= self._most_bytes:
                return
            if path != newest:
                size -= kept[path].st_size
                _remove(path)


def _content(video: Path) -> list[tuple[str, int, int]]:
    """What tells a video from others, and from itself before it was replaced: names, times and sizes."""
    real = video.resolve()
    files = frame_files(real) if real.is_dir() else [real]
    statuses = [file.stat() for file in files]
    return [(str(real), 0, 0)] + [
        (file.name, status.st_mtime_ns, status.st_size) for file, status in zip(files, statuses, strict=True)
    ]


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        path.parent.rmdir()
