"""What an electron microscope shows."""

import numpy as np
import pytest

from imos_engine.synthesis.anatomy import Kind, blank
from imos_engine.synthesis.microscope import membrane_width
from imos_engine.synthesis.motion import still_coordinates


def scene_of_cells(side: int):
    rows, columns = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")
    scene = blank(np.random.default_rng(0), still_coordinates(np.arange(2, dtype=np.float32), 96), 20.0)
    scene.regions[:] = (rows // side) * (96 // side) + columns // side
    scene.kinds = [Kind.TISSUE] * int(scene.regions.max() + 1)
    return scene


@pytest.mark.parametrize(("side", "thinnest", "thickest"), [(8, 1, 2), (48, 2, 10)])
def test_the_nearer_cells_are_seen_the_thicker_their_membranes(side, thinnest, thickest):
    widths = [membrane_width(np.random.default_rng(seed), scene_of_cells(side)) for seed in range(100)]
    assert thinnest == min(widths)
    assert thickest == max(widths)
