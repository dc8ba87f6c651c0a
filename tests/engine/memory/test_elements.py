from __future__ import annotations

from dataclasses import fields

import torch

from imos_engine.memory.elements import Elements, join

from .made import random_elements


def tensors(elements):
    return [getattr(elements, field.name) for field in fields(Elements)]


def test_joining_the_parts_of_elements_gives_the_elements():
    whole = random_elements(20)
    joined = join([whole[:3], whole[3:11], whole[11:11], whole[11:]])
    assert len(joined) == 20
    assert all(torch.equal(one, other) for one, other in zip(tensors(joined), tensors(whole), strict=True))


def test_use_counted_on_a_slice_is_counted_on_the_whole():
    whole = random_elements(5)
    whole.usage.zero_()
    whole[1:3].usage.add_(2.0)
    assert whole.usage.tolist() == [0, 2, 2, 0, 0]


def test_the_rate_of_use_is_affinity_per_read():
    elements = random_elements(2)
    elements.usage.copy_(torch.tensor([6.0, 1.5]))
    assert elements.rate.tolist() == [2.0, 0.5]
