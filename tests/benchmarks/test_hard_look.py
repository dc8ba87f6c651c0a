import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from benchmarks.sites.hard_look import PERIOD, SCALE, through_focus_volume


def test_brightness_reverses_from_slice_to_slice_and_the_rim_is_dark_on_all_of_them():
    for seed in range(3):
        image, labels = through_focus_volume(seed)
        contrasts, rims = [], []
        for index in range(2, labels.shape[2] - 2):
            body, slice_ = labels[..., index] > 0, image[..., index].astype(float)
            inside, outside = binary_erosion(body, iterations=3), ~binary_dilation(body, iterations=3)
            rim = binary_dilation(body) & ~binary_erosion(body)
            contrasts.append(slice_[inside].mean() - np.median(slice_[outside]))
            rims.append(slice_[rim].mean() - (slice_[inside].mean() + np.median(slice_[outside])) / 2)
        assert max(contrasts) > 0.5 * SCALE
        assert min(contrasts) < -0.5 * SCALE
        assert max(rims) < 0
        half = int(PERIOD) // 2
        assert np.dot(contrasts[half:], contrasts[:-half]) < 0


def test_a_volume_depends_on_its_seed_alone():
    one, other = through_focus_volume(3, shape=(32, 32, 6)), through_focus_volume(3, shape=(32, 32, 6))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(one[1], through_focus_volume(4, shape=(32, 32, 6))[1])
