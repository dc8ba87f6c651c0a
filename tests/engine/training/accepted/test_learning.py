from dataclasses import replace

import pytest
import torch

from imos_engine.adapters import AdapterBank, AdapterError
from imos_engine.adapters.gate import GateRules
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.adapters.split import Role, SplitRegistry
from imos_engine.config import Precision, PropagationConfig, RefinerConfig
from imos_engine.training import run_folder
from imos_engine.training.accepted import learning
from imos_engine.training.accepted.learning import RUNS, Learning, LearningStoppedError
from imos_engine.training.accepted.report import REPORT
from imos_engine.training.accepted.run import ClipFactory, adapt, recipe_for, with_less_memory
from imos_engine.training.recipe import Trainable
from imos_engine.training.run_folder import CURVES_NAME
from tests.engine.adapters.made import BASE, made_card, made_weights
from tests.engine.narrow import NARROW, narrow_network
from tests.engine.training.accepted.made import ball_volume

QUICK = LearningSettings(steps=2, frames=2, size=32, batch=1, accumulate=1, replay=0.0)
ANYTHING, NOTHING = GateRules(overall=2, per_label=2, known_looks=2), GateRules(overall=-2)
CPU = torch.device("cpu")
ASKED_AT_THE_GATE = 1 + 4 + 2  # before it, for two volumes before and after, for random sequences before and after


@pytest.fixture(autouse=True)
def few_known_clips(monkeypatch):
    """A run's pictures and random sequences cost a second; one short one is enough to see that they are looked at."""
    monkeypatch.setattr(run_folder.RunFolder, "validate", lambda self: (self.path / CURVES_NAME).touch())
    monkeypatch.setattr(learning, "KNOWN_CLIPS", 1)
    monkeypatch.setattr(learning, "KNOWN_FRAMES", 2)
    monkeypatch.setattr(learning, "KNOWN_SIZE", 32)


@pytest.fixture
def bank(tmp_path):
    return AdapterBank(tmp_path / "adapters", base_sha256=BASE)


def learn(bank, *volumes, **changes):
    return Learning(
        base=narrow_network(),
        bank=bank,
        name="site",
        volumes=volumes,
        **{
            "settings": QUICK,
            "rules": ANYTHING,
            "propagation": PropagationConfig(size=48, precision=Precision.FLOAT32),
            **changes,
        },
    )


VOLUMES = tuple(ball_volume(seed) for seed in range(5))


class Asked:
    """What a training asks whether to stop; counts how often."""

    def __init__(self, *, stop_at=None):
        self.times, self.stop_at = 0, stop_at

    def __call__(self):
        self.times += 1
        return self.stop_at is not None and self.times >= self.stop_at


def serving(folder):
    """A bank with a version in force."""
    bank = AdapterBank(folder, base_sha256=BASE)
    bank.publish("site", bank.add(made_card(), made_weights(seed=3)).version)
    return bank


def test_a_version_that_passes_is_published_with_a_report_and_its_run_is_cleared_away(bank):
    card = learn(bank, *VOLUMES).run()
    assert bank.published("site") == card.version == 1
    assert not card.provisional
    assert card.labels == ("ball",)
    assert card.modalities == ("grey",)
    assert [case.role for case in card.cases].count("validation") == 2
    assert {case.image_sha256 for case in card.cases} == {volume.image_sha256 for volume in VOLUMES}
    report = (bank.path("site", 1) / REPORT).read_text()
    assert "| ball |" in report
    assert not any((bank.folder / "site" / RUNS).iterdir())


def test_a_version_that_does_not_pass_stays_a_candidate_and_what_was_in_force_stays(tmp_path):
    bank = serving(tmp_path)
    card = learn(bank, *VOLUMES, rules=NOTHING).run()
    assert not card.accepted
    assert card.parent == 1
    assert "stays a candidate" in card.reasons[0]
    assert card.reasons[0] in (bank.path("site", 2) / REPORT).read_text()
    assert bank.versions("site") == [1, 2]
    assert bank.published("site") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_with_too_few_images_numbers_are_cross_validated_and_called_provisional(bank, count):
    card = learn(bank, *VOLUMES[:count]).run()
    assert card.provisional
    assert card.metrics["overall"]["pairs"] >= count
    assert "Provisional" in (bank.path("site", 1) / REPORT).read_text()


