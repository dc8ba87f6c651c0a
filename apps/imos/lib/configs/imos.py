"""Offers `imos`: points, a box, or a label file."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.config import TaskConfig
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lib.infers.carrier import Carrier
from lib.infers.task import ImosInfer


class Imos(TaskConfig):
    """The model for clients that click (Slicer's SmartEdit, OHIF's point prompts) and for scripts with label files."""

    def init(self, name: str, model_dir: str, conf: dict[str, str], planner: Any, **kwargs: Any) -> None:
        super().init(name, model_dir, conf, planner, **kwargs)
        self.carrier: Carrier = kwargs["carrier"]

    def infer(self) -> InferTask:
        return ImosInfer(
            self.carrier,
            type=InferType.DEEPGROW,
            description="Click, box or mask an object on one slice: it is carried through the volume",
        )

    def trainer(self) -> None:
        return None
