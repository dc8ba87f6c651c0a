"""`imos fetch xmem`: a server's file in, weights that the app can serve out, or a sentence and nothing kept."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections import namedtuple
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from imos_engine.cli import fetch, main
from imos_engine.config import PRESETS, AdapterConfig
from imos_engine.network.checkpoint import load_network, read_metadata
from tests.engine.file_server import serving
from tests.engine.narrow import NARROW, narrow_network

Usage = namedtuple("Usage", "total used free")


def stored(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def weights(config=NARROW) -> dict[str, torch.Tensor]:
    return dict(narrow_network(config).state_dict())


@pytest.fixture(autouse=True)
def narrow_xmem(monkeypatch):
    """The published file is that of the preset xmem; here that preset is narrow, so that files are small."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(PRESETS, "xmem", NARROW)


@pytest.fixture
def server():
    with serving(stored(weights())) as server:
        yield server


@pytest.fixture
def output(tmp_path):
    return tmp_path / "imos_xmem.safetensors"


def run(server, output, *more: str) -> int:
    return main(["fetch", "xmem", "--url", server.url, "--output", str(output), "--quiet", *more])


def names(output: Path) -> set[str]:
    return {path.name for path in output.parent.iterdir()}


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_the_weights_come_bit_by_bit_and_nothing_else_stays(server, output, capsys):
    assert run(server, output) == 0
    network = load_network(output)
    assert network.config == NARROW
    assert_same(network.state_dict(), weights())
    assert names(output) == {"imos_xmem.safetensors", "imos_xmem.md"}
    assert capsys.readouterr().out == f"{output}\n"


def test_the_note_and_the_header_say_where_the_weights_are_from(server, output):
    run(server, output)
    source = sha256(server.content).hexdigest()
    note = output.with_suffix(".md").read_text()
    for word in ("MIT", "Ho Kei Cheng", server.url, source, sha256(output.read_bytes()).hexdigest()):
        assert word in note
    header = read_metadata(output)
    assert (header["source"], header["source_sha256"], header["licence"]) == (server.url, source, "MIT")


def test_the_published_network_in_full_size_comes_as_it_is(shared, output, monkeypatch):
    monkeypatch.undo()  # the preset itself
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shapes = json.loads((shared / "fixtures" / "xmem_keys.json").read_text())
    state = {
        name: torch.tensor(7) if name.endswith("num_batches_tracked") else torch.full(shape, 1 / (3 + position))
        for position, (name, shape) in enumerate(shapes.items())
    }
    with serving(stored(state)) as server:
        server.breaks = [100_000_000]  # the connection breaks once
        assert run(server, output) == 0
        assert server.sent < len(server.content) + 1_000_000
    network = load_network(output)
    assert network.config == PRESETS["xmem"]
    assert_same(network.state_dict(), state)


def missing(state):
    del state["decoder.pred.bias"]


def unexpected(state):
    state["decoder.extra"] = torch.zeros(1)


def reshaped(state):
    state["decoder.pred.bias"] = torch.zeros(2)


@pytest.mark.parametrize("change", [missing, unexpected, reshaped])
def test_weights_with_other_keys_or_shapes_are_refused_and_removed(server, output, capsys, change):
    state = weights()
    change(state)
    server.content = stored(state)
    assert run(server, output) == 1
    said = capsys.readouterr().err
    assert "not the published file" in said
    assert "decoder." in said
    assert names(output) == set()


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint at all", stored([torch.zeros(1)]), stored({"epoch": 3}), stored(weights())[:-1000]],
    ids=["nothing", "text", "list", "numbers", "cut"],
)
def test_what_is_no_dictionary_of_tensors_is_refused_and_removed(server, output, capsys, content):
    server.content = content
    assert run(server, output) == 1
    assert "what came was removed" in capsys.readouterr().err
    assert names(output) == set()


class _Attack:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("write", [stored, pickle.dumps])
def test_code_in_what_comes_is_never_run(server, output, tmp_path, write):
    server.content = write({**weights(), "attack": _Attack(tmp_path / "touched")})
    assert run(server, output) == 1
    assert names(output) == set()


def test_a_network_with_adapters_is_not_the_published_one(server, output, capsys):
    server.content = stored(weights(replace(NARROW, adapter=AdapterConfig())))
    assert run(server, output) == 1
    assert "adapters" in capsys.readouterr().err
    assert names(output) == set()


def test_a_refused_file_leaves_the_weights_of_before(server, output):
    run(server, output)
    before = output.read_bytes()
    server.content = stored([1])
    assert run(server, output, "--force") == 1
    assert output.read_bytes() == before


@pytest.mark.parametrize("there", ["imos_xmem.safetensors", "imos_xmem.md"])
def test_a_file_that_is_there_is_replaced_only_by_force(server, output, capsys, there):
    output.with_name(there).write_text("mine")
    assert run(server, output) == 1
    assert "--force" in capsys.readouterr().err
    assert output.with_name(there).read_text() == "mine"
    assert server.ranges == []
    assert run(server, output, "--force") == 0
    assert_same(load_network(output).state_dict(), weights())


@pytest.mark.parametrize("place", ["weights.pth", "weights", "nowhere/weights.safetensors"])
def test_an_output_that_could_not_be_written_is_refused_before_the_download(server, tmp_path, capsys, place):
    assert run(server, tmp_path / place) == 1
    assert "--output" in capsys.readouterr().err
    assert server.ranges == []


@pytest.mark.parametrize("trouble", ["404", "page", "disk"])
def test_trouble_is_one_sentence_and_leaves_no_weights(server, output, capsys, monkeypatch, trouble):
    if trouble == "404":
        server.status = 404
    elif trouble == "page":
        server.content_type = "text/html"
    else:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 0))
    assert run(server, output) == 1
    said = capsys.readouterr().err
    assert said.startswith("imos fetch: ")
    assert said.count("\n") == 1
    assert names(output) == set()


def test_an_interruption_keeps_what_came_and_the_same_command_goes_on(server, output, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        for progress in download(*arguments, **options):
            yield progress
            if progress.received:
                raise KeyboardInterrupt

    download = fetch.download
    monkeypatch.setattr(fetch, "download", interrupted)
    assert run(server, output) == 130
    assert "goes on from there" in capsys.readouterr().err
    came = next(output.parent.glob("*.part.pth")).stat().st_size
    assert came > 0
    monkeypatch.setattr(fetch, "download", download)
    assert run(server, output) == 0
    assert server.ranges == [None, f"bytes={came}-"]
    assert_same(load_network(output).state_dict(), weights())
    assert names(output) == {"imos_xmem.safetensors", "imos_xmem.md"}


def test_the_bar_counts_to_the_files_size(server, output, capsys):
    assert main(["fetch", "xmem", "--url", server.url, "--output", str(output)]) == 0
    assert "100%" in capsys.readouterr().err


def test_without_an_option_the_weights_go_where_the_server_looks():
    assert fetch.DEFAULT_OUTPUT.parent.name == "model"
    assert (fetch.DEFAULT_OUTPUT.parent.parent / "main.py").is_file()
    assert fetch.DEFAULT_OUTPUT.name == "imos_xmem.safetensors"
    assert fetch.XMEM_URL == "https://github.com/hkchengrex/XMem/releases/download/v1.0/XMem.pth"
