"""Offers `imos_scribbles`: strokes and painted segments."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.config import TaskConfig
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lib.infers.carrier import Carrier
from lib.infers.task import ImosInfer


class ImosScribbles(TaskConfig):
    """The model for Slicer's Scribbles: every segment of the scene arrives as one label map."""

    def init(self, name: str, model_dir: str, conf: dict[str, str], planner: Any, **kwargs: Any) -> None:
        super().init(name, model_dir, conf, planner, **kwargs)
        self.carrier: Carrier = kwargs["carrier"]

    def infer(self) -> InferTask:
        return ImosInfer(
            self.carrier,
            type=InferType.SCRIBBLES,
            description="Scribble on, or paint, an object on one slice: it is carried through the volume",
        )

    def trainer(self) -> None:
        return None
