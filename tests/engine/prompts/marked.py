"""One slice, marked in every way that makes sense and in some that do not."""

from __future__ import annotations

import numpy as np

from imos_engine.prompts import SlicePrompts
from tests.engine.prompts.slices import slice_with_organs, stroke

SHAPE = (160, 200)
IMAGE, ORGAN, OTHER = slice_with_organs(SHAPE)
STROKES = stroke(SHAPE, (50, 65), (90, 65)) | stroke(SHAPE, (60, 80), (80, 82)) | stroke(SHAPE, (70, 55), (82, 58))
CLICKS = [(50, 70), (72, 82), (90, 62)]
PROMPTS = {
    "three strokes": SlicePrompts(scribbles_foreground=STROKES),
    "three clicks": SlicePrompts(foreground=CLICKS),
    "strokes inside and outside": SlicePrompts(
        scribbles_foreground=STROKES, scribbles_background=stroke(SHAPE, (40, 103), (100, 103))
    ),
    "clicks inside and outside": SlicePrompts(foreground=CLICKS[:2], background=[(70, 103), (110, 70)]),
    "a box": SlicePrompts(box=(36, 44, 104, 96)),
    "a box and a click": SlicePrompts(box=(36, 44, 104, 96), foreground=[(70, 70)]),
}
INVALID = {
    "nothing": (SlicePrompts(), "nothing marks the object"),
    "background only": (SlicePrompts(background=[(3, 3)]), "nothing marks the object"),
    "empty strokes": (SlicePrompts(scribbles_foreground=np.zeros(SHAPE, bool)), "nothing marks the object"),
    "empty mask": (SlicePrompts(mask=np.zeros(SHAPE, bool)), "nothing marks the object"),
    "point below": (SlicePrompts(foreground=[(160, 3)]), "outside the slice of 160 x 200"),
    "point before": (SlicePrompts(foreground=[(3, 3)], background=[(3, -1)]), "outside the slice"),
    "strokes elsewhere": (SlicePrompts(scribbles_foreground=np.ones((3, 3), bool)), "own grid"),
    "mask elsewhere": (SlicePrompts(mask=np.ones((3, 3), bool)), "own grid"),
    "box upside down": (SlicePrompts(box=(9, 3, 5, 8)), "first row, first column"),
    "box too large": (SlicePrompts(box=(0, 0, 160, 8)), "does not fit"),
    "mark outside the box": (SlicePrompts(box=(0, 0, 9, 9), foreground=[(20, 20)]), "outside the box"),
    "mark taken back": (SlicePrompts(foreground=[(5, 5)], background=[(5, 5)]), "under a background mark"),
}
