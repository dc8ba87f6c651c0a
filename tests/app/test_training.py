"""Learning over HTTP: adapter versions in force, training and stopping it, what to annotate next."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from imos_engine.adapters import AdapterBank, Card, LearnedCase
from imos_engine.adapters.bank import WEIGHTS, sha256_of
from imos_engine.adapters.turns import SharedMachine
from imos_engine.config import AdapterConfig
from imos_engine.network.adapter_weights import adapter_weights
from imos_engine.network.checkpoint import load_network
from tests.app.conftest import SMALL
from tests.app.images import CLICKS, picture, save_nifti
from tests.app.images import ball as ball_at
from tests.app.server import Server, running

SHAPE = (40, 48, 8)
BALL = ball_at(SHAPE, (22, 17, 4), (8.0, 6.0, 4.0))
MARKS = {
    **CLICKS,
    "foreground": [[22, 17, 4]],
    "background": [[2, 2, 4]],
    "selected_label_name": "liver",
    "reset_state": True,
}
IMAGES = [f"case_{number}" for number in range(4)]
SECONDS_TO_TRAIN = 900  # fifteen on an idle machine; others may keep its cores busy

pytestmark = pytest.mark.timeout(1000)


@dataclass(frozen=True, kw_only=True)
class Site:
    server: Server
    bank: AdapterBank
    weights: Path

    def ask(self, **options):
        labels, answer = self.server.infer("case_0", {**MARKS, **options})
        return labels, answer["imos"]["adapter"]

    def adapter_that_finds_nothing(self):
        """A version whose effect is seen at once: its decoder answers that the object is nowhere."""
        network = load_network(self.weights)
        network.attach_adapters(AdapterConfig())
        with torch.no_grad():
            network.decoder.pred.bias.fill_(-6.0)
        card = Card(
            name="nothing", version=0, parent=None, created="2020-01-01T00:00:00+00:00",
            base_sha256=self.bank.base_sha256, weights_sha256="", labels=("liver",), modalities=("grey",),
            cases=(LearnedCase(image_sha256="1", label_sha256="2", role="training"),), accepted=True,
        )  # fmt: skip
        return self.bank.add(card, adapter_weights(network, parts=("decoder",))).version

    def accept(self, *images):
        file = self.server.downloads / "accepted.nii.gz"
        save_nifti(file, BALL.astype(np.uint8))
        for image in images:
            self.server.client.save_label(image, str(file), params={"label_info": [{"name": "liver", "idx": 1}]})

    def train(self, **options):
        return httpx.post(f"{self.server.url}/train/imos", json=options, timeout=30)

    def status(self):
        return httpx.get(f"{self.server.url}/train/", timeout=30).json()

    def wait_for(self, done, what, *, every=0.2):
        deadline = time.monotonic() + SECONDS_TO_TRAIN
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.status()}\n{self.server.log.read_text()[-3000:]}"
            time.sleep(every)


@pytest.fixture(scope="module")
def site(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("site")
    conf = {
        **SMALL, "weights": weights, "labels": "liver,spleen", "prompts": "classical",
        "adapter_bank": folder / "adapters", "sessions": folder / "journal",
    }  # fmt: skip
    bank = AdapterBank(folder / "adapters", base_sha256=sha256_of(weights))
    with running(folder, conf, write=write_balls) as server:
        yield Site(server=server, bank=bank, weights=weights)


def write_balls(studies):
    for number, name in enumerate(IMAGES):
        write_ball(studies / f"{name}.nii.gz", number)


def write_ball(path, number):
    save_nifti(path, np.where(BALL, 160, 60).astype(np.int16) + picture(SHAPE, seed=number) % 9)


def test_what_is_published_serves_from_the_next_request_on_and_a_rollback_takes_it_back(site):
    everywhere, adapter = site.ask()
    assert adapter == {"name": "none", "version": None, "sha256": None}
    version = site.adapter_that_finds_nothing()
    assert site.ask()[1]["name"] == "none"
    site.bank.publish("nothing", version)
    labels, adapter = site.ask()
    assert adapter == {
        "name": "nothing",
        "version": version,
        "sha256": sha256_of(site.bank.path("nothing", version) / WEIGHTS),
    }
    assert np.count_nonzero(labels) < np.count_nonzero(everywhere) / 4
    np.testing.assert_array_equal(site.ask(adapter="none")[0], everywhere)
    np.testing.assert_array_equal(site.ask(adapter=f"nothing/{version}")[0], labels)
    assert site.ask(selected_label_name="spleen")[1]["name"] == "none"  # it has not learned the spleen
    site.bank.rollback("nothing")
    np.testing.assert_array_equal(site.ask()[0], everywhere)


def test_a_version_that_was_tampered_with_is_refused_by_name_and_left_out_otherwise(site):
    version = site.adapter_that_finds_nothing()
    site.bank.publish("nothing", version)
    file = site.bank.path("nothing", version) / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    refused = site.server.post("case_0", {**MARKS, "adapter": "nothing"})
    assert refused.status_code == 422
    assert "half-written or foreign" in refused.json()["detail"]
    assert site.ask()[1]["name"] == "none"
    refused = site.server.post("case_0", {**MARKS, "adapter": "no such one"})
    assert refused.status_code == 422


def test_the_server_offers_to_learn(site):
    info = httpx.get(f"{site.server.url}/info/", timeout=30).json()
    assert {"adapter", "train", "steps", "replay", "device"} <= info["trainers"]["imos"]["config"].keys()
    assert info["strategies"].keys() == {"first", "random", "imos_foreground", "imos_uncertainty"}
    assert info["scoring"].keys() == {"imos_uncertainty", "imos_agreement"}
    assert info["models"]["imos"]["config"]["adapter"][:2] == ["auto", "none"]


def test_every_strategy_returns_an_image_that_lacks_a_label_and_where_to_begin(site):
    site.accept("case_0")
    for strategy in ("first", "random", "imos_foreground", "imos_uncertainty"):
        answer = site.server.client.next_sample(strategy, {})
        assert answer["id"] in IMAGES[1:]
        assert (answer["slice"], answer["axis"], answer["plane"]) == (4, 2, "axial")
    unfinished = site.server.client.next_sample("imos_foreground", {"labels": ["spleen"]})
    assert unfinished["imos_labels"] == ["spleen"]


def test_training_stopped_at_any_moment_leaves_what_is_in_force(site):
    site.accept(*IMAGES[:3])
    before = site.bank.published("site")
    assert site.train(steps=5000, replay=0).status_code == 200
    runs = site.bank.folder / "site" / "runs"
    site.wait_for(lambda: any('"loss"' in log.read_text() for log in runs.rglob("log.jsonl")), "no step was made")
    started = time.monotonic()
    assert httpx.delete(f"{site.server.url}/train/", timeout=30).status_code == 200
    site.wait_for(lambda: site.status()["status"] != "RUNNING", "it did not stop")
    assert time.monotonic() - started < 10
    assert site.bank.published("site") == before
    assert site.bank.versions("site") == []
    assert site.ask()[0].any()


def test_accepted_labels_become_a_version_that_serves(site):
    """The network of this server cannot be moved in a step, so that the gate finds nothing worse."""
    site.accept(*IMAGES[:3])
    assert site.train(steps=1, replay=0).status_code == 200
    site.wait_for(lambda: site.status()["status"] in ("DONE", "ERROR"), "it did not end")
    assert site.status()["status"] == "DONE", site.status()["details"]
    card = site.bank.card("site", 1)
    assert card.labels == ("liver",)
    assert card.modalities == ("grey",)
    assert len(card.cases) == 3
    assert card.accepted, card.reasons
    assert site.ask()[1] == {"name": "site", "version": 1, "sha256": card.weights_sha256}
    info = httpx.get(f"{site.server.url}/info/", timeout=30).json()
    assert info["train_stats"]["imos"]["imos"]["adapter"] == "site/1"
    assert info["train_stats"]["imos"]["best_metric"] == card.metrics["overall"]["after"]
    assert "site" in info["models"]["imos"]["config"]["adapter"]


def test_uncertainty_of_proposals_is_kept_and_told(site):
    site.accept(*IMAGES[:3])
    reply = site.server.post("case_3", {**MARKS, "save_label": True, "label_tag": "original"}, query={"output": "json"})
    assert reply.status_code == 200, reply.text
    result = httpx.post(f"{site.server.url}/scoring/imos_uncertainty?run_sync=true", timeout=60)
    assert result.status_code == 200
    stored = json.loads(httpx.get(f"{site.server.url}/datastore/?output=all").text)["objects"]["case_3"]
    scores = stored["image"]["info"]["imos"]
    assert 0 <= scores["uncertainty"]["liver"] <= 1
    answer = site.server.client.next_sample("imos_uncertainty", {})
    assert answer["id"] == "case_3"
    assert answer["slice"] == scores["weakest"]["slice"]


def test_training_stopped_while_the_gate_measures_leaves_what_is_in_force(site, tmp_path):
    """A request that is computed holds it there: the gate makes way for requests as the steps do."""
    write_ball(tmp_path / "case_4.nii.gz", 4)
    site.server.client.upload_image(tmp_path / "case_4.nii.gz", "case_4")
    site.accept(*IMAGES, "case_4")
    before, versions = site.ask()[1], site.bank.versions("site")
    assert before["name"] == "site"
    assert site.train(steps=2, replay=0).status_code == 200
    runs = site.bank.folder / "site" / "runs"
    site.wait_for(lambda: any(runs.glob("*/final/weights.safetensors")), "it was never trained", every=0.02)
    with SharedMachine(site.bank.folder).serving():
        time.sleep(0.5)
        assert site.status()["status"] == "RUNNING"
        started = time.monotonic()
        assert httpx.delete(f"{site.server.url}/train/", timeout=30).status_code == 200
        site.wait_for(lambda: site.status()["status"] != "RUNNING", "it did not stop")
        assert time.monotonic() - started < 10
    assert site.bank.versions("site") == versions
    labels, adapter = site.ask()
    assert labels.any()
    assert adapter == before
