"""Steps made up for tests of what keeps them."""

import numpy as np

from imos_engine.intensity import Intensity
from lib.sessions.packed_mask import PackedMask
from lib.sessions.step import Clicks, HeldSeed, Layer, ObjectState, Step

SHAPE = (9, 7, 5)


def made_step(number=0):
    """A step that differs from others in everything, by a number."""
    masks = np.random.default_rng(number).random((2, *SHAPE)) > 0.8
    seed = HeldSeed(axis=2, index=3, mask=PackedMask.of(masks[1][..., 3]), mode="points", said=f"said {number}")
    answer = PackedMask.of(masks[0])
    layers = {
        2: Layer(mask=answer, confidence={3: 1.0, 4: 0.1 + number / 997}, presence={3: 1.0, 4: 0.5}),
        0: Layer(mask=PackedMask.of(masks[1]), confidence={0: 0.25}, presence={0: 1.0}),
    }
    clicks = Clicks(foreground=((1, 2, 3), (number, 0, 3)), background=((0, 0, 0),))
    state = ObjectState(id=number + 1, answer=answer, seeds=(seed,), layers=layers, clicks=clicks)
    return Step(
        objects={"liver": state, "nothing": ObjectState(id=7, answer=PackedMask.empty(SHAPE))},
        axis=2,
        intensity=Intensity(low=-1.0, high=2.0 + number, mean=0.1, deviation=0.3),
        options=f"options {number}",
        recomputed={"liver": (3, 4)},
    )
