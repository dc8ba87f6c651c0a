"""A training told to MLflow, where a site asks for it."""

from __future__ import annotations

import logging
from pathlib import Path

from imos_engine.adapters import Card
from lib.trainers.request import TrainRequest

logger = logging.getLogger(__name__)

EXPERIMENT = "imos"


def track(card: Card, folder: Path, asked: TrainRequest) -> None:
    """Log a version's settings, curves and report; a tracking server that fails does not undo a training."""
    if asked.tracking != "mlflow":
        return
    # Both take seconds to import, and only some ask.
    import mlflow

    from imos_engine.training.journal import LOG_NAME, read_log

    try:
        if asked.tracking_uri:
            mlflow.set_tracking_uri(asked.tracking_uri)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=f"{card.name}-{card.version}"):
            mlflow.log_params({**card.settings, "parent": card.parent, "published": card.accepted})
            for line in read_log(folder / LOG_NAME):
                step = int(line.pop("step"))
                mlflow.log_metrics(line, step=step)
            mlflow.log_artifacts(str(folder))
    except Exception:
        logger.exception("MLflow could not be told of %s/%d", card.name, card.version)
