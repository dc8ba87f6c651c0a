"""`POST /scoring/{method}`: numbers per image, computed in the background and kept in the datastore's info."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.scoring import ScoringMethod

from imos_engine.metrics import dice
from imos_engine.volume_file import VolumeFileError
from lib.errors import RequestError
from lib.scoring.quality import SCORES, proposal_scores
from lib.transforms.volumes import read_image, read_label_map

logger = logging.getLogger(__name__)

FINAL, ORIGINAL = DefaultLabelTag.FINAL.value, DefaultLabelTag.ORIGINAL.value


class Uncertainty(ScoringMethod):
    """How unsure the proposal of every image without an accepted label is: what `imos_uncertainty` goes by."""

    def __init__(self) -> None:
        super().__init__("Uncertainty of proposals saved as original, from the confidence of their replies")

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Scores by image."""
        result = {}
        for image in datastore.list_images():
            label = datastore.get_label_by_image_id(image, ORIGINAL)
            if label and not datastore.get_label_by_image_id(image, FINAL):
                scores = proposal_scores(datastore.get_label_info(label, ORIGINAL) or {})
                if scores:
                    result[image] = scores
                    keep(datastore, image, scores)
        return result


class Agreement(ScoringMethod):
    """Dice of what was proposed and what was accepted: how much work an image was."""

    def __init__(self) -> None:
        super().__init__("Dice between the proposal saved as original and the accepted label")

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Dice by image, over all that is labelled, values told apart."""
        result = {}
        for image in datastore.list_images():
            labels = [datastore.get_label_by_image_id(image, tag) for tag in (ORIGINAL, FINAL)]
            if not all(labels):
                continue
            try:
                volume = read_image(Path(datastore.get_image_uri(image)))
                pair = [
                    read_label_map(Path(datastore.get_label_uri(label, tag)), volume)
                    for label, tag in zip(labels, (ORIGINAL, FINAL), strict=True)
                ]
            except (RequestError, VolumeFileError, OSError) as error:
                logger.warning("An image was left out of scoring: %s", error)
                continue
            proposed, accepted = pair
            values = sorted({*np.unique(proposed).tolist(), *np.unique(accepted).tolist()} - {0})
            found = [dice(proposed == value, accepted == value) for value in values]
            result[image] = round(float(np.mean(found)), 4) if found else 1.0
            keep(datastore, image, {"agreement": result[image]})
        return result


def keep(datastore: Datastore, image: str, scores: Mapping[str, Any]) -> None:
    """Add scores to an image's info, beside those of other methods.

    Scoring runs in a process of its own: the datastore is read anew first, so that what the server wrote stays.
    """
    datastore.refresh()
    known = datastore.get_image_info(image).get(SCORES) or {}
    datastore.update_image_info(image, {SCORES: {**known, **scores}})
