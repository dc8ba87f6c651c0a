"""Every way in which frames are stored gives the same pixels, without a server."""

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.pixel_data_handlers.rle_handler import rle_encode_frame
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from imos_engine.volume_file import VolumeFileError
from lib.datastore.volume_cache import VolumeCache
from lib.errors import RequestError
from lib.frames import volume as frame_volume
from lib.frames.dicom_frames import is_multi_frame
from lib.frames.png_folder import frame_files
from lib.frames.volume import frame_axis, read_frame_volume, write_frame_volume
from tests.app.videos import (
    FRAMES,
    HEIGHT,
    WIDTH,
    colour_frames,
    grey_frames,
    volume_of,
    write_dicom,
    write_movie,
    write_png_folder,
)

COLOUR, GREY = colour_frames(), grey_frames()
SMOOTH = np.repeat(np.repeat(COLOUR[:, ::4, ::4], 4, 1), 4, 2)  # neighbours share colours: subsampling loses nothing
YBR = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]] for frame in SMOOTH])
THREE = {"SamplesPerPixel": 3}


def read(path):
    """The frames (T, H, W) or (T, H, W, 3) that the server sees."""
    return volume_of(read_frame_volume(path).array)


def shared_colours(frame):
    """Two brightnesses, then the colours that both have: how YBR_FULL_422 is stored."""
    pairs = frame.reshape(HEIGHT, WIDTH // 2, 2, 3)
    return np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], axis=-1).tobytes()


def encoded(frames, kind, *options):
    """Each frame as a JPEG or JPEG 2000 image of its own."""
    return [cv2.imencode(kind, frame[..., ::-1], options)[1].tobytes() for frame in frames]


def without_marks(jpeg):
    """A JPEG of red, green and blue: its three components are stored as they are, and no mark tells of colours."""
    app0 = jpeg.index(b"\xff\xe0")
    return jpeg[:app0] + jpeg[app0 + 2 + int.from_bytes(jpeg[app0 + 2 : app0 + 4], "big") :]


COLOURS = {  # how the same frames are stored -> pixels, transfer syntax, elements, largest mean difference
    "RGB": (SMOOTH, ImplicitVRLittleEndian, {}, 0),
    "RGB, one plane each": (np.moveaxis(SMOOTH, -1, 1), ImplicitVRLittleEndian, {"PlanarConfiguration": 1}, 0),
    "RGB, big-endian": (SMOOTH, ExplicitVRBigEndian, {}, 0),
    "YBR_FULL": (YBR, ImplicitVRLittleEndian, {}, 1),
    "YBR_FULL_422": ([shared_colours(frame) for frame in YBR], ImplicitVRLittleEndian, {}, 1),
    "YBR_FULL_422, JPEG": (encoded(SMOOTH, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98), JPEGBaseline8Bit, {}, 2),
    "YBR_RCT, JPEG 2000": (encoded(SMOOTH, ".jp2"), JPEG2000Lossless, {}, 1),
    "RGB, RLE": ([rle_encode_frame(frame) for frame in SMOOTH], RLELossless, {"PlanarConfiguration": 1}, 0),
    "RGB, 16 bits": (SMOOTH.astype(np.uint16) << 8, ImplicitVRLittleEndian, {}, 0),
}


@pytest.mark.parametrize("way", COLOURS)
def test_colours_are_red_green_and_blue_however_a_dicom_stores_them(tmp_path, way):
    pixels, syntax, elements, tolerance = COLOURS[way]
    kind = {"PhotometricInterpretation": way.split(",")[0], **THREE}
    write_dicom(tmp_path / "loop.dcm", pixels, syntax, **kind, **elements)
    assert np.abs(read(tmp_path / "loop.dcm").astype(float) - SMOOTH).mean() <= tolerance


