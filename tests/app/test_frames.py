"""Videos over HTTP, with the weights that the app brings: marks on one frame, the label volume back."""

import time

import cv2
import httpx
import numpy as np
import pytest
import SimpleITK
from pydicom.uid import JPEGLosslessSV1

from imos_engine.metrics.overlap import dice
from tests.app.server import Server, array_of, start, stop
from tests.app.videos import (
    FRAMES,
    HEIGHT,
    SEED_FRAME,
    WIDTH,
    centre,
    colour_frames,
    grey_frames,
    truth,
    write_colour_nifti,
    write_colour_nrrd,
    write_dicom,
    write_movie,
    write_png_folder,
)

FOLLOWED = 0.7  # Dice of the whole volume above which the disc was followed, not repeated: a still copy reaches less
COLUMN, ROW = centre(SEED_FRAME)
CLICKS = {
    "foreground": [[COLUMN, ROW, SEED_FRAME], [COLUMN + 6, ROW + 4, SEED_FRAME]],
    "background": [[4, 4, SEED_FRAME], [90, 66, SEED_FRAME], [COLUMN + 22, ROW, SEED_FRAME]],
}
KINDS = {  # id -> kind of pixel
    "frames": "colour",
    "grey.frames": "grey",
    "film": "colour",
    "motion_jpeg": "colour",
    "ultrasound": "grey",
    "doppler": "colour",
    "rgb_nifti": "colour",
    "rgb_nrrd": "colour",
}
VIDEOS = [name for name in KINDS if not name.startswith("rgb")]
BAD = {  # id -> words of the sentence that refuses it
    "other_size": ["frame7.png", "50 x 50", "96 x 72", "folder of their own"],
    "cut_frame": ["frame3.png", "cut short"],
    "no_film": ["no_film.mp4", "no MP4", "ffmpeg"],
    "play_list": ["play_list.mp4", "no MP4"],
    "empty_film": ["empty_film.mp4", "no frame"],
    "one_frame": ["one_frame.avi", "1 frame", "at least two"],
    "cut_loop": ["cut_loop.dcm", "5 of the 12 frames"],
    "lossless_jpeg": ["lossless_jpeg.dcm", "JPEG Lossless", "gdcmconv"],
}


def write_studies(folder):
    """The same video, as every kind."""
    colour, grey = colour_frames(), grey_frames()
    write_png_folder(folder / "frames", colour)
    write_png_folder(folder / "grey.frames", grey)
    write_movie(folder / "film.mp4", colour)
    write_movie(folder / "motion_jpeg.AVI", colour, "MJPG")
    write_dicom(folder / "ultrasound.dcm", grey)
    write_dicom(folder / "doppler.dcm", colour, PixelSpacing=[0.3, 0.2])
    write_dicom(folder / "single_slice.dcm", grey[:1])
    write_colour_nifti(folder / "rgb_nifti.nii.gz", colour)
    write_colour_nrrd(folder / "rgb_nrrd.nrrd", colour)
    write_bad_videos(folder, colour, grey)
    (folder / "notes").mkdir()
    (folder / "notes" / "cover.png").write_bytes((folder / "frames" / "frame1.png").read_bytes())


