"""The task that MONAI Label calls: a request in, a file and a table out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.utils.others.generic import device_list

from lib.calls import this_call
from lib.frames.volume import frame_axis
from lib.infers.carrier import Carrier, refuse_if_gone
from lib.infers.history import answer_request, history_of
from lib.infers.options import ADVERTISED
from lib.infers.reply import reply_params
from lib.infers.request import read_request
from lib.infers.saving import save_choices
from lib.infers.segmentation import Segmentation, segment
from lib.sessions.step import Step
from lib.transforms.volumes import read_image, read_label_map, write_result

logger = logging.getLogger(__name__)


class ImosInfer(InferTask):
    """Carries what was marked on one or more slices through the volume."""

    def __init__(self, carrier: Carrier, *, type: InferType, description: str) -> None:
        self._carrier = carrier
        self._labels: Mapping[str, int] = carrier.settings.labels
        super().__init__(
            type=type,
            labels=dict(self._labels),
            dimension=3,
            description=description,
            config={
                **ADVERTISED,
                "save_as": save_choices(self._labels),
                "device": _devices(carrier.settings.device),
            },
        )

    def config(self) -> dict[str, Any]:
        """What clients show as options; adapters may have been trained since the server started."""
        return {**super().config(), "adapter": self._carrier.adapters}

    def is_valid(self) -> bool:
        """The weights were loaded when the server started."""
        return True

    def get_path(self, validate: bool = True) -> str:
        """Where the weights lie, for `/model/`."""
        return str(self._carrier.settings.weights)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment; the caller removes the file.

        Raises:
            RequestError: the request cannot be served.
        """
        started = perf_counter()
        call = this_call()
        label_file = Path(request["label"]) if call.brings_label and request.get("label") else None
        asked = read_request(request, label_file=label_file, default_device=self._carrier.settings.device)
        with self._carrier.turn(call.client_gone):
            waited = perf_counter()
            image = read_image(asked.image)
            label_map = None if asked.label_file is None else read_label_map(asked.label_file, image)
            adapter = self._carrier.wear(
                asked.options.adapter, device=asked.device, labels=asked.names, images=image.array
            )
            loaded = perf_counter()

            def segment_after(before: Step | None) -> Segmentation:
                return segment(
                    asked,
                    image,
                    label_map,
                    propagator=self._carrier.propagator(asked.device),
                    solve=self._carrier.solve,
                    known_ids=self._labels,
                    before=before,
                    client_gone=call.client_gone,
                )

            journal = self._carrier.journal(asked, image, call)
            answer = answer_request(
                asked,
                journal,
                segment_after,
                shape=image.shape,
                known_ids=self._labels,
                sends_all=bool(call.browser) and not asked.client,
            )
            result = answer.result
            wrote = perf_counter()
            file = write_result(result.labels, image, asked.result)
            try:
                refuse_if_gone(call.client_gone)
                history = history_of(answer.commit())
            except BaseException:
                file.unlink(missing_ok=True)
                raise
        result.seconds |= {
            "queue": round(waited - started, 4),
            "load": round(loaded - waited, 4),
            "file": round(perf_counter() - wrote, 4),
            "total": round(perf_counter() - started, 4),
        }
        logger.info("Carried %s through %s: %s", list(result.label_names), asked.image.name, result.seconds)
        return str(file), reply_params(
            result,
            image,
            is_video=frame_axis(asked.image) is not None,
            network=self._carrier.identity,
            adapter=adapter,
            device=asked.device,
            history=history,
        )


def _devices(default: str) -> list[str]:
    """Devices as clients show them, the server's default first; the CPU can always be chosen."""
    names = dict.fromkeys([*device_list(), "cpu"])
    if default == "cpu":
        names = dict.fromkeys(["cpu", *names])
    return list(names)
