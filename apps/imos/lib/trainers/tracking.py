"""A training told to MLflow, where a site asks for it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import ModuleType

from imos_engine.adapters import Card
from lib.trainers.request import TrainRequest

logger = logging.getLogger(__name__)

EXPERIMENT = "imos"
OWN_FOLDER = ".mlflow"  # in the bank, for sites that name no tracking server


def track(card: Card, folder: Path, asked: TrainRequest) -> None:
    """Log a version's settings, curves and report; a tracking server that fails does not undo a training.

    What shows or names a patient stays where it is: of the version's files only its report, curves and log are told.

    Args:
        card: of the version.
        folder: of the version, in its bank.
        asked: where to.
    """
    if asked.tracking != "mlflow":
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it tells its makers how it is used
    # Both take seconds to import, and only some ask.
    import mlflow

    from imos_engine.training.accepted.report import REPORT
    from imos_engine.training.journal import LOG_NAME, read_log
    from imos_engine.training.run_folder import CURVES_NAME

    try:
        _choose_experiment(mlflow, asked.tracking_uri, folder.parents[1] / OWN_FOLDER)
        with mlflow.start_run(run_name=f"{card.name}-{card.version}"):
            told = {"parent": card.parent, "published": card.accepted, "provisional": card.provisional}
            mlflow.log_params({**card.settings, **told, "images": len(card.cases)})
            for line in read_log(folder / LOG_NAME):
                step = int(line.pop("step"))
                mlflow.log_metrics(line, step=step)
            overall = card.metrics.get("overall") or {}
            mlflow.log_metrics({f"jf_{when}": overall[when] for when in ("before", "after") if when in overall})
            for name in (REPORT, CURVES_NAME, LOG_NAME):
                if (folder / name).is_file():
                    mlflow.log_artifact(str(folder / name))
    except Exception:
        logger.exception("MLflow could not be told of %s/%d", card.name, card.version)


def _choose_experiment(mlflow: ModuleType, uri: str, own: Path) -> None:
    """The experiment of this address; without one, where the environment says, or in a folder of the bank.

    A database on this machine keeps no files: they go into the bank's folder too.
    """
    if not uri and not os.environ.get("MLFLOW_TRACKING_URI"):
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        uri = f"sqlite:///{own / 'runs.db'}"
    if uri:
        mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        is_database = mlflow.get_tracking_uri().startswith("sqlite:")
        mlflow.create_experiment(EXPERIMENT, artifact_location=(own / "files").as_uri() if is_database else None)
    mlflow.set_experiment(EXPERIMENT)