def write_bad_videos(folder, colour, grey):
    """Videos that are listed, because only reading them shows what is wrong."""
    write_png_folder(folder / "other_size", colour)
    cv2.imwrite(str(folder / "other_size" / "frame7.png"), np.zeros((50, 50, 3), np.uint8))
    write_png_folder(folder / "cut_frame", colour)
    cut = folder / "cut_frame" / "frame3.png"
    cut.write_bytes(cut.read_bytes()[:-30])
    (folder / "no_film.mp4").write_bytes(b"this is no film")
    (folder / "play_list.mp4").write_bytes(b"#EXTM3U\n#EXTINF:1,\nfilm.mp4\n")
    (folder / "empty_film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    write_movie(folder / "one_frame.avi", colour[:1], "MJPG")
    write_dicom(folder / "cut_loop.dcm", grey[:5], NumberOfFrames=FRAMES)
    write_dicom(folder / "lossless_jpeg.dcm", [b"\xff\xd8\xff\xd9"] * FRAMES, JPEGLosslessSV1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the server keeps what it makes of videos."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(tmp_path_factory, cache):
    """The real server process, with the bundled weights, on a folder of videos."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("studies", "downloads"):
        (folder / name).mkdir()
    write_studies(folder / "studies")
    conf = {"size": 72, "precision": "float32", "threads": 1, "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        process, url = start(folder / "studies", folder, conf)
    yield Server(
        url=url,
        studies=folder / "studies",
        temporary=folder / "server-tmp",
        downloads=folder / "downloads",
        log=folder / "server.log",
    )
    stop(process)


def test_the_datastore_lists_every_video_and_nothing_that_is_none(server):
    objects = httpx.get(f"{server.url}/datastore/?output=all").json()["objects"]
    assert set(objects) == set(KINDS) | set(BAD)


@pytest.mark.parametrize("image", KINDS)
def test_clicks_on_one_frame_follow_the_object_through_all(server, image):
    labels, answer = server.infer(image, CLICKS)
    assert labels.shape == (WIDTH, HEIGHT, FRAMES)
    assert [(seed["axis"], seed["slice"]) for seed in answer["imos"]["seeds"]] == [(2, SEED_FRAME)]
    assert dice(labels > 0, truth()) > FOLLOWED
    assert min(dice(labels[..., k] > 0, truth()[..., k]) for k in range(FRAMES)) > FOLLOWED


def test_a_disc_that_stayed_where_it_was_marked_would_not_pass():
    still = np.repeat(truth()[..., SEED_FRAME : SEED_FRAME + 1], FRAMES, axis=-1)
    assert min(dice(still[..., k], truth()[..., k]) for k in range(FRAMES)) < FOLLOWED


@pytest.mark.parametrize("image", VIDEOS)
def test_a_client_gets_a_volume_that_it_can_open_with_the_frames_along_its_third_axis(server, image):
    reply = httpx.get(f"{server.url}/datastore/image", params={"image": image})
    assert f'filename="{image}.nii"' in reply.headers["content-disposition"]
    frames = colour_frames() if KINDS[image] == "colour" else grey_frames()
    seen = opened(server, image)
    assert seen.shape == frames.shape
    if image not in ("film", "motion_jpeg"):
        np.testing.assert_array_equal(seen, frames)
        return
    for index, frame in enumerate(seen):  # compression changes pixels, and no frame's place
        distances = np.abs(colour_frames() - frame.astype(float)).mean(axis=(1, 2, 3))
        assert distances.argmin() == index
        assert distances.min() < 5


@pytest.mark.parametrize("image", ["frames", "film", "ultrasound", "rgb_nrrd"])
def test_a_painted_frame_is_kept_and_its_label_saved_on_the_grid_of_the_volume(server, tmp_path, image):
    grid = fetched(server, image)
    painted = np.zeros((WIDTH, HEIGHT, FRAMES), np.uint8)
    painted[..., SEED_FRAME] = truth()[..., SEED_FRAME] * 3
    label = SimpleITK.GetImageFromArray(painted.T)
    label.CopyInformation(grid)
    SimpleITK.WriteImage(label, str(tmp_path / "label.nii.gz"))
    with (tmp_path / "label.nii.gz").open("rb") as file:
        params = {"save_label": True, "label_tag": "final", "result_extension": ".nii.gz"}
        server.post(image, params, files={"label": ("label.nii.gz", file)}).raise_for_status()
    saved = SimpleITK.ReadImage(server.client.download_label(image, "final"))
    labels = SimpleITK.GetArrayFromImage(saved).T
    np.testing.assert_array_equal(labels[..., SEED_FRAME], painted[..., SEED_FRAME])
    assert dice(labels > 0, truth()) > FOLLOWED
    corner = (WIDTH - 1, HEIGHT - 1, FRAMES - 1)
    for voxel in ((0, 0, 0), corner):
        there, here = saved.TransformIndexToPhysicalPoint(voxel), grid.TransformIndexToPhysicalPoint(voxel)
        np.testing.assert_allclose(there, here, atol=1e-4)
    httpx.delete(f"{server.url}/datastore/label", params={"id": image, "tag": "final"})


def fetched(server, image):
    """The file that a client opens for an image."""
    path = server.downloads / ("fetched.nrrd" if image == "rgb_nrrd" else "fetched.nii")
    path.write_bytes(httpx.get(f"{server.url}/datastore/image", params={"image": image}).content)
    return SimpleITK.ReadImage(str(path))


def opened(server, image):
    """Its frames as that client sees them, (T, H, W) or (T, H, W, 3)."""
    return SimpleITK.GetArrayFromImage(fetched(server, image))


def test_the_same_pixel_clicked_on_two_frames_is_no_plane_of_its_own(server):
    clicks = {"foreground": [[COLUMN, ROW, SEED_FRAME], [COLUMN, ROW, SEED_FRAME + 2]]}
    _, answer = server.infer("film", clicks)
    assert [(seed["axis"], seed["slice"]) for seed in answer["imos"]["seeds"]] == [(2, SEED_FRAME), (2, SEED_FRAME + 2)]


def test_a_video_that_is_uploaded_or_held_by_a_session_is_followed_like_a_stored_one(server):
    expected, _ = server.infer("film", CLICKS)
    film = str(server.studies / "film.mp4")
    uploaded, _ = server.client.infer("imos", "", {**CLICKS, "result_extension": ".nii.gz"}, file=film)
    np.testing.assert_array_equal(array_of(uploaded), expected)
    session = server.client.create_session(film)["session_id"]
    held, _ = server.client.infer("imos", "", {**CLICKS, "result_extension": ".nii.gz"}, session_id=session)
    np.testing.assert_array_equal(array_of(held), expected)
    server.client.remove_session(session)
    assert server.leftovers() == []


def test_a_video_is_unpacked_once_and_nothing_is_written_beside_it(server, cache):
    server.infer("film", CLICKS)
    before, unpacked = server.stored(), server.log.read_text().count("Unpacked film.mp4")
    server.infer("film", CLICKS)
    httpx.get(f"{server.url}/datastore/image", params={"image": "film"})
    assert server.log.read_text().count("Unpacked film.mp4") == unpacked == 1
    assert server.stored() == before
    assert [path.name for path in cache.rglob("film*")] == ["film.nii"]


def test_the_next_sample_names_the_file_that_the_client_fetches(server):
    info = httpx.get(f"{server.url}/datastore/image/info", params={"image": "film"}).json()
    assert (info["name"], info["video"]) == ("film.nii", "film.mp4")
    assert info["path"].endswith("/film.nii")


def test_a_video_uploaded_to_the_datastore_is_one_of_its_images_until_it_is_removed(server, cache, tmp_path):
    write_movie(tmp_path / "new.mp4", colour_frames()[::-1])
    server.client.upload_image(str(tmp_path / "new.mp4"), "brought")
    labels, _ = server.infer("brought", {**CLICKS, "propagate": False})
    assert labels.shape == (WIDTH, HEIGHT, FRAMES)
    httpx.delete(f"{server.url}/datastore/image", params={"id": "brought"}).raise_for_status()
    assert list(cache.rglob("brought*")) == []
    assert server.post("brought", CLICKS).status_code == 404


@pytest.mark.parametrize("image", BAD)
def test_a_video_that_cannot_be_used_is_refused_with_a_sentence_and_leaves_nothing_behind(server, cache, image):
    asked = server.post(image, CLICKS), httpx.get(f"{server.url}/datastore/image", params={"image": image})
    for reply in asked:
        assert reply.status_code == 422, reply.text
        for word in BAD[image]:
            assert word in reply.json()["detail"]
    assert list(cache.rglob(f"*{image}*")) == []
    assert server.leftovers() == []


@pytest.mark.parametrize("point", [[WIDTH, 3, 0], [3, HEIGHT, 0], [3, 3, FRAMES]])
def test_a_point_outside_the_frames_or_after_the_last_is_refused(server, point):
    reply = server.post("film", {"foreground": [point]})
    assert reply.status_code == 422
    assert f"({WIDTH - 1}, {HEIGHT - 1}, {FRAMES - 1})" in reply.json()["detail"]


def test_an_upload_that_is_no_film_is_refused(server):
    reply = server.post("", CLICKS, files={"file": ("film.mp4", b"this is no film")})
    assert reply.status_code == 422
    assert "no MP4" in reply.json()["detail"]


def test_frames_that_are_added_and_replaced_are_seen(server):
    folder = server.studies / "growing"
    write_png_folder(folder, grey_frames()[:3])
    deadline = time.monotonic() + 30
    while "growing" not in httpx.get(f"{server.url}/datastore/?output=all").json()["objects"]:
        assert time.monotonic() < deadline, "the folder was not listed"
        time.sleep(0.2)
    assert opened(server, "growing").shape == (3, HEIGHT, WIDTH)
    cv2.imwrite(str(folder / "frame10.png"), grey_frames()[5])
    cv2.imwrite(str(folder / "frame2.png"), grey_frames()[7])
    np.testing.assert_array_equal(opened(server, "growing"), grey_frames()[[0, 7, 2, 5]])
    httpx.delete(f"{server.url}/datastore/image", params={"id": "growing"}).raise_for_status()
    assert not folder.exists()
