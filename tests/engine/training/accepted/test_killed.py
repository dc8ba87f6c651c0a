"""A training that is killed at any moment leaves a bank that serves, and the next training goes through."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from imos_engine.adapters import AdapterBank
from imos_engine.adapters.measure import carried_scores
from imos_engine.propagation import AdaptedPropagator
from tests.conftest import REPOSITORY
from tests.engine.adapters.made import BASE, made_card, made_weights
from tests.engine.narrow import narrow_network
from tests.engine.training.accepted import killed
from tests.engine.training.accepted.made import ball_volume

MOMENTS = {"training": 4, "checkpoint": 1, "storing": 3, "publishing": 2}  # how many of the ten fall into each phase
MOST_DELAY = 0.03  # seconds: every second kill falls into the middle of what takes long

pytestmark = pytest.mark.timeout(900)  # half a minute on an idle core; others may keep it busy


class Trainer:
    """The process that trains in forks of itself."""

    def __init__(self, folder):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "apps/imos")])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", killed.__name__, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder.parent,
        )  # fmt: skip

    def __call__(self, at):
        self._process.stdin.write(json.dumps(at) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def train(tmp_path):
    trainer = Trainer(tmp_path / "bank")
    yield trainer
    trainer.end()


def moments(counts, chance):
    for phase, wanted in MOMENTS.items():
        for number in sorted(chance.sample(range(1, counts[phase] + 1), wanted)):
            later = 0.0 if phase == "publishing" else chance.choice([0.0, chance.uniform(0, MOST_DELAY)])
            yield phase, number, later


def answers(bank, propagator, volume):
    """Whether what is in force can be worn and carries a seed."""
    propagator.wear(bank.load("site", bank.published("site")).weights, identity=object())
    return carried_scores(propagator, volume).keys() == {"ball"}


def test_killed_at_ten_moments_the_bank_serves_and_the_next_training_goes_through(tmp_path, train):
    bank = AdapterBank(tmp_path / "bank", base_sha256=BASE)
    propagator = AdaptedPropagator(narrow_network(), settings=killed.PROPAGATION, device="cpu")
    volume = ball_volume(9, shape=(32, 32, 6))
    bank.publish("site", bank.add(made_card(), made_weights(seed=1)).version)
    assert train(None) == 0
    for at in moments(json.loads((tmp_path / killed.COUNTS).read_text()), random.Random(0)):
        before, versions = bank.published("site"), bank.versions("site")
        assert train(at) == -signal.SIGKILL, at
        assert bank.published("site") in (before, before + 1), at
        assert all(bank.load("site", version) for version in bank.versions("site")), at
        assert bank.versions("site") in (versions, [*versions, before + 1]), at
        assert answers(bank, propagator, volume), at
        in_force, latest = bank.published("site"), bank.versions("site")[-1]
        assert train(None) == 0, at
        assert bank.published("site") == bank.versions("site")[-1] > max(in_force, latest), at
        assert not list((bank.folder / "site").glob(".*partial")), at


def test_the_moments_spread_over_all_phases():
    drawn = list(moments(dict.fromkeys(killed.PHASES, 9), random.Random(0)))
    assert len(drawn) == 10
    assert {phase for phase, _, _ in drawn} == set(killed.PHASES)
    assert {delay > 0 for _, _, delay in drawn} == {False, True}
