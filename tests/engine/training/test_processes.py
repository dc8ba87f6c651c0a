import json

import pytest
import torch
import torch.multiprocessing

from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network, save_network
from imos_engine.training.clips import ClipBatches
from imos_engine.training.processes import ALONE, OwnBatches, Processes
from imos_engine.training.recipe import Phase
from scripts.processes import free_port

from . import ranks
from .conftest import TINY, MovingSquares

COUNT = 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder per process of what two of them did together, and one of what a single one did with the same clips."""
    folder = tmp_path_factory.mktemp("processes")
    torch.manual_seed(0)
    weights = folder / "tiny.safetensors"
    save_network(weights, ImosNetwork(TINY))
    arguments = (COUNT, free_port(), folder, weights)
    torch.multiprocessing.start_processes(ranks.everything, args=arguments, nprocs=COUNT, start_method="spawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imos_engine.training.loop.Disturbance", None)  # `train` replaces it
        ranks.train(ranks.recipe(batch=COUNT), folder / "single", weights)
    return folder


def weights_of(folder):
    return load_network(folder / "weights.safetensors").state_dict()


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def test_two_processes_learn_what_one_learns_from_batches_of_twice_the_clips(trained):
    before, single = weights_of_file(trained), checkpoint(trained / "single")["network"]
    together = checkpoint(trained / "0" / "whole")["network"]
    moved = max(float((single[name] - before[name]).abs().max()) for name in before)
    for name, value in single.items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=1e-2 * moved)


def weights_of_file(folder):
    return load_network(folder / "tiny.safetensors").state_dict()


def test_a_run_that_one_process_stopped_ends_for_all_at_that_step_and_resumes_bit_by_bit(trained):
    assert torch.load(trained / "stopped_at.pt") == 2
    whole, parts = (weights_of(trained / "0" / name) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_only_the_first_process_writes(trained):
    assert (trained / "0" / "whole" / "log.jsonl").is_file()
    assert not (trained / "1").exists()


def test_the_log_speaks_of_the_clips_of_all_processes(trained):
    def losses(folder):
        lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        return [line["loss"] for line in lines if "loss" in line]

    assert losses(trained / "0" / "whole") == pytest.approx(losses(trained / "single"), rel=1e-3)
    assert checkpoint(trained / "0" / "whole")["position"]["frames"] == ranks.STEPS * 3 * 2 * COUNT


def test_a_gradient_that_one_process_lacks_counts_as_zero_and_one_that_all_lack_stays_absent(trained):
    for rank in range(COUNT):
        averaged = torch.load(trained / f"primitives_{rank}.pt")
        assert averaged["lonely"].tolist() == averaged["shared"].tolist() == [0.5, 0.5]
        assert averaged["frozen"] is None


def test_running_statistics_are_averaged_unless_they_are_frozen(trained):
    averaged = [torch.load(trained / f"primitives_{rank}.pt") for rank in range(COUNT)]
    assert [float(one["mean"]) for one in averaged] == [0.5, 0.5]
    assert [float(one["frozen mean"]) for one in averaged] == [0.0, 1.0]
    before = weights_of_file(trained)
    moving = checkpoint(trained / "0" / "moving")["network"]
    assert any(name.endswith("running_mean") and not torch.equal(moving[name], before[name]) for name in before)


def test_the_processes_share_the_batches_among_them_without_overlap():
    phase = Phase(steps=1, frames=2, size=32, batch=2, max_objects=1)
    whole = ClipBatches(MovingSquares(frames=2, size=32, seed=0), phase, phase_index=1, seed=0)
    for step in range(2):
        for rank in range(3):
            processes = Processes(rank=rank, count=3)
            own = OwnBatches(whole.source, phase, processes, phase_index=1, seed=0)[step]
            assert torch.equal(own.frames, whole[3 * step + rank].frames)


def test_one_process_alone_changes_nothing():
    parameter = torch.nn.Parameter(torch.zeros(1))
    ALONE.average_gradients([parameter])
    assert parameter.grad is None
    assert ALONE.agree(2.5, True) == (2.5, True)
    assert ALONE.total(1.0, 2.0) == [1.0, 2.0]
    assert ALONE.from_first("mine") == "mine"