def test_a_jpeg_without_a_word_on_its_colours_is_taken_at_that_of_dicom(tmp_path):
    as_components = [cv2.cvtColor(frame[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB) for frame in SMOOTH // 4 + 96]
    jpegs = [without_marks(jpeg) for jpeg in encoded(as_components, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98)]
    write_dicom(tmp_path / "loop.dcm", jpegs, JPEGBaseline8Bit, PhotometricInterpretation="RGB", **THREE)
    assert np.abs(read(tmp_path / "loop.dcm").astype(float) - (SMOOTH // 4 + 96)).mean() < 3


def test_a_palette_gives_its_colours(tmp_path):
    elements = {}
    for name, values in zip(("Red", "Green", "Blue"), np.random.default_rng(1).integers(0, 256, (3, 256)), strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = (values.astype(np.uint16) * 257).tobytes()
    write_dicom(tmp_path / "loop.dcm", GREY, PhotometricInterpretation="PALETTE COLOR", **elements)
    tables = np.random.default_rng(1).integers(0, 256, (3, 256)).T
    np.testing.assert_array_equal(read(tmp_path / "loop.dcm"), tables[GREY])


@pytest.mark.parametrize(("slope", "intercept", "kind"), [(2, -1024, "int32"), (0.5, 0, "float32")])
def test_grey_values_are_rescaled(tmp_path, slope, intercept, kind):
    write_dicom(tmp_path / "loop.dcm", GREY, RescaleSlope=str(slope), RescaleIntercept=str(intercept))
    assert read(tmp_path / "loop.dcm").dtype == kind
    np.testing.assert_allclose(read(tmp_path / "loop.dcm"), GREY * np.float64(slope) + intercept)


def test_grey_that_counts_from_white_is_turned(tmp_path):
    deep = (GREY.astype(np.uint16)) * 16
    write_dicom(tmp_path / "loop.dcm", deep, PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    np.testing.assert_array_equal(read(tmp_path / "loop.dcm"), 4095 - deep)


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, (1, 1, 1)),
        ({"PixelSpacing": [0.3, 0.2]}, (0.2, 0.3, 1)),
        ({"PixelSpacing": [3.0, 2.0]}, (2, 3, 3)),  # a click must not find rows coarser than frames
        ({"PixelSpacing": [0.3, 0.2], "SpacingBetweenSlices": "0.1"}, (0.2, 0.3, 0.1)),
    ],
)
def test_pixels_lie_where_dicom_says_and_frames_never_closer_than_pixels(tmp_path, elements, spacing):
    write_dicom(tmp_path / "loop.dcm", GREY, **elements)
    assert read_frame_volume(tmp_path / "loop.dcm").spacing_mm == pytest.approx(spacing)


def test_a_dicom_of_one_frame_or_of_a_segmentation_is_no_video(tmp_path):
    write_dicom(tmp_path / "slice.dcm", GREY[:1])
    write_dicom(tmp_path / "segmentation.dcm", GREY, Modality="SEG")
    write_dicom(tmp_path / "loop.dcm", GREY)
    (tmp_path / "text.dcm").write_text("no DICOM")
    assert [path.stem for path in sorted(tmp_path.iterdir()) if is_multi_frame(path)] == ["loop"]
    with pytest.raises(VolumeFileError, match="one frame"):
        read_frame_volume(tmp_path / "slice.dcm")


def test_frames_are_counted_as_a_person_does(tmp_path):
    names = ["f10.png", "f9.png", "f1.png", "f02.PNG", "a.png", ".hidden.png", "notes.txt", "f1b.png"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in frame_files(tmp_path)] == [
        "a.png",
        "f1.png",
        "f1b.png",
        "f02.PNG",
        "f9.png",
        "f10.png",
    ]


def test_png_frames_keep_sixteen_bits_and_lose_transparency(tmp_path):
    deep = GREY.astype(np.uint16) * 200
    write_png_folder(tmp_path / "deep", deep)
    np.testing.assert_array_equal(read(tmp_path / "deep"), deep)
    (tmp_path / "clear").mkdir()
    for index, frame in enumerate(COLOUR):
        transparent = np.dstack([frame[..., ::-1], np.full((HEIGHT, WIDTH), 9, np.uint8)])
        cv2.imwrite(str(tmp_path / "clear" / f"{index}.png"), transparent)
    np.testing.assert_array_equal(read(tmp_path / "clear"), COLOUR)


def test_a_video_over_the_limit_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_volume, "MOST_BYTES", 5 * COLOUR[0].nbytes)
    write_movie(tmp_path / "long.mp4", COLOUR)
    write_png_folder(tmp_path / "long", COLOUR)
    for name in ("long.mp4", "long"):
        with pytest.raises(VolumeFileError, match=rf"{FRAMES} frames of {WIDTH} x {HEIGHT} .* at most 5 .* cut it"):
            write_frame_volume(tmp_path / name, tmp_path / "volume.nii")
    assert not list(tmp_path.glob("*.nii*"))


def test_only_volumes_of_videos_have_an_axis_of_frames(tmp_path):
    write_movie(tmp_path / "film.mp4", COLOUR)
    write_frame_volume(tmp_path / "film.mp4", tmp_path / "film.nii")
    (tmp_path / "broken.nii").write_bytes(b"no image")
    assert frame_axis(tmp_path / "film.mp4") == frame_axis(tmp_path / "film.nii") == 2
    assert frame_axis(tmp_path / "broken.nii") is frame_axis(tmp_path / "other.nrrd") is None


def test_the_cache_keeps_what_was_used_last_and_makes_a_replaced_video_anew(tmp_path):
    cache = VolumeCache(tmp_path / "cache", most_bytes=2 * GREY.nbytes + 2000)
    for name in ("one", "two", "three"):
        write_dicom(tmp_path / f"{name}.dcm", GREY)
    first, second = cache.volume(tmp_path / "one.dcm"), cache.volume(tmp_path / "two.dcm")
    stamp = first.stat().st_mtime_ns
    assert cache.volume(tmp_path / "one.dcm") == first
    assert first.stat().st_mtime_ns == stamp  # the same content has the same time: encoded frames stay valid
    third = cache.volume(tmp_path / "three.dcm")
    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    write_dicom(tmp_path / "one.dcm", GREY[::-1])
    assert cache.volume(tmp_path / "one.dcm") != first


def test_a_cache_that_cannot_be_written_is_the_fault_of_the_server(tmp_path):
    (tmp_path / "cache").write_text("no folder")
    write_dicom(tmp_path / "loop.dcm", GREY)
    with pytest.raises(RequestError, match="XDG_CACHE_HOME") as refusal:
        VolumeCache(tmp_path / "cache").volume(tmp_path / "loop.dcm")
    assert refusal.value.status_code == 507


def test_a_video_that_is_gone_or_says_not_how_it_is_stored_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"film.mp4 is no longer in the datastore") as refusal:
        VolumeCache(tmp_path / "cache").volume(tmp_path / "film.mp4")
    assert refusal.value.status_code == 404
    write_dicom(tmp_path / "loop.dcm", GREY)
    dataset = pydicom.dcmread(tmp_path / "loop.dcm")
    del dataset.file_meta.TransferSyntaxUID
    dataset.save_as(tmp_path / "loop.dcm")
    with pytest.raises(VolumeFileError, match=r"loop.dcm cannot be read as a DICOM image"):
        read_frame_volume(tmp_path / "loop.dcm")
