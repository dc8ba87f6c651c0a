"""The engine against recorded numbers of the published network; skipped where the recordings are absent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from benchmarks import parity
from benchmarks.parity import Comparison, compare
from imos_engine.network import ImosNetwork

UNIT_ENTRIES = 11
SEQUENCE_ENTRIES = ["prob_long", "memory_sizes", "prob_two_seeds"]


@pytest.fixture(scope="module")
def recordings(shared) -> Path:
    return shared / "fixtures"


@pytest.fixture(scope="module")
def xmem(recordings) -> ImosNetwork:
    return parity.build_network(recordings / "xmem_parity.npz")


@pytest.fixture
def with_xmem(xmem, monkeypatch) -> ImosNetwork:
    """The network that every comparison of this test runs on: building it takes longer than most of them."""
    monkeypatch.setattr(parity, "build_network", lambda path: xmem)
    return xmem


def single_calls(path: Path) -> Iterator[Comparison]:
    return islice(compare(path), UNIT_ENTRIES)  # the sequences, which take longer, come after them


def test_every_entry_of_xmem_agrees_alone_and_over_whole_sequences(recordings, with_xmem):
    found = {comparison.entry: comparison for comparison in compare(recordings / "xmem_parity.npz")}
    assert [entry for entry, comparison in found.items() if not comparison.agrees] == []
    assert list(found)[UNIT_ENTRIES:] == SEQUENCE_ENTRIES
    assert found["memory_sizes"].difference == 0


def test_every_single_call_of_imos_with_adapters_agrees(recordings):
    found = list(single_calls(recordings / "imos_parity.npz"))
    assert [comparison.entry for comparison in found if not comparison.agrees] == []
    assert all(comparison.entry.startswith("unit_") for comparison in found)


def test_adapters_make_a_difference_that_the_comparison_sees(recordings, with_xmem):
    found = {comparison.entry: comparison for comparison in single_calls(recordings / "imos_parity.npz")}
    assert not found["unit_key"].agrees
    assert not found["unit_value"].agrees


def test_a_slightly_wrong_weight_is_seen_where_it_acts_and_nowhere_else(recordings, with_xmem):
    bias = with_xmem.decoder.pred.bias
    with torch.no_grad():
        bias.add_(0.01)
    try:
        differing = [found.entry for found in single_calls(recordings / "xmem_parity.npz") if not found.agrees]
    finally:
        with torch.no_grad():
            bias.sub_(0.01)
    assert differing == ["unit_logits", "unit_prob"]


def test_a_slightly_wrong_similarity_is_seen(recordings, with_xmem, monkeypatch):
    exact = parity.similarity
    monkeypatch.setattr(parity, "similarity", lambda *keys: exact(*keys) * 1.01)
    differing = {found.entry for found in single_calls(recordings / "xmem_parity.npz") if not found.agrees}
    assert differing == {"unit_similarity", "unit_affinity_top5"}


@pytest.mark.parametrize(
    ("entry", "difference", "agrees"),
    [
        ("prob_long", 0.9e-4, True),
        ("prob_long", 1.1e-4, False),
        ("unit_affinity_top5", 1.1e-4, False),
        ("unit_key", 0.009, True),  # of a largest value of 10
        ("unit_key", 0.011, False),
        ("memory_sizes", 0.0, True),
        ("memory_sizes", 1.0, False),
        ("prob_long", float("nan"), False),
    ],
)
def test_probabilities_agree_to_1e4_features_to_a_thousandth_and_sizes_exactly(entry, difference, agrees):
    recorded = torch.tensor([10.0, 0.5], dtype=torch.float64)
    assert Comparison(entry, recorded + torch.tensor([0, difference]), recorded).agrees is agrees


@pytest.mark.parametrize(("difference", "status", "verdict"), [(0.0, 0, "all entries agree"), (1.0, 1, "1 entries")])
def test_the_command_prints_every_entry_and_fails_when_one_differs(monkeypatch, capsys, difference, status, verdict):
    recorded = torch.zeros(3)
    monkeypatch.setattr(parity, "compare", lambda path: [Comparison("prob_long", recorded + difference, recorded)])
    monkeypatch.setattr("sys.argv", ["parity", "some.npz"])
    assert parity.main() == status
    printed = capsys.readouterr().out
    assert "prob_long" in printed
    assert verdict in printed
