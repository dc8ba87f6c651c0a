"""Steps on disk: what was written comes back bit for bit, and a crash at any moment leaves whole steps."""

import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from lib.sessions.archive import ArchiveError, read_step, step_bytes
from lib.sessions.identity import ImageIdentities, client_identity
from lib.sessions.journal import MOST_STEPS, POINTER, Journal
from lib.sessions.packed_mask import PackedMask
from lib.sessions.store import LONGEST_AGE_S, UNTOUCHED_S, SessionStore
from tests.app.server import APP
from tests.app.steps import made_step


def plain(step):
    """Everything in a step, as values that can be compared."""
    return step_bytes(step)


@pytest.mark.parametrize("shape", [(5, 4), (9, 7, 5), (1, 1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_a_mask_is_unpacked_as_it_was_packed(shape, share):
    mask = np.random.default_rng(0).random(shape) < share
    packed = PackedMask.of(mask)
    np.testing.assert_array_equal(packed.unpack(), mask)
    assert bool(packed) == mask.any()
    assert not PackedMask.empty(shape)
    assert PackedMask.empty(shape).unpack().shape == shape
    assert not PackedMask.empty(shape).unpack().any()


def test_a_step_is_read_as_it_was_written():
    step = made_step(3)
    read = read_step(step_bytes(step))
    assert plain(read) == plain(step)
    state, again = step.objects["liver"], read.objects["liver"]
    np.testing.assert_array_equal(again.answer.unpack(), state.answer.unpack())
    np.testing.assert_array_equal(again.seeds[0].mask.unpack(), state.seeds[0].mask.unpack())
    assert again.clicks == state.clicks
    assert again.layers[2].confidence == state.layers[2].confidence
    assert read.intensity == step.intensity


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"{}"])
def test_a_damaged_step_is_told_from_a_whole_one(damage):
    with pytest.raises(ArchiveError):
        read_step(damage(step_bytes(made_step())))


def test_the_oldest_steps_are_dropped_and_the_beginning_with_them(tmp_path):
    journal = Journal(tmp_path / "image" / "client")
    for number in range(MOST_STEPS + 2):
        journal.append(made_step(number))
    pointer = journal.pointer
    assert pointer.position == len(pointer.steps) == MOST_STEPS
    assert len(list((tmp_path / "image" / "client").glob("*.step"))) == MOST_STEPS
    undone = 0
    while pointer.can_undo:
        pointer = pointer.before
        undone += 1
    assert undone == MOST_STEPS - 1  # the oldest that is kept is where undoing ends
    assert plain(journal.step_at(pointer)) == plain(made_step(2))


def test_nobody_else_can_read_a_session_and_its_path_tells_nothing(tmp_path):
    store = SessionStore(tmp_path / "sessions")
    store.open()
    store.journal(image="patient Doe", client="nurse Roe").append(made_step())
    paths = [tmp_path / "sessions", *(tmp_path / "sessions").rglob("*")]
    assert len(paths) == 5
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert "Doe" not in str(path)
        assert "Roe" not in str(path)


def test_opening_removes_old_sessions_and_what_crashes_left_but_nothing_that_may_be_in_use(tmp_path):
    store = SessionStore(tmp_path / "sessions")
    store.open()
    ages = {"used": 0, "crashed": UNTOUCHED_S + 60, "old": LONGEST_AGE_S + 60}
    for name, age in ages.items():
        journal = store.journal(image=name, client="me")
        journal.append(made_step())
        folder = next(path for path in (tmp_path / "sessions").glob("*/*") if not (path / "mark").exists())
        (folder / "mark").write_text(name)
        (folder / ".x.step.partial").write_bytes(b"half")
        for path in folder.iterdir():
            os.utime(path, (time.time() - age,) * 2)
    store.open()
    assert store.journal(image="old", client="me").pointer.position == 0
    for name, partials in (("used", 1), ("crashed", 0)):
        journal = store.journal(image=name, client="me")
        assert plain(journal.step_at(journal.pointer)) == plain(made_step())
        assert sum(len(list(path.glob("*.partial"))) for path in _folders(tmp_path, journal)) == partials


def _folders(tmp_path, journal):
    names = set(journal.pointer.steps)
    return [path for path in (tmp_path / "sessions").glob("*/*") if names & {one.name for one in path.iterdir()}]


WRITER = """
import sys
sys.path[:0] = [{app!r}, {repository!r}]
from pathlib import Path
from lib.sessions.journal import Journal
from tests.app.steps import made_step
journal = Journal(Path({folder!r}))
print("ready", flush=True)
for number in range(100_000):
    journal.append(made_step(number))
    if number % 3 == 2:
        journal.move(journal.pointer.before)
    print(number, flush=True)
"""


@pytest.mark.parametrize("milliseconds", [20, 60, 130])
def test_a_journal_whose_writer_is_killed_holds_every_step_that_was_done(tmp_path, milliseconds):
    folder = tmp_path / "image" / "client"
    folder.parent.mkdir()
    script = WRITER.format(app=str(APP), repository=str(APP.parents[1]), folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
        done = [int(line) for line in process.stdout]
    journal = Journal(folder)
    pointer = journal.pointer
    numbers = []
    for position in range(1, len(pointer.steps) + 1):
        step = journal.step_at(type(pointer)(steps=pointer.steps, position=position))
        numbers.append(step.objects["liver"].id - 1)
    if done:
        assert max(numbers) >= done[-1]
    assert numbers == sorted(numbers)
    journal.append(made_step(0))
    assert journal.pointer.position == pointer.position + 1 or pointer.position == MOST_STEPS


def test_a_pointer_that_cannot_be_read_is_a_session_that_starts_over(tmp_path):
    journal = Journal(tmp_path / "image" / "client")
    journal.append(made_step())
    (tmp_path / "image" / "client" / POINTER).write_text("{")
    assert journal.pointer.position == 0
    journal.append(made_step(1))
    assert plain(journal.step_at(journal.pointer)) == plain(made_step(1))


def test_clients_are_told_apart_by_what_they_say_and_where_they_are():
    def identity(client_id="", address="1.2.3.4", browser="", in_session=False):
        return client_identity(client_id, address=address, browser=browser, in_session=in_session)

    assert identity() == ""
    assert identity("ann") == identity("ann", address="5.6.7.8") != identity("bob")
    assert identity("user-xyz") != identity("user-xyz", address="5.6.7.8")  # Slicer's own, until it is changed
    assert identity(browser="a") != identity(browser="b")
    assert identity(in_session=True)


def test_an_image_is_known_by_its_voxels_and_its_grid(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    path = tmp_path / "image.nii"

    def identity(array, affine=None, stamp=None):
        return ImageIdentities().identity(path, stamp or 1, array, np.eye(4) if affine is None else affine)

    assert identity(array) == identity(np.array(array), stamp=2)
    assert identity(array) != identity(array + 1)
    assert identity(array) != identity(array.reshape(5, 4, 3))
    assert identity(array) != identity(array, affine=np.diag([2.0, 1, 1, 1]))
    turned = np.asfortranarray(array)
    assert identity(turned) != identity(turned + 1)
