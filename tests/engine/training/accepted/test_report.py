"""What a person reads and sees of a training."""

import numpy as np
import pytest
from matplotlib.image import imread

from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.gate import GateRules, Pair, judge
from imos_engine.adapters.plateau import RecentGain
from imos_engine.sequence import frames_along
from imos_engine.training.accepted.gallery import MOST_ROWS, draw_gallery, most_changed
from imos_engine.training.accepted.report import GALLERY, REPORT, advice, write_report
from tests.engine.adapters.made import made_card
from tests.engine.training.accepted.made import ball_volume

VOLUME = ball_volume(0)
TRUTH = np.array(frames_along(VOLUME.labels, VOLUME.axis))
MIDDLE = 6


def verdict(*differences):
    pairs = [
        Pair(image=str(number), label=label, before=0.7, after=0.7 + difference)
        for number, difference in enumerate(differences)
        for label in ("liver", "spleen")
    ]
    return judge(pairs, known_looks=(0.8, 0.8), rules=GateRules())


def worse(frame, rows):
    """The truth, without the first rows of the ball on one frame."""
    labels = TRUTH.copy()
    labels[frame][np.flatnonzero(labels[frame].any(axis=1))[:rows]] = 0
    return labels


def test_the_slice_is_shown_on_which_before_and_after_differ_most():
    before = worse(MIDDLE, 3)
    before[MIDDLE + 1][np.flatnonzero(TRUTH[MIDDLE + 1].any(axis=1))[:1]] = 0
    shown = most_changed(VOLUME, before, TRUTH)
    assert shown.index == MIDDLE
    assert shown.changed == np.count_nonzero(before[MIDDLE] != TRUTH[MIDDLE])
    assert shown.overlaps[0] < shown.overlaps[1] == 1
    assert shown.truth.shape == shown.before.shape == shown.frame.shape[1:]
    assert np.count_nonzero(shown.truth) == np.count_nonzero(TRUTH[MIDDLE])  # nothing of it is cut off
    assert 0 <= shown.frame.min() < shown.frame.max() <= 1


def block(axis):
    """A label that is long towards the left and short to the back, and above it, towards the head, a second one."""
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[8:32, 18:22, 12:20] = 1
    labels[8:32, 18:22, 20:28] = 2
    return AcceptedVolume(images=labels.astype(np.int16), labels=labels, names={}, axis=axis, axes=(axis,))


def test_pictures_stand_upright():
    for axis in range(3):
        volume = block(axis)
        truth = frames_along(volume.labels, axis)
        shown = most_changed(volume, np.zeros_like(truth), np.array(truth)).truth
        rows, columns = np.nonzero(shown)
        if axis < 2:
            assert np.nonzero(shown == 2)[0].max() < np.nonzero(shown == 1)[0].min()  # the head is up
        if axis > 0:
            assert np.ptp(columns) > np.ptp(rows)  # what is long to the left is wide


def test_where_nothing_changed_nothing_is_shown(tmp_path):
    assert most_changed(VOLUME, TRUTH, TRUTH) is None
    assert draw_gallery([], tmp_path / "none.png") == 0
    assert not (tmp_path / "none.png").exists()


def test_the_gallery_shows_the_greatest_changes_and_no_more_than_fit(tmp_path):
    slices = [most_changed(VOLUME, worse(MIDDLE, rows), TRUTH) for rows in range(1, MOST_ROWS + 3)]
    assert draw_gallery(slices, tmp_path / "all.png") == MOST_ROWS
    assert draw_gallery(slices[-2:], tmp_path / "two.png") == 2
    tall, short = (imread(tmp_path / name).shape[0] for name in ("all.png", "two.png"))
    assert tall > 3 * short
    draw_gallery(slices[2:], tmp_path / "greatest.png")
    assert (tmp_path / "greatest.png").read_bytes() == (tmp_path / "all.png").read_bytes()


def test_the_report_has_a_row_with_an_interval_per_label_and_shows_the_gallery(tmp_path):
    card = made_card(metrics={"advice": "go on."}, provisional=False)
    changes = [most_changed(VOLUME, worse(MIDDLE, 2), TRUTH)]
    write_report(tmp_path, card, verdict(0.1, 0.02), run=tmp_path / "none", changes=changes)
    text = (tmp_path / REPORT).read_text()
    assert "| liver | 0.700 | 0.760 | +0.060 | +0.020 to +0.100 | 2 |" in text
    assert "| spleen |" in text
    assert "Advice: go on." in text
    assert f"]({GALLERY})" in text
    assert (tmp_path / GALLERY).is_file()


def gain(**changes):
    return RecentGain(**{"versions": 3, "labels": 9, "mean": 0.002, "low": -0.003, "high": 0.006, **changes})


def test_the_advice_follows_what_the_last_versions_gained():
    card, measured = made_card(provisional=False), verdict(0.01, 0.0)
    ended = advice(card, measured, gain())
    assert "hardly help" in ended
    assert "9 new labels" in ended
    assert "-0.003 to +0.006" in ended
    assert "liver, 0.7" in ended
    assert "may still help" in advice(card, measured, gain(mean=0.03, high=0.05))
    assert "still worth" in advice(card, measured, None)
    assert "five images" in advice(made_card(provisional=True), measured, gain())


@pytest.mark.parametrize("frame", [0, 11])
def test_a_volume_in_colour_is_shown_too(frame):
    colour = np.repeat(VOLUME.images[..., None], 3, axis=3)
    volume = type(VOLUME)(images=colour, labels=VOLUME.labels, names=VOLUME.names, axis=2, axes=(2,))
    before = TRUTH.copy()
    before[frame, :4, :4] = 1
    assert most_changed(volume, before, TRUTH).frame.shape[0] == 3
