"""What is kept of a client between its requests: steps, undo and redo, through restarts and crashes."""

import signal
import threading
import time

import httpx
import numpy as np
import pytest

from tests.app.images import CENTRE, CLICKS, picture, save_nifti
from tests.app.server import Server, start, stop
from tests.app.sessions import Session, seeds_of, square
from tests.app.test_bad_requests import refused


@pytest.fixture
def session(server):
    """A client of whom the server knows nothing yet."""
    return Session(server, selected_label_name="liver", slice_axis=2)


def steps_of(imos):
    history = imos["history"]
    return history["step"], history["steps"], history["can_undo"], history["can_redo"]


def test_steps_can_be_undone_and_done_again(session, label_file):
    answers = [session.send(label=label_file(square(index))) for index in (2, 5, 9)]
    assert [steps_of(imos) for _, imos in answers] == [(1, 1, True, False), (2, 2, True, False), (3, 3, True, False)]
    for expected, step in ((answers[1], 2), (answers[0], 1)):
        labels, imos = session.send(history="undo")
        np.testing.assert_array_equal(labels, expected[0])
        assert seeds_of(imos) == seeds_of(expected[1])
        assert imos["confidence"] == expected[1]["confidence"]
        assert steps_of(imos) == (step, 3, True, True)
    labels, imos = session.send(history="undo")
    assert not labels.any()
    assert steps_of(imos) == (0, 3, False, True)
    refused(session.post(history="undo"), words=["nothing to undo"], status=409)
    for expected, _ in answers:
        labels, imos = session.send(history="redo")
        np.testing.assert_array_equal(labels, expected)
    assert steps_of(imos) == (3, 3, True, False)
    refused(session.post(history="redo"), words=["nothing to redo"], status=409)


def test_marks_that_come_along_with_an_undo_are_not_used(session):
    first, _ = session.send(**CLICKS)
    session.send(foreground=[[22, 17, 9]])
    undone, _ = session.send(foreground=[[22, 17, 2]], history="undo")
    np.testing.assert_array_equal(undone, first)


def test_a_new_step_after_an_undo_takes_the_place_of_what_was_undone(session, label_file):
    session.send(label=label_file(square(2)))
    session.send(label=label_file(square(5)))
    session.send(history="undo")
    _, imos = session.send(label=label_file(square(9)))
    assert seeds_of(imos) == [(2, 2, "mask"), (2, 9, "mask")]
    assert steps_of(imos) == (2, 2, True, False)
    refused(session.post(history="redo"), words=["nothing to redo"], status=409)


def test_two_clients_on_one_image_never_see_each_others_state(server, session, label_file):
    other = Session(server, selected_label_name="liver", slice_axis=2)
    session.send(label=label_file(square(2)))
    _, imos = other.send(label=label_file(square(9)))
    assert seeds_of(imos) == [(2, 9, "mask")]
    refused(other.post(history="redo"), words=["nothing to redo"], status=409)
    _, imos = session.send(label=label_file(square(5)))
    assert seeds_of(imos) == [(2, 2, "mask"), (2, 5, "mask")]


def test_one_client_has_a_session_per_image(server, session, label_file):
    session.send(label=label_file(square(2)))
    elsewhere = Session(server, "constant", **session.always)
    _, imos = elsewhere.send(label=label_file(square(9)))
    assert seeds_of(imos) == [(2, 9, "mask")]


def test_of_a_client_without_a_name_nothing_is_kept(server):
    server.infer("plain", {"foreground": [list(CENTRE)]})
    _, answer = server.infer("plain", {"foreground": [[22, 17, 9]]})
    assert seeds_of(answer["imos"]) == [(2, 9, "points")]
    assert answer["imos"]["history"] is None
    refused(server.post("plain", {"history": "undo"}), words=["nothing to undo", "client_id"])


def test_a_refused_request_leaves_the_session_as_it_was(session):
    first, before = session.send(**CLICKS)
    refused(session.post(foreground=[[22, 17, 99]]), words=["outside"])
    refused(
        session.post(foreground=[[22, 17, 9]], objects={"liver": 300}, selected_label_name="", result_dtype="uint8"),
        words=["300"],
    )
    again, imos = session.send(**CLICKS)
    np.testing.assert_array_equal(again, first)
    assert seeds_of(imos) == seeds_of(before)
    assert imos["history"] == before["history"]


