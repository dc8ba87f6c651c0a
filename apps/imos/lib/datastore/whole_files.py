"""MONAI Label's local datastore, of which a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException


class WholeFiles(LocalDatastore):  # type: ignore[misc]
    """A local datastore that writes beside, then renames: its list of images and labels, and every label."""

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]) -> str:
        """Keep a copy of a label file; returns its id, which is the image's.

        Raises:
            ImageNotFoundException: the datastore holds no such image.
        """
        if image_id not in self._datastore.objects:
            raise ImageNotFoundException(f"Image {image_id} not found")
        _, extension = self._to_id(Path(label_filename).name)
        folder = Path(self._datastore.label_path(label_tag))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / self._filename(image_id, extension)
        beside = file.with_name(f".{file.name}.partial")
        entry = DataModel(info={**(label_info or {}), "ts": int(time.time()), "name": file.name}, ext=extension)
        with FileLock(self._lock_file):
            _copy_to_disk(Path(label_filename), beside)
            # Listed before the file is there: whoever is killed in between leaves a name too many, not a voxel without
            # a name. And once more after it: the watcher of the folder strikes labels off that have no file.
            for place in (lambda: None, lambda: beside.replace(file)):
                place()
                self._datastore.objects[image_id].labels[label_tag] = entry
                self._update_datastore_file(lock=False)
        return image_id

    def _update_datastore_file(self, lock: bool = True) -> None:
        with FileLock(self._lock_file) if lock else nullcontext():
            path = Path(self._datastore_config_path)
            beside = path.with_name(f".{path.name}.partial")
            listed = self._datastore.model_dump(exclude={"base_path"})
            beside.write_text(json.dumps(listed, indent=2, default=str), encoding="utf-8")
            beside.replace(path)
            self._config_ts = path.stat().st_mtime


def _copy_to_disk(source: Path, target: Path) -> None:
    """Copy a file and wait until the disk has it: a rename must not come before the bytes."""
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())