def test_an_image_that_validates_never_trains_whatever_comes_later(bank, monkeypatch):
    trained = []

    def noted(self, training, validation, folder, *, parent):
        if folder.name == "final":
            trained.extend(volume.image_sha256 for volume in training)
        return made_weights()

    monkeypatch.setattr(Learning, "_adapted", noted)
    for count in (3, 5):
        learn(bank, *VOLUMES[:count]).run()
    registry = SplitRegistry(bank.folder / "site")
    assert {registry.role(sha256).value for sha256 in trained} == {"training"}


def test_a_training_stopped_in_its_steps_or_at_the_gate_changes_nothing_and_goes_on_to_the_same_weights(tmp_path):
    settings = replace(QUICK, steps=3)
    whole = serving(tmp_path / "whole")
    learn(whole, *VOLUMES, settings=settings).run()
    expected = whole.load("site", 2).weights
    for stop_at in (2, 5):  # the second step; the gate's first volume
        bank = serving(tmp_path / str(stop_at))
        with pytest.raises(LearningStoppedError, match="goes on from there"):
            learn(bank, *VOLUMES, settings=settings, should_stop=Asked(stop_at=stop_at)).run()
        assert (bank.published("site"), bank.versions("site")) == (1, [1])
        again = Asked()
        learn(bank, *VOLUMES, settings=settings, should_stop=again).run()
        assert again.times == ASKED_AT_THE_GATE + max(3 - stop_at, 0)
        weights = bank.load("site", bank.published("site")).weights
        assert all(torch.equal(weights.tensors[name], value) for name, value in expected.tensors.items())


def test_nothing_to_learn_from_is_said_so(bank):
    empty = replace(VOLUMES[0], labels=VOLUMES[0].labels * 0)
    with pytest.raises(AdapterError, match="no accepted label"):
        learn(bank, empty).run()


def test_only_the_adapters_and_nothing_else_is_learned(tmp_path):
    base = narrow_network()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    weights = adapt(base, stored_clips(tmp_path), QUICK, folder=tmp_path / "run", parent=None, device=CPU)
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    assert weights.tensors
    assert all(".adapter." in name for name in weights.tensors)
    with_decoder = adapt(
        base, stored_clips(tmp_path), replace(QUICK, decoder=True), folder=tmp_path / "d", parent=None, device=CPU
    )
    assert with_decoder.parts == {"decoder"}


def stored_clips(tmp_path):
    from imos_engine.training.accepted.clip_store import store_volume

    store_volume(VOLUMES[0], tmp_path / "stored")
    return ClipFactory((tmp_path / "stored",), (), 0.0)


def test_adapters_begin_as_their_parents(tmp_path):
    parent = made_weights(seed=5)
    still = replace(QUICK, steps=1, learning_rate=1e-30)
    weights = adapt(narrow_network(), stored_clips(tmp_path), still, folder=tmp_path / "r", parent=parent, device=CPU)
    learned = [name for name in parent.tensors if "running" not in name and "num_batches" not in name]
    assert all(torch.allclose(weights.tensors[name], parent.tensors[name], atol=1e-6) for name in learned)


def test_a_run_out_of_memory_goes_on_with_fewer_clips_at_a_time_and_then_on_the_cpu():
    config = recipe_for(LearningSettings(), volumes=3, continues=False, parts=frozenset(), refined=True, device=CPU)
    assert config.trainable is Trainable.ADAPTERS
    again, device = with_less_memory(config, torch.device("cuda"), MemoryError())
    assert (again.gradient_checkpointing, again.phases, device.type) == (True, config.phases, "cuda")
    smaller, device = with_less_memory(again, device, MemoryError())
    assert (smaller.phases[0].batch, smaller.phases[0].accumulate, device.type) == (1, 2, "cuda")
    _, device = with_less_memory(smaller, device, MemoryError())
    assert device.type == "cpu"
    with pytest.raises(MemoryError, match="smaller size"):
        with_less_memory(smaller, device, MemoryError())


