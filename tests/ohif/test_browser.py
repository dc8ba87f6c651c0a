"""OHIF in a browser: real clicks on a structure, and the overlay where the structure is."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from imos_engine.metrics.overlap import dice
from scripts.ohif.debian import CHROMIUM, CHROMIUM_FILES
from scripts.ohif.server import study_page
from tests.ohif.acquisitions import Acquisition, Series, read_back, write_series
from tests.ohif.brain import coronal_brain, points_around, points_inside

REPOSITORY = Path(__file__).resolve().parents[2]
WINDOW = (-110, 190)  # Hounsfield units that OHIF shows of this CT from black to white: level 40, width 300
BLUR = 4.0  # voxels
FIRST, SECOND = 11, 17  # slices of the brain that are clicked, one after the other


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread: others could start none
def browser(installed):
    """Debian's Chromium."""
    installed(CHROMIUM_FILES)
    from playwright.sync_api import sync_playwright

    from tests.ohif.viewer import FLAGS

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=300_000)
        try:
            yield chromium
        finally:
            chromium.close()


@pytest.fixture
def viewer(browser, tmp_path):
    """Opens OHIF on an acquisition; its last picture and the browser's words are left beside the test's files."""
    from tests.ohif.viewer import PATIENCE_MS, WINDOW, Viewer

    page = browser.new_page(viewport=WINDOW)
    page.set_default_timeout(PATIENCE_MS)
    with (tmp_path / "console.txt").open("w") as words:
        page.on("console", lambda message: print(message.text[:300], file=words, flush=True))
        try:
            yield lambda acquisition: Viewer(page, acquisition)
            page.screenshot(path=str(tmp_path / "last.png"), timeout=PATIENCE_MS)
        finally:
            page.close()


@pytest.fixture
def pictures(tmp_path):
    """Where pictures go: into the docs when asked (IMOS_DOCS_PICTURES=1), else beside the test's files."""
    return REPOSITORY / "docs/images/ohif" if os.environ.get("IMOS_DOCS_PICTURES") else tmp_path / "pictures"


def clicks_for(truth, k, foreground, background):
    inside = [(*point, k) for point in points_inside(truth[..., k], foreground)]
    outside = [(*point, k) for point in points_around(truth[..., k], background)]
    return inside, outside


def most_alike(viewer, volume, k):
    """Which stored slice of a volume (I, J, K) is the one that is drawn where slice k lies in the patient."""
    drawn = viewer.drawn((0, 0, k), volume.shape[:2]).mean(2)
    seen = np.isfinite(drawn)

    def smooth(picture):  # over more than a pixel of the screen, which may hold several voxels
        return ndimage.gaussian_filter(np.where(seen, picture, 0).astype(float), BLUR)

    stored = np.clip(volume, *np.percentile(volume, (1, 99)))
    alike = [
        np.corrcoef(smooth(drawn).ravel(), smooth(stored[..., one]).ravel())[0, 1] for one in range(volume.shape[2])
    ]
    return np.argmax(alike)


def assert_sent(sent, inside, outside):
    """The points that arrive are those that were clicked, on the very slice and the very voxel or one beside it."""
    for points, clicked in ((sent["foreground"], inside), (sent["background"], outside)):
        np.testing.assert_array_equal(np.array(points)[:, 2], np.array(clicked)[:, 2])
        np.testing.assert_allclose(points, clicked, atol=1)  # a pixel of the screen may be larger than a voxel


def click_and_run(viewer, label, inside, outside, *, pictures=None):
    """Mark what is not the structure, then what is, and press Run; returns what was sent and what came."""
    for chosen, voxels, name in (("background", outside, "background"), (label, inside, "points")):
        viewer.choose_label(chosen)
        for voxel in voxels:
            viewer.click(voxel)
        if pictures:
            viewer.picture(pictures / f"{name}.png")
    return viewer.run()


