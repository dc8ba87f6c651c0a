"""OHIF in a real browser, worked as a person does: what is looked up in the page is only where things are drawn."""

import base64
import io
import json
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.ohif.store import labels_of_nrrd

FLAGS = (
    "--no-sandbox",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WINDOW = {"width": 1500, "height": 860}
PATIENCE_MS = 300_000  # a software renderer on a core that others use as well
COLOURED = 10  # of 255 away from grey: an overlay, where the image is grey

# Where a viewport shows a point of the patient, and which plane it shows.
VIEWPORTS = """() => window.services.cornerstoneViewportService.getRenderingEngine().getViewports().map(view => {
    const box = view.element.querySelector('canvas').getBoundingClientRect()
    const {focalPoint, viewPlaneNormal} = view.getCamera()
    return {id: view.id, left: box.left, top: box.top, width: box.width, height: box.height,
            focal: Array.from(focalPoint), normal: Array.from(viewPlaneNormal)}
})"""
TO_CANVAS = """([id, points]) => {
    const view = window.services.cornerstoneViewportService.getRenderingEngine().getViewport(id)
    return points.map(point => Array.from(view.worldToCanvas(point)))
}"""
LOADED = """() => {
    const engine = window.services?.cornerstoneViewportService?.getRenderingEngine()
    const views = engine ? engine.getViewports() : []
    return views.length === 3 && views.every(view => view.getActors && view.getActors().length > 0) &&
        window.cornerstone.cache.getVolumes().every(volume => !volume.loadStatus || volume.loadStatus.loaded)
}"""
DOTS = "() => window.cornerstoneTools.annotation.state.getAllAnnotations().length"
# Playwright turns every number of an array into text and takes minutes for a volume; base64 is one text.
OVERLAY = """() => {
    const volume = window.services.segmentationService.getLabelmapVolume('1')
    const voxels = Uint8Array.from(volume.voxelManager.getCompleteScalarDataArray())
    let text = ''
    for (let start = 0; start < voxels.length; start += 30000)
        text += btoa(String.fromCharCode(...voxels.subarray(start, start + 30000)))
    return {sizes: Array.from(volume.dimensions), voxels: text}
}"""


HELD = """count => window.services.segmentationService.getLabelmapVolume('1').voxelManager
    .getCompleteScalarDataArray().reduce((sum, value) => sum + (value > 0), 0) === count"""


@dataclass(frozen=True)
class View:
    """One of the three planes, as it is drawn now."""

    id: str
    left: float
    top: float
    width: float
    height: float
    focal: list
    normal: list


class Viewer:
    """One page of OHIF."""

    def __init__(self, page, acquisition):
        self.page = page
        self.acquisition = acquisition
        self._wheel = 1  # which way it turns towards higher k; found out by turning it

    def open(self, address):
        """Open a study and wait until its volume is drawn."""
        self.page.goto(address, timeout=PATIENCE_MS)
        self.page.wait_for_function(LOADED, timeout=PATIENCE_MS, polling=500)
        self.page.get_by_text("Confirm and Hide").click()  # the note that OHIF is no medical device

    def connect(self, server):
        """Type the server's address and press the button beside it."""
        field = self.page.locator("#monailabelServerURL")
        field.fill(f"{server}/")
        with self.page.expect_response(lambda reply: reply.url.endswith("/info/"), timeout=PATIENCE_MS):
            self.page.locator(".settingsTable button").first.click()
        expect(self.page.get_by_text("Point Prompts")).to_be_visible(timeout=PATIENCE_MS)

    def choose_points(self, model):
        """Open the tab of point prompts and pick a model there."""
        self.page.get_by_text("Point Prompts").click()
        self.tab.locator("select").select_option(model)

    def choose_label(self, name):
        """Pick a row of the organs."""
        self._row(name).click()

    @property
    def tab(self):
        """What the opened tab shows."""
        return self.page.locator(".tab", has=self.page.get_by_text("Point Prompts")).locator(".tab-content")

    def run(self):
        """Press Run and wait until the page holds the answer; returns what was sent, and the label map that came."""
        with self.page.expect_response(lambda reply: "/infer/" in reply.url, timeout=PATIENCE_MS) as waiting:
            self.tab.get_by_title("Run PointPrompts").click()
        reply = waiting.value
        content = reply.body()
        assert reply.status == 200, content[:500]
        labels = labels_of_nrrd(content)
        self.page.wait_for_function(HELD, arg=int((labels > 0).sum()), timeout=PATIENCE_MS, polling=200)
        return json.loads(_form_field(reply.request.post_data_buffer, "params")), labels > 0

    def enlarge(self, times):
        """Drag with the right button until the acquired plane is drawn this much larger."""
        before = self._pixels_per_voxel()
        view = self.acquired()
        for _ in range(40):
            if self._pixels_per_voxel() >= times * before:
                return
            x, y = view.left + view.width / 2, view.top + view.height / 3
            self.page.mouse.move(x, y)
            self.page.mouse.down(button="right")
            self.page.mouse.move(x, y + 15, steps=3)
            self.page.mouse.up(button="right")
            self.settle()
        raise AssertionError("dragging with the right button does not enlarge")

    def _pixels_per_voxel(self):
        first, second = self.on_canvas(self.acquired(), [(0, 0, 0), (1, 0, 0)])
        return np.hypot(*(second - first))

    def show(self, voxel):
        """Turn the wheel over the acquired plane until it shows the voxel; returns the view."""
        for _ in range(20):
            view = self.acquired()
            away = self._slices_away(view, voxel)
            if abs(away) < 0.45:
                return view
            self.page.mouse.move(view.left + view.width / 2, view.top + view.height / 2)
            for _ in range(round(abs(away))):
                self.page.mouse.wheel(0, 100 * self._wheel * np.sign(away))
            if abs(self._away_when_still(voxel)) > abs(away):
                self._wheel = -self._wheel
        raise AssertionError(f"the wheel does not reach voxel {voxel}")

    def click(self, voxel):
        """Click where the acquired plane shows the middle of a voxel, and wait for the dot."""
        view = self.show(voxel)
        ((x, y),) = self.on_canvas(view, [voxel])
        x, y = round(view.left + x), round(view.top + y)  # a mouse stands on whole pixels
        dots = self.page.evaluate(DOTS)
        self.page.mouse.move(x, y)
        self.page.mouse.click(x, y, delay=60)
        self.page.wait_for_function(f"dots => ({DOTS})() > dots", arg=dots, timeout=PATIENCE_MS, polling=100)

    def acquired(self):
        """The view that shows the plane in which the series was scanned."""
        views = [View(**one) for one in self.page.evaluate(VIEWPORTS)]
        return next(view for view in views if abs(np.dot(view.normal, self.acquisition.axes[2])) > 0.9)

    def on_canvas(self, view, voxels):
        """Where voxels are drawn, pixels from the view's left and top."""
        points = [self.acquisition.position(voxel).tolist() for voxel in voxels]
        return np.array(self.page.evaluate(TO_CANVAS, [view.id, points]))

    def overlay(self):
        """The label map that OHIF holds and draws, (I, J, K)."""
        held = self.page.evaluate(OVERLAY)
        return np.frombuffer(base64.b64decode(held["voxels"]), np.uint8).reshape(held["sizes"], order="F")

    def coloured(self, label, voxel, shape):
        """Which voxels of the shown slice (I, J) are drawn in a label's colour; its points must not be shown."""
        return _hued(self.drawn(voxel, shape), self._colour(label))

    def drawn(self, voxel, shape):
        """The pixel in the middle of every voxel of the shown slice, (I, J, 3), 0 to 255; NaN outside of the view."""
        view = self.show(voxel)
        self.settle()
        screen = np.asarray(Image.open(io.BytesIO(self.page.screenshot(timeout=PATIENCE_MS))).convert("RGB"))
        ends = self.on_canvas(view, [(0, 0, voxel[2]), (1, 0, voxel[2]), (0, 1, voxel[2])])
        grid = np.indices(shape)
        x, y = (
            np.floor(edge + start + along_i * grid[0] + along_j * grid[1]).astype(int)  # pixel n spans n to n + 1
            for edge, start, along_i, along_j in zip(
                (view.left, view.top), ends[0], ends[1] - ends[0], ends[2] - ends[0], strict=True
            )
        )
        seen = (x >= view.left) & (x < view.left + view.width) & (y >= view.top) & (y < view.top + view.height)
        pixels = np.full((*shape, 3), np.nan)
        pixels[seen] = screen[y[seen], x[seen]]
        return pixels

    def _colour(self, label):
        """The colour beside a row of the organs, as red, green and blue."""
        text = self._row(label).locator(".segColor").evaluate("element => getComputedStyle(element).backgroundColor")
        return np.array([float(part) for part in re.findall(r"[0-9.]+", text)[:3]])

    def _row(self, name):
        return self.tab.locator("tr.clickable-row", has=self.page.get_by_text(name, exact=True))

    def settle(self):
        """Wait until the page had time to draw."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.wait_for_timeout(300)

    def picture(self, path):
        """A picture of the window, for the docs."""
        self.page.mouse.move(2, WINDOW["height"] / 2)  # where nothing lights up under it
        self.settle()
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(self.page.screenshot(timeout=PATIENCE_MS))).convert("RGB").save(path, optimize=True)

    def _slices_away(self, view, voxel):
        along, spacing = self.acquisition.axes[2], self.acquisition.spacing_mm[2]
        return (self.acquisition.position(voxel) - view.focal) @ along / spacing

    def _away_when_still(self, voxel):
        """How many slices away the acquired plane is once it stopped moving."""
        last = None
        for _ in range(100):
            self.settle()
            now = self._slices_away(self.acquired(), voxel)
            if now == last:
                break
            last = now
        return now


def _hued(pixels, colour):
    """Which pixels (..., 3) lie between grey and a colour: an overlay on a grey image, not another one's."""
    pixels = pixels - pixels.mean(-1, keepdims=True)
    towards = colour - colour.mean()
    along = pixels @ towards / np.linalg.norm(towards)
    return (along > COLOURED) & (along > 0.9 * np.linalg.norm(pixels, axis=-1))


def _form_field(body, name):
    """The text of one field of a multipart form."""
    boundary = body.split(b"\r\n", 1)[0]
    for part in body.split(boundary):
        head, _, value = part.partition(b"\r\n\r\n")
        if f'name="{name}"'.encode() in head:
            return value.removesuffix(b"\r\n").decode()
    raise AssertionError(f"no field {name} in {body[:200]!r}")
