import numpy as np

from benchmarks.hard_look import CONTRAST, grainy_volume


def test_brightness_does_not_tell_the_structure_but_grain_does():
    inside_means, grain = [], []
    for seed in range(3):
        image, labels = grainy_volume(seed, shape=(64, 64, 12))
        steps = np.abs(np.diff(image.astype(float), axis=0))
        same = labels[1:] == labels[:-1]
        inside_means.append(image[labels > 0].mean() - image[labels == 0].mean())
        grain.append(steps[same & (labels[1:] > 0)].mean() / steps[same & (labels[1:] == 0)].mean())
    assert abs(np.mean(inside_means)) < 0.3 * CONTRAST
    assert min(grain) > 2


def test_a_volume_depends_on_its_seed_alone():
    one, other = grainy_volume(3, shape=(32, 32, 6)), grainy_volume(3, shape=(32, 32, 6))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(one[1], grainy_volume(4, shape=(32, 32, 6))[1])
