"""Videos over HTTP, with the weights that the app brings: marks on one frame, the label volume back."""

import json

import httpx
import nibabel
import numpy as np
import pytest
import SimpleITK

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
    (folder / "notes").mkdir()
    (folder / "notes" / "cover.png").write_bytes((folder / "frames" / "frame1.png").read_bytes())


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
    assert set(objects) == set(KINDS)


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
    path = server.downloads / "image.nii"
    reply = httpx.get(f"{server.url}/datastore/image", params={"image": image})
    assert f'filename="{image}.nii"' in reply.headers["content-disposition"]
    path.write_bytes(reply.content)
    frames = colour_frames() if KINDS[image] == "colour" else grey_frames()
    opened = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))  # (T, H, W) or (T, H, W, 3)
    assert opened.shape == frames.shape
    assert np.abs(opened.astype(float) - frames).mean() < (4 if image in ("film", "motion_jpeg") else 1e-6)


def test_the_third_axis_follows_the_time_of_the_film(server):
    seen = httpx.get(f"{server.url}/datastore/image", params={"image": "film"}).content[352:]
    frames = np.frombuffer(seen, np.uint8).reshape(FRAMES, HEIGHT, WIDTH, 3).astype(float)
    for index, frame in enumerate(frames):
        nearest = np.abs(colour_frames().astype(float) - frame).mean(axis=(1, 2, 3)).argmin()
        assert nearest == index


@pytest.mark.parametrize("image", ["frames", "film", "ultrasound", "rgb_nrrd"])
def test_a_painted_frame_is_kept_and_its_label_saved_on_the_grid_of_the_volume(server, tmp_path, image):
    stored = server.downloads / f"{image}.nii.gz"
    SimpleITK.WriteImage(SimpleITK.ReadImage(fetched(server, image)), str(stored))
    painted = np.zeros((WIDTH, HEIGHT, FRAMES), np.uint8)
    painted[..., SEED_FRAME] = truth()[..., SEED_FRAME] * 3
    nibabel.save(nibabel.Nifti1Image(painted, nibabel.load(stored).affine), tmp_path / "label.nii.gz")
    with (tmp_path / "label.nii.gz").open("rb") as file:
        params = {"save_label": True, "label_tag": "final", "result_extension": ".nii.gz"}
        server.post(image, params, files={"label": ("label.nii.gz", file)}).raise_for_status()
    saved = nibabel.load(server.client.download_label(image, "final"))
    labels = np.asarray(saved.dataobj)
    np.testing.assert_array_equal(labels[..., SEED_FRAME], painted[..., SEED_FRAME])
    assert dice(labels > 0, truth()) > FOLLOWED
    np.testing.assert_allclose(saved.affine, nibabel.load(stored).affine, atol=1e-5)
    httpx.delete(f"{server.url}/datastore/label", params={"id": image, "tag": "final"})


def fetched(server, image):
    """The file that a client opens for an image."""
    kind = ".nrrd" if image == "rgb_nrrd" else ".nii"
    path = server.downloads / f"fetched-{image}{kind}"
    path.write_bytes(httpx.get(f"{server.url}/datastore/image", params={"image": image}).content)
    return str(path)


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
    sample = httpx.post(f"{server.url}/activelearning/random", json={}).json()
    info = json.loads(httpx.get(f"{server.url}/datastore/image/info", params={"image": "film"}).text)
    assert sample["id"] in KINDS
    assert (info["name"], info["video"]) == ("film.nii", "film.mp4")
    assert info["path"].endswith("film.nii")


def test_a_video_uploaded_to_the_datastore_is_one_of_its_images_until_it_is_removed(server, cache, tmp_path):
    write_movie(tmp_path / "new.mp4", colour_frames()[::-1])
    server.client.upload_image(str(tmp_path / "new.mp4"), "brought")
    labels, _ = server.infer("brought", {**CLICKS, "propagate": False})
    assert labels.shape == (WIDTH, HEIGHT, FRAMES)
    httpx.delete(f"{server.url}/datastore/image", params={"id": "brought"}).raise_for_status()
    assert list(cache.rglob("brought*")) == []
    assert server.post("brought", CLICKS).status_code == 404
