"""iMOS for MONAI Label: annotate one slice, get the volume."""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

import monailabel.interfaces.app as host
from monailabel.config import settings as server_settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.config import TaskConfig
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.class_utils import get_class_names
from monailabel.utils.others.generic import remove_file

import imos_engine.propagation  # noqa: F401 (first here, not in a request: only now is this folder on the module path)
import lib.configs
from imos_engine.volume_file import read_volume
from lib.activelearning.choice import Order
from lib.activelearning.strategies import NextImage
from lib.calls import this_call
from lib.datastore.frame_datastore import cache_folder
from lib.datastore.labelled import LabelledFolder, LabelledSeries
from lib.datastore.structures import Origin, Structures, renumbered
from lib.datastore.volume_cache import VolumeCache
from lib.dicom_proxy import forward_requests
from lib.endpoint import serve_inference_in_threads
from lib.errors import RequestError, closest, listed
from lib.frames.volume import frame_axis
from lib.infers.carrier import Carrier
from lib.infers.options import read_flag, read_options
from lib.infers.saving import Saving, read_saving
from lib.scoring.methods import Agreement, Uncertainty
from lib.settings import read_settings
from lib.trainers.adapters import AdapterTrainer
from lib.version import VERSION

logger = logging.getLogger(__name__)


class MyApp(MONAILabelApp):
    """Offers the models of `lib/configs`; `--conf` keys are those of `lib/settings.py`."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.settings = read_settings(conf or {}, app_dir=Path(app_dir))
        self.carrier = Carrier(self.settings)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf or {},
            name="iMOS",
            description="Annotate one slice, get the volume: CT, MRI, ultrasound, endoscopy, electron microscopy",
            version=VERSION,
        )
        # MONAI Label would start a process per scoring method at each start, training and question for the next image.
        # The strategies read what they need themselves; scoring is for who asks for it.
        self._auto_update_scoring = False
        server = sys.modules.get("monailabel.app")  # absent when the app is loaded outside of a server
        if server is not None:
            serve_inference_in_threads(server.app)
            forward_requests()

    def init_datastore(self) -> Datastore:
        """The datastore of MONAI Label; folders also list MetaImage files and videos, DICOMweb any modality."""
        if self.studies.startswith(("http://", "https://")):
            host.DICOMWebDatastore = LabelledSeries  # type: ignore[misc]  # by this name MONAI Label builds it
            return super().init_datastore()
        return LabelledFolder(
            self.studies,
            volumes=VolumeCache(cache_folder(os.environ, self.studies)),
            extensions=dict.fromkeys([*server_settings.MONAI_LABEL_DATASTORE_FILE_EXT, "*.mha"]),
            auto_reload=server_settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=server_settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def _download_dcmqi_tools(self) -> None:
        """Nothing is downloaded: the pinned packages bring these programs, beside Python, where PATH may not look."""
        programs = sysconfig.get_path("scripts")
        path = os.environ.get("PATH", os.defpath)
        if programs not in path.split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join((programs, path))

    def init_infers(self) -> dict[str, InferTask]:
        """One task per file in `lib/configs`; the file's name is the model's."""
        tasks: dict[str, InferTask] = {}
        for class_path in get_class_names(lib.configs, "TaskConfig"):
            name = class_path.split(".")[-2]
            if name not in self.settings.models:
                continue
            config: TaskConfig = locate(class_path)()  # type: ignore[operator]
            config.init(name, str(Path(self.app_dir, "model")), self.conf, None, carrier=self.carrier)
            tasks[name] = config.infer()
        logger.info("Offering %s", listed(tasks))
        return tasks

    def init_trainers(self) -> dict[str, TrainTask]:
        """One: it retrains adapters, whichever model gave the labels."""
        return {"imos": AdapterTrainer(self.settings)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Which image to annotate next."""
        return {order.value: NextImage(order, bank=self.settings.adapter_bank) for order in Order}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Numbers that the strategies go by."""
        return {"imos_uncertainty": Uncertainty(), "imos_agreement": Agreement()}

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run one request. Unlike MONAI Label's own, it reads an image only by its id, its upload or its session.

        Raises:
            RequestError: the model or image is unknown, or the request cannot be served.
        """
        datastore = datastore or self.datastore()
        model, image_id = str(request.get("model")), request.get("image")
        task = self._infers.get(model)
        if task is None:
            raise RequestError(
                f"unknown model {model!r}{closest(model, self._infers)}; offered: {listed(self._infers)}", status=404
            )
        brought = self._brought_image(request)
        path = brought or self._stored_image(datastore, image_id)
        saves, saving = read_flag(request, "save_label", default=False), read_saving(request)
        if brought and (saves or saving):
            raise RequestError("only images of the datastore have a label; PUT /datastore/image brings one there")
        file, params = task({**request, "image": path, **self._frame_options(request, Path(path))})
        if saving:
            self._add_to_label(datastore, image_id, Path(file), params, saving)
        tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
        told = {"model": model, "params": params, "label_names": params["label_names"]}
        label_id = self._save(datastore, image_id, file, tag, told) if saves else file
        return {"label": label_id, "tag": tag, "file": file, "params": params}

    def infer_wsi(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Refuse: whole slides of pathology have no third dimension to carry masks along."""
        raise RequestError(
            "iMOS carries masks through volumes and videos; it has no model for whole slides", status=404
        )

    @staticmethod
    def _frame_options(request: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Marks on a video belong to its frames, whatever else they might be planar along."""
        axis = frame_axis(path) if read_options(request).slice_axis is None else None
        return {} if axis is None else {"slice_axis": axis}

    @staticmethod
    def _brought_image(request: Mapping[str, Any]) -> str | None:
        """Path of the image that came with the call, or that its session holds."""
        call = this_call()
        return request["image"] if call.uploads_image or (call.uses_session and "session" in request) else None

    @staticmethod
    def _stored_image(datastore: Datastore, image_id: Any) -> str:
        path = datastore.get_image_uri(image_id) if isinstance(image_id, str) and image_id else ""
        if not path:
            raise RequestError(
                f"unknown image {image_id!r}: the datastore holds no such id, and paths are not read; list the ids "
                "with GET /datastore/?output=all, or create the session anew if it has expired",
                status=404,
            )
        return path

    def _add_to_label(
        self, datastore: Datastore, image_id: str, file: Path, params: dict[str, Any], saving: Saving
    ) -> None:
        """Make a reply part of the image's final label, and say in `params` what became of it."""
        told = params["imos"]
        try:
            volume = read_volume(file)
            new = Structures(labels=volume.array, names=saving.names(params["label_names"]))
            new = renumbered(new, self.settings.labels)
            origin = Origin(network=told["network"]["name"])
            saved = datastore.save_structures(image_id, new, volume, over=saving.over, origin=origin)
        except BaseException:
            remove_file(str(file))
            raise
        told["saved"] = {"label": saved.label, "tag": DefaultLabelTag.FINAL.value, "names": dict(saved.names)}
        told["saved"]["series"] = saved.series
        told["warnings"] = [*told["warnings"], *saved.warnings]

    @staticmethod
    def _save(datastore: Datastore, image_id: str, file: str, tag: str, info: dict[str, Any]) -> str:
        try:
            return datastore.save_label(image_id, file, tag, info)
        except BaseException:
            remove_file(file)
            raise
