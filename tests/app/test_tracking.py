"""What MLflow is told of a training, and what it is not."""

import json
from dataclasses import replace

import mlflow
import pytest

from imos_engine.training.accepted.report import GALLERY, REPORT
from imos_engine.training.journal import LOG_NAME
from imos_engine.training.run_folder import CURVES_NAME
from lib.trainers.request import read_train_request
from lib.trainers.tracking import EXPERIMENT, track
from tests.engine.adapters.made import made_card

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's database warns of its own future
PATIENT = "Erika Mustermann"
CARD = made_card(
    version=3,
    settings={"steps": 40, "replay": 0.25},
    metrics={"overall": {"before": 0.5, "after": 0.75}},
    accepted=True,
)


@pytest.fixture
def version(tmp_path):
    """The folder of a version in a bank, with a log, a report and pictures."""
    folder = tmp_path / "bank" / "site" / "3"
    folder.mkdir(parents=True)
    lines = [{"step": step, "loss": 1 / step, "learning_rate": 1e-3} for step in (5, 10, 15)]
    (folder / LOG_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / REPORT).write_text("# report")
    (folder / CURVES_NAME).write_bytes(b"curves")
    (folder / GALLERY).write_bytes(PATIENT.encode())
    return folder


@pytest.fixture(autouse=True)
def no_address_from_elsewhere(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    mlflow.set_tracking_uri(None)


def asked(**fields):
    return read_train_request({"tracking": "mlflow", **fields}, default_device="cpu")


def test_settings_numbers_by_step_and_the_report_are_told_and_pictures_of_patients_are_not(version):
    track(CARD, version, asked())
    client = mlflow.MlflowClient(f"sqlite:///{version.parents[1]}/.mlflow/runs.db")
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert run.info.run_name == "site-3"
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == "40"
    assert run.data.params["published"] == "True"
    assert {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "loss")} == {
        step: pytest.approx(1 / step) for step in (5, 10, 15)
    }
    assert run.data.metrics["jf_after"] == 0.75
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {REPORT, CURVES_NAME, LOG_NAME}
    told = [path.read_bytes() for path in (version.parents[1] / ".mlflow").rglob("*") if path.is_file()]
    assert len(told) >= 4
    assert not any(PATIENT.encode() in content for content in told)


def test_a_tracking_server_that_cannot_be_reached_is_said_in_the_log_and_undoes_nothing(version, caplog):
    track(replace(CARD, version=4), version, asked(tracking_uri="nowhere://x"))
    assert "could not be told of site/4" in caplog.text


def test_who_does_not_ask_is_not_tracked(version):
    track(CARD, version, read_train_request({}, default_device="cpu"))
    assert not (version.parents[1] / ".mlflow").exists()
