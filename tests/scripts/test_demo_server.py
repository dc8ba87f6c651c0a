"""Whatever happens while the demo's server runs, it ends. A plain file server stands in for MONAI Label's."""

import sys

import pytest
import requests

from scripts.demo import server
from scripts.demo.server import running_server


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose `/info/` the stand-in lists; its command takes the place of the real one."""
    (tmp_path / "info").mkdir()
    stand_in = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
    monkeypatch.setattr(server, "command", lambda studies, *, port, conf: [*stand_in, str(port)])
    return tmp_path


def assert_nobody_answers(url):
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_the_server_answers_inside_the_block_and_is_gone_after_it(folder):
    with running_server(folder, log=folder / "log.txt") as url:
        assert requests.get(f"{url}/info/", timeout=5).ok
    assert_nobody_answers(url)


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_server_is_gone_after_an_error_or_a_stop_request(folder, trouble):
    with pytest.raises(trouble), running_server(folder, log=folder / "log.txt") as url:
        raise trouble
    assert_nobody_answers(url)


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(folder, monkeypatch):
    words = "import sys; print('no such weights'); sys.exit(3)"
    monkeypatch.setattr(server, "command", lambda studies, *, port, conf: [sys.executable, "-c", words])
    with pytest.raises(RuntimeError, match=r"code 3(.|\n)*no such weights"), running_server(folder, log=folder / "log"):
        pass


def test_a_server_that_never_answers_is_ended(folder, monkeypatch):
    monkeypatch.setattr(server, "SECONDS_TO_START", 0.5)
    monkeypatch.setattr(server, "command", lambda *_, **__: [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(RuntimeError, match="did not answer"), running_server(folder, log=folder / "log.txt"):
        pass


def test_every_setting_reaches_the_command_line(tmp_path):
    line = server.command(tmp_path, port=8123, conf={"weights": tmp_path / "w.safetensors", "size": 64})
    assert line[line.index("--port") + 1] == "8123"
    assert " ".join(line).endswith(f"--conf weights {tmp_path / 'w.safetensors'} --conf size 64")
    assert "127.0.0.1" in line
