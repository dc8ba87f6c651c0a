"""Where images come from, what is stored, and several requests at the same time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import nibabel
import numpy as np
import pytest

from tests.app.images import AFFINES, BALL, CLICKS, on_slices
from tests.app.server import array_of


def test_an_uploaded_image_and_one_of_a_session_are_segmented_like_a_stored_one(server):
    expected, _ = server.infer("plain", CLICKS)
    image = str(server.studies / "plain.nii.gz")
    uploaded, _ = server.client.infer("imos", "", dict(CLICKS), file=image)
    np.testing.assert_array_equal(array_of(uploaded), expected)
    session = server.client.create_session(image)["session_id"]
    held, _ = server.client.infer("imos", "", dict(CLICKS), session_id=session)
    np.testing.assert_array_equal(array_of(held), expected)
    server.client.remove_session(session)


def test_inference_writes_nothing_unless_asked(server):
    before = server.stored()
    server.infer("plain", CLICKS)
    server.post("plain", {**CLICKS, "save_label": "false"}, query={"output": "image"})
    assert server.stored() == before
    assert server.leftovers() == []


def test_a_label_is_saved_and_loaded_again_exactly(server):
    labels, _ = server.infer("rotated", {**CLICKS, "result_extension": ".nii.gz"})
    file, _ = server.client.infer("imos", "rotated", {**CLICKS, "result_extension": ".nii.gz"})
    server.client.save_label("rotated", file, params={"label_info": [{"name": "object", "idx": 1}]})
    stored = nibabel.load(server.client.download_label("rotated", "final"))
    np.testing.assert_array_equal(np.asarray(stored.dataobj), labels)
    np.testing.assert_allclose(stored.affine, AFFINES["rotated"], atol=1e-5)
    again, _ = server.infer("rotated", {"propagate": False}, label=server.client.download_label("rotated", "final"))
    np.testing.assert_array_equal(again, labels)


def test_a_request_may_save_its_own_result(server):
    reply = server.post("flipped", {**CLICKS, "save_label": True, "label_tag": "draft"}, query={"output": "json"})
    assert reply.status_code == 200
    assert json.loads(httpx.get(f"{server.url}/datastore/?output=all").text)["objects"]["flipped"]["labels"].keys() == {
        "draft"
    }
    assert server.leftovers() == []


def test_requests_at_the_same_time_are_answered_like_one_after_another(server):
    requests = [("plain", CLICKS), ("oblique", CLICKS), ("plain", {**CLICKS, "direction": "forward"})]
    alone = [server.infer(*request)[0] for request in requests]
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda request: server.post(*request, query={"output": "image"}), requests))
    for reply, labels in zip(replies, alone, strict=True):
        path = server.downloads / "together.nii.gz"
        path.write_bytes(reply.content)
        np.testing.assert_array_equal(array_of(path), labels)


def test_the_app_can_be_reloaded_while_the_server_runs(server, label_file):
    httpx.post(f"{server.url}/reload").raise_for_status()
    seed = on_slices(BALL, [5])
    for _ in range(2):  # the first request loads the app anew, the second meets it
        labels, _ = server.infer("plain", {"propagate": False}, label=label_file(seed))
        np.testing.assert_array_equal(labels, seed)
        assert server.post("plain", {}).status_code == 422
    assert server.leftovers() == []


def test_the_server_answers_others_during_a_long_inference_which_ends_when_its_client_leaves(server):
    waits, reply = [], None
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.post, "long", {"foreground": [[22, 17, 6]], "slice_axis": 2}, timeout=4)
        while not long.done():
            started = time.monotonic()
            reply = httpx.get(f"{server.url}/info/", timeout=10)
            waits.append(time.monotonic() - started)
            time.sleep(0.1)
    assert reply is not None
    assert reply.status_code == 200
    # The median, for cores that are busy with something else: a server that blocks answers nothing for 4 seconds.
    assert np.median(waits) < 1
    with pytest.raises(httpx.ReadTimeout):
        long.result()
    server.infer("plain", CLICKS)  # waits for its turn, which comes as soon as the long one has stopped
    log = server.log.read_text()
    assert "The client left" in log
    assert "through plain.nii.gz" in log
    assert "through long.nii.gz" not in log
    assert server.leftovers() == []
