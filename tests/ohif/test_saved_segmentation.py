"""A reply that is saved is a DICOM SEG on the server, and OHIF reads from it what the reply held."""

import base64

import numpy as np

from scripts.ohif.debian import CHROMIUM, CHROMIUM_FILES
from tests.ohif.acquisitions import Acquisition, write_series
from tests.ohif.test_directions import BACKGROUND, CENTRE, object_at, picture

SECOND = (12, 30, 11)  # where a second structure is clicked
# OHIF's own reader of DICOM SEG, on the segmentation that it lists beside the images.
LISTED = "() => window.services?.displaySetService?.getActiveDisplaySets().filter(one => one.Modality === 'SEG').length"
READ = """async () => {
    const seg = window.services.displaySetService.getActiveDisplaySets().find(one => one.Modality === 'SEG')
    await seg.load({headers: {}})
    const buffer = seg.labelmapBufferArray[0]
    const wide = new Uint16Array(buffer.byteLength % 2 ? buffer.slice(0, buffer.byteLength - 1) : buffer)
    const count = window.services.displaySetService.getDisplaySetByUID(seg.referencedDisplaySetInstanceUID)
    const images = count.images || count.instances
    const voxels = images.length * images[0].Rows * images[0].Columns
    const values = buffer.byteLength === voxels ? new Uint8Array(buffer) : wide
    let text = ''
    for (let start = 0; start < values.length; start += 30000)
        text += btoa(String.fromCharCode(...Uint8Array.from(values.subarray(start, start + 30000))))
    return {voxels: text, names: seg.segMetadata.data.filter(one => one).map(one => one.SegmentLabel),
            positions: images.map(one => Array.from(one.ImagePositionPatient))}
}"""


def test_ohif_reads_what_was_saved(store, installed, tmp_path):
    installed(CHROMIUM_FILES)
    from playwright.sync_api import sync_playwright

    from tests.ohif.viewer import FLAGS, PATIENCE_MS, WINDOW

    acquisition = Acquisition(plane="oblique", descending=True)
    series = store.add(write_series(tmp_path, picture(object_at()), acquisition))
    limits = {"slice_range": [CENTRE[2] - 3, CENTRE[2] + 3]}
    liver = store.infer(series.uid, [list(CENTRE)], BACKGROUND, save_as="liver", **limits) > 0
    spleen = store.infer(series.uid, [list(SECOND)], [[40, 5, SECOND[2]]], save_as="spleen", propagate=False) > 0
    assert liver.any()
    assert spleen.any()

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=PATIENCE_MS)
        page = chromium.new_page(viewport=WINDOW)
        page.goto(f"{store.app}/ohif/viewer?StudyInstanceUIDs={series.study}", timeout=PATIENCE_MS)
        page.wait_for_function(f"() => ({LISTED})() === 1", timeout=PATIENCE_MS, polling=500)
        read = page.evaluate(READ)
        chromium.close()

    assert read["names"] == ["liver", "spleen"]
    frames = np.frombuffer(base64.b64decode(read["voxels"]), np.uint8).reshape(
        len(read["positions"]), *liver.shape[1::-1]
    )
    first = np.array(acquisition.position((0, 0, 0)))
    for frame, position in zip(frames, read["positions"], strict=True):
        k = round((np.array(position, float) - first) @ acquisition.axes[2] / acquisition.spacing_mm[2])
        np.testing.assert_array_equal(frame == 1, (liver & ~spleen)[..., k].T)
        np.testing.assert_array_equal(frame == 2, spleen[..., k].T)
