"""MONAI Label's folder of images, which also holds videos: films, multi-frame DICOM, folders of PNG frames.

A video has an id like every image. Whoever asks for its file gets a volume made from it, the frames along the third
axis: clients can open that, and label maps lie on its grid. The folder itself is never written to for this.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from watchdog.events import FileSystemEvent

from lib.datastore.volume_cache import VolumeCache
from lib.frames.dicom_frames import DICOM_SUFFIX, is_multi_frame
from lib.frames.png_folder import frame_files
from lib.frames.volume import READERS, holds_frames

logger = logging.getLogger(__name__)

FRAME_PATTERNS = tuple(f"*{spelt}" for suffix in READERS for spelt in (suffix, suffix.upper()))
PATTERN_IN_FOLDERS = "*/*.png"  # for the watcher: a frame that comes may make its folder a video


def cache_folder(environment: Mapping[str, str], studies: str) -> Path:
    """Where the volumes of a studies folder are kept, outside of it."""
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home, "imos", "volumes", hashlib.sha256(os.path.realpath(studies).encode()).hexdigest()[:12])


class FrameDatastore(LocalDatastore):  # type: ignore[misc]
    """A local datastore whose images may be videos."""

    def __init__(
        self, studies: str, *, volumes: VolumeCache, extensions: Iterable[str], auto_reload: bool, read_only: bool
    ) -> None:
        self._volumes = volumes
        self._pictures: dict[tuple[str, int, int], bool] = {}  # DICOM files that were looked into
        super().__init__(
            studies,
            extensions=[*extensions, *FRAME_PATTERNS, PATTERN_IN_FOLDERS],
            auto_reload=auto_reload,
            read_only=read_only,
        )
        if auto_reload:
            self._handler.on_closed = self._look_again

    def get_image_uri(self, image_id: str) -> str:
        """Path of an image's file; of a video, that of its volume.

        Raises:
            RequestError: the video cannot be read.
        """
        stored = self._stored(image_id)
        return str(self._volumes.volume(stored)) if stored and holds_frames(stored) else str(stored or "")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image; a video goes by the name and path of its volume, which is what clients fetch."""
        info: dict[str, Any] = super().get_image_info(image_id)
        stored = self._stored(image_id)
        if stored and holds_frames(stored):
            volume = self._volumes.path(stored)
            info |= {"video": stored.name, "name": volume.name, "path": str(volume)}
        return info

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Pairs of image and final label, as files that can be opened."""
        pairs: list[dict[str, Any]] = super().datalist(full_path)
        for pair in pairs if full_path else ():
            stored = Path(pair["image"])
            if holds_frames(stored):
                pair["image"] = str(self._volumes.volume(stored))
        return pairs

    def remove_image(self, image_id: str) -> None:
        """Remove an image, its labels, and the volume made of it."""
        stored = self._stored(image_id)
        if stored and holds_frames(stored):
            self._volumes.forget(stored)
        super().remove_image(image_id)

    def _stored(self, image_id: str) -> Path | None:
        """The file or folder of an image as it was put into the datastore."""
        path = super().get_image_uri(image_id)
        return Path(path) if path else None

    def _to_id(self, file: str) -> tuple[str, str]:
        """A folder's whole name is its id: what follows a dot in it is no kind of file."""
        if Path(self._datastore.image_path(), file).is_dir():
            return file, ""
        name: tuple[str, str] = super()._to_id(file)
        return name

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        """Files of the known kinds; among images, also folders of frames, and of DICOM only those with frames."""
        files: dict[str, str] = super()._list_files(path, patterns)
        if Path(path) != Path(self._datastore.image_path()):
            return files
        folder = Path(path)
        listed = [name for name in files if not name.lower().endswith(DICOM_SUFFIX) or self._is_video(folder / name)]
        folders = [entry.name for entry in folder.iterdir() if entry.is_dir() and self._is_frame_folder(entry)]
        return {name: name for name in (*listed, *sorted(folders))}

    def _is_frame_folder(self, folder: Path) -> bool:
        own = folder.name.startswith(".") or folder.resolve() == Path(self._datastore.label_path(None)).resolve()
        try:
            return not own and len(frame_files(folder)) > 1
        except OSError as error:
            logger.warning("Leaving out the folder %s: %s", folder, error)
            return False

    def _is_video(self, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False  # gone while the folder was looked through
        key = (path.name, status.st_mtime_ns, status.st_size)
        if key not in self._pictures:
            self._pictures[key] = is_multi_frame(path)
        return self._pictures[key]

    def _look_again(self, event: FileSystemEvent) -> None:
        """List a DICOM once it is complete: when it appeared, its header could not be read yet."""
        if str(event.src_path).lower().endswith(DICOM_SUFFIX):
            self.refresh()