def test_training_goes_on_after_memory_ran_out(tmp_path, monkeypatch):
    from imos_engine.training.accepted import run

    tried, original = [], run.train

    def failing(config, **options):
        tried.append((config.gradient_checkpointing, config.phases[0].batch))
        if len(tried) < 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return original(config, **options)

    monkeypatch.setattr(run, "train", failing)
    settings = replace(QUICK, batch=2)
    assert adapt(
        narrow_network(), stored_clips(tmp_path), settings, folder=tmp_path / "r", parent=None, device=CPU
    ).tensors
    assert tried == [(False, 2), (True, 2), (True, 1)]


def test_shuffled_labels_are_refused_after_real_training_and_right_ones_are_not(bank):
    """A narrow network learns the ball, decoder included; from labels that lie elsewhere it unlearns it."""
    settings = LearningSettings(
        steps=30, decoder=True, frames=2, size=32, batch=2, accumulate=1, replay=0.0, learning_rate=6e-3
    )
    small = {"settings": settings, "rules": GateRules(known_looks=2)}  # a narrow network knows no looks
    right, wrong = ([ball_volume(seed, shuffled=shuffled) for seed in range(5)] for shuffled in (False, True))
    good = learn(bank, *right, **small).run()
    assert good.accepted, good.reasons
    assert good.metrics["overall"]["after"] > good.metrics["overall"]["before"] + 0.1
    registry = SplitRegistry(bank.folder / "site")
    sabotaged = [
        one if registry.role(one.image_sha256) is Role.VALIDATION else other
        for one, other in zip(right, wrong, strict=True)
    ]
    bad = learn(bank, *sabotaged, **small).run()
    assert not bad.accepted
    assert "overall J&F fell" in bad.reasons[0]
    assert "ball fell" in bad.reasons[0]
    assert bank.versions("site") == [1, 2]
    assert bank.published("site") == good.version


def test_the_refiner_learns_along_and_what_a_parent_brought_stays_with_it(tmp_path):
    refined = replace(NARROW, refiner=RefinerConfig(channels=(8, 16)))
    clips = stored_clips(tmp_path)
    weights = adapt(narrow_network(refined), clips, QUICK, folder=tmp_path / "a", parent=None, device=CPU)
    assert weights.parts == {"refiner"}
    parent = made_weights(seed=5, parts=("decoder",), config=refined)
    alone = replace(QUICK, refiner=False)
    assert adapt(narrow_network(refined), clips, alone, folder=tmp_path / "b", parent=parent, device=CPU).parts == {
        "decoder"
    }


def test_of_the_refiners_way_only_the_share_that_was_asked_for_is_kept(tmp_path):
    base = narrow_network(replace(NARROW, refiner=RefinerConfig(channels=(8, 16))))
    clips = stored_clips(tmp_path)
    whole, half, none = (
        adapt(
            base,
            clips,
            replace(QUICK, refiner_share=share, learning_rate=0.3),
            folder=tmp_path / str(share),
            parent=None,
            device=CPU,
        )
        for share in (1.0, 0.5, 0.0)
    )
    began = base.state_dict()
    for name in (name for name in whole.tensors if name.startswith("refiner.")):
        torch.testing.assert_close(none.tensors[name], began[name], atol=1e-3, rtol=1e-3)
        kept = 0.0 if ".presence." in name else 0.5  # whether an object is there stays as it was
        middle = began[name].lerp(whole.tensors[name], kept)
        torch.testing.assert_close(half.tensors[name], middle, atol=1e-3, rtol=1e-3)
    assert any(
        (whole.tensors[name] - began[name]).abs().max() > 0.01 for name in whole.tensors if name.startswith("refiner.")
    )