def test_a_look_at_the_marks_is_no_step(session):
    first, before = session.send(**CLICKS)
    seen, imos = session.send(foreground=[[22, 17, 9]], propagate=False)
    assert {(axis, index) for axis, index, _ in seeds_of(imos)} == {(2, 6), (2, 9)}
    assert set(np.flatnonzero(seen.any(axis=(0, 1)))) == {6, 9}
    again, imos = session.send(**CLICKS)
    np.testing.assert_array_equal(again, first)
    assert imos["history"] == before["history"]


def test_a_session_can_start_over(session, label_file):
    session.send(label=label_file(square(2)))
    _, imos = session.send(label=label_file(square(9)), reset_state=True)
    assert seeds_of(imos) == [(2, 9, "mask")]
    assert steps_of(imos)[:2] == (1, 1)
    refused(session.post(foreground=[[22, 17, 99]], reset_state=True), words=["outside"])
    _, imos = session.send()
    assert seeds_of(imos) == [(2, 9, "mask")]  # a refused beginning is none
    nothing, imos = session.send(reset_state="true")
    assert not nothing.any()
    assert any("cleared" in warning for warning in imos["warnings"])
    assert steps_of(imos) == (0, 0, False, False)
    refused(session.post(), words=["no seed"])


def test_the_history_is_offered_where_clients_show_options(server):
    for model in server.client.info()["models"].values():
        assert model["config"]["history"] == ["add", "undo", "redo"]
        assert model["config"]["reset_state"] is False
        assert {"accepted_slices", "protected"} <= model["config"].keys()


@pytest.fixture
def own_server(tmp_path, weights):
    """Starts a server again and again on the same folders."""
    studies = tmp_path / "studies"
    studies.mkdir()
    save_nifti(studies / "plain.nii.gz", picture())
    save_nifti(studies / "long.nii.gz", picture((64, 64, 3000)))
    running = []

    def begin():
        folder = tmp_path / f"run{len(running)}"
        (folder / "downloads").mkdir(parents=True)
        conf = {"weights": weights, "size": 48, "precision": "float32", "threads": 1, "labels": "liver,spleen"}
        process, url = start(studies, folder, {**conf, "sessions": tmp_path / "journals"})
        running.append(process)
        temporary, log = folder / "server-tmp", folder / "server.log"
        return process, Server(url=url, studies=studies, temporary=temporary, downloads=folder / "downloads", log=log)

    yield begin
    for process in running:
        if process.poll() is None:
            stop(process)


def test_a_killed_server_forgets_nothing_that_it_answered(own_server, label_file, tmp_path):
    process, server = own_server()
    session = Session(server, selected_label_name="liver", slice_axis=2)
    long = Session(server, "long", **session.always)
    answers = [session.send(label=label_file(square(index))) for index in (2, 9)]
    client = threading.Thread(target=_ask_in_vain, args=(long, [22, 17, 6]))
    client.start()
    time.sleep(2)
    process.send_signal(signal.SIGKILL)
    process.wait(15)
    client.join()
    for session_folder in (tmp_path / "journals").glob("*/*"):
        (session_folder / ".step.partial").write_bytes(b"half")

    _, server = own_server()
    session = Session(server, **session.always)
    same, imos = session.send()
    np.testing.assert_array_equal(same, answers[1][0])
    assert seeds_of(imos) == seeds_of(answers[1][1])
    assert imos["confidence"] == answers[1][1]["confidence"]
    undone, imos = session.send(history="undo")
    np.testing.assert_array_equal(undone, answers[0][0])
    _, imos = session.send(label=label_file(square(5)))
    assert seeds_of(imos) == [(2, 2, "mask"), (2, 5, "mask")]
    refused(Session(server, "long", **session.always).post(history="undo"), words=["nothing to undo"], status=409)


def _ask_in_vain(session, point):
    """A request that its server does not survive."""
    with pytest.raises(httpx.HTTPError):
        session.post(foreground=[point])