def test_clicks_on_an_mri_are_answered_by_an_overlay_on_the_clicked_structure(store, viewer, pictures, tmp_path):
    brain, organ = coronal_brain(tmp_path), "ventricles of brain"
    series = store.add(write_series(tmp_path / "mr", brain.volume, brain.acquisition, patient="MNI152"))
    ohif = viewer(brain.acquisition)
    ohif.open(study_page(store.app, series.study))
    ohif.connect(store.app)
    ohif.choose_points("imos")
    ohif.enlarge(1.5)
    ohif.picture(pictures / "connected.png")
    assert most_alike(ohif, brain.volume, FIRST) == FIRST
    clicked = clicks_for(brain.truth, FIRST, 3, 6)
    sent, alone = click_and_run(ohif, organ, *clicked, pictures=pictures)
    assert_sent(sent, *clicked)
    assert dice(alone[..., FIRST], brain.truth[..., FIRST]) > 0.6

    more = clicks_for(brain.truth, SECOND, 3, 4)
    sent, reply = click_and_run(ohif, organ, *more)
    assert_sent(sent, *(old + new for old, new in zip(clicked, more, strict=True)))
    assert dice(reply, brain.truth) > 0.6
    np.testing.assert_array_equal(ohif.overlay() > 0, reply)
    others = [k for k in range(FIRST - 4, SECOND + 4) if k not in (FIRST, SECOND)]
    right = [k for k in others if dice(reply[..., k], brain.truth[..., k]) > 0.5]
    assert len(right) > len(others) / 2
    ohif.show((0, 0, FIRST))
    ohif.picture(pictures / "clicked.png")
    ohif.choose_label("background")  # its points are black; those of the organ are hidden meanwhile
    for shown in (FIRST, right[0], right[-1]):
        drawn = ohif.coloured(organ, (0, 0, shown), reply.shape[:2])
        assert dice(drawn, reply[..., shown]) > 0.7, f"slice {shown}"
        assert dice(drawn, brain.truth[..., shown]) > 0.4, f"slice {shown}"
    ohif.choose_label(organ)
    ohif.picture(pictures / "another.png")


def test_clicks_on_a_ct_of_a_scanner_are_answered_on_the_clicked_organ(store, viewer, shared, tmp_path):
    files = tuple(sorted((shared / "data/dicom_ct_series").glob("*.dcm")))
    if not files:
        pytest.skip("no CT series in the shared folder")
    first = read_back(files[0])
    series = store.add(Series(study=first.StudyInstanceUID, uid=first.SeriesInstanceUID, files=files))
    labels = np.asarray(nibabel.load(shared / "data/ct_totalseg_dicom512/label.nii.gz").dataobj)
    truth = labels == 1  # spleen
    acquisition = Acquisition(
        modality="CT",
        spacing_mm=(*map(float, reversed(first.PixelSpacing)), 2.0),
        corner_mm=tuple(map(float, first.ImagePositionPatient)),
    )
    k = truth.shape[2] // 2
    inside, outside = clicks_for(truth, k, 3, 6)
    ohif = viewer(acquisition)
    ohif.open(study_page(store.app, series.study))
    ohif.connect(store.app)
    ohif.choose_points("imos")
    volume = np.asarray(nibabel.load(shared / "data/ct_totalseg_dicom512/image.nii.gz").dataobj)
    assert most_alike(ohif, np.clip(volume, *WINDOW), k) == k
    sent, reply = click_and_run(ohif, "spleen", inside, outside)
    assert_sent(sent, inside, outside)
    assert dice(reply, truth) > 0.6
    np.testing.assert_array_equal(ohif.overlay() > 0, reply)
    ohif.choose_label("background")
    for shown in (k - 5, k, k + 5):
        drawn = ohif.coloured("spleen", (0, 0, shown), reply.shape[:2])
        assert dice(drawn, reply[..., shown]) > 0.7, f"slice {shown}"
        assert dice(drawn, truth[..., shown]) > 0.5, f"slice {shown}"
