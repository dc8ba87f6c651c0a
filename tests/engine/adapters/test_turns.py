import signal
import subprocess
import sys
import threading
import time

from imos_engine.adapters.turns import SharedMachine
from tests.conftest import REPOSITORY

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from imos_engine.adapters.turns import SharedMachine
with SharedMachine(Path(sys.argv[1])).serving():
    print("serving", flush=True)
    time.sleep(60)
"""


def waiting(machine):
    thread = threading.Thread(target=machine.wait_for_turn, daemon=True)
    thread.start()
    return thread


def test_a_training_waits_while_a_request_is_served_and_no_longer(tmp_path):
    machine = SharedMachine(tmp_path)
    with machine.serving():
        training = waiting(SharedMachine(tmp_path))
        time.sleep(0.1)
        assert training.is_alive()
    training.join(5)
    assert not training.is_alive()


def test_a_request_does_not_wait_for_a_training_that_only_looks(tmp_path):
    machine = SharedMachine(tmp_path)
    machine.wait_for_turn()
    started = time.monotonic()
    with machine.serving():
        pass
    assert time.monotonic() - started < 0.5


def test_a_server_that_is_killed_stops_no_training(tmp_path):
    app = str(REPOSITORY / "apps" / "imos")
    server = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), app], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"serving\n"
    training = waiting(SharedMachine(tmp_path))
    time.sleep(0.1)
    assert training.is_alive()
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    training.join(5)
    assert not training.is_alive()


def test_without_a_bank_nobody_waits(tmp_path):
    machine = SharedMachine(tmp_path / "none yet")
    with machine.serving():
        machine.wait_for_turn()
    assert not (tmp_path / "none yet").exists()
