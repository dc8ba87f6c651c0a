from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from imos_engine.config import MemoryConfig
from imos_engine.memory import MemoryStore
from imos_engine.memory.attention import affinity, read_memory, similarity

CK, CV, P = 4, 3, 12
UNBOUNDED = MemoryConfig(max_working_frames=10_000)
TIGHT = MemoryConfig(
    write_every=1, max_working_frames=5, min_working_frames=3, prototypes=8, max_long_term=20, read_top_k=6
)


class Frame:
    """One remembered frame with random content."""

    def __init__(self, seed: int, *, objects: int = 2, pixels: int = P) -> None:
        random = torch.Generator().manual_seed(seed)
        self.key = torch.randn(CK, pixels, generator=random)
        self.shrinkage = 1 + torch.rand(1, pixels, generator=random)
        self.selection = torch.rand(CK, pixels, generator=random)
        self.values = torch.randn(objects, CV, pixels, generator=random)

    def write_to(self, store: MemoryStore, *, known: list[int] | None = None, permanent: bool = False) -> None:
        objects = len(self.values)
        flags = torch.tensor([known is None or channel in known for channel in range(objects)])
        store.write(self.key, self.shrinkage, self.selection, self.values, known=flags, permanent=permanent)


def read(store: MemoryStore, seed: int = 999) -> torch.Tensor:
    query = Frame(seed)
    return store.read(query.key, query.selection)


def read_naively(frames: list[Frame], *, top_k: int | None = 30, seed: int = 999) -> torch.Tensor:
    """The definition: similarity to every pixel of every frame, softmax over the best, dense product."""
    query = Frame(seed)
    key, shrinkage, values = (
        torch.cat([getattr(frame, name) for frame in frames], dim=-1)[None] for name in ("key", "shrinkage", "values")
    )
    scores = similarity(key, shrinkage, query.key[None], query.selection[None])
    return read_memory(affinity(scores, top_k=top_k), values)[0]


def simulate(config: MemoryConfig, frames: int, *, pixels: int = P) -> list[tuple[int, int]]:
    """Memory sizes after each frame of a pass over one seed, as the propagator writes it."""
    store, sizes = MemoryStore(config), []
    for index in range(frames):
        if index:
            read(store, seed=1000 + index)
        if index % config.write_every == 0 and index < frames - 1:
            Frame(index, pixels=pixels).write_to(store, permanent=index == 0)
        sizes.append(store.sizes)
    return sizes


@pytest.mark.parametrize("top_k", [None, 5, 30])
def test_reading_equals_the_definition_over_everything_written(top_k):
    frames, store = [Frame(seed) for seed in range(3)], MemoryStore(MemoryConfig(read_top_k=top_k))
    for frame in frames:
        frame.write_to(store)
    torch.testing.assert_close(read(store), read_naively(frames, top_k=top_k), atol=1e-5, rtol=1e-5)


def test_the_order_of_writing_does_not_matter():
    frames, one, other = [Frame(seed) for seed in range(4)], MemoryStore(UNBOUNDED), MemoryStore(UNBOUNDED)
    for frame in frames:
        frame.write_to(one)
    for position, frame in enumerate(reversed(frames)):
        frame.write_to(other, permanent=position % 2 == 0)
    torch.testing.assert_close(read(one), read(other), atol=1e-5, rtol=1e-5)


def test_reading_does_not_change_what_is_read():
    store = MemoryStore(TIGHT)
    for seed in range(9):
        Frame(seed).write_to(store, permanent=seed == 0)
    assert torch.equal(read(store), read(store))


def test_reading_an_empty_memory_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="write a frame before reading"):
        read(MemoryStore(MemoryConfig()))


def test_memory_sizes_follow_the_published_implementation():
    config = MemoryConfig(
        write_every=2, max_working_frames=5, min_working_frames=3, prototypes=24, max_long_term=80, read_top_k=30
    )
    # As recorded with XMem: 30 memory pixels a frame (68 x 84 pixels), one frame in two is written.
    recorded = [30, 60, 90, 120, (90, 24), (120, 24), (90, 48), (120, 48)]
    expected = [size if isinstance(size, tuple) else (size, 0) for size in recorded]
    assert simulate(config, 17, pixels=30)[:16:2] == expected


def test_memory_is_bounded_for_500_frames():
    sizes = simulate(TIGHT, 500)
    assert max(working for working, _ in sizes) == (TIGHT.max_working_frames - 1) * P
    assert max(long_term for _, long_term in sizes) <= TIGHT.max_long_term
    assert sizes[-1][1] > TIGHT.max_long_term - TIGHT.prototypes


def test_without_long_term_memory_old_frames_are_forgotten():
    config = MemoryConfig(
        write_every=1, max_working_frames=5, min_working_frames=3, prototypes=8, max_long_term=0, read_top_k=None
    )
    store, frames = MemoryStore(config), [Frame(seed) for seed in range(9)]
    for position, frame in enumerate(frames):
        frame.write_to(store, permanent=position == 0)
    working, long_term = store.sizes
    assert long_term == 0
    assert working <= (config.max_working_frames - 1) * P
    remembered = [frames[0], *frames[-(working // P - 1) :]]
    torch.testing.assert_close(read(store), read_naively(remembered, top_k=None), atol=1e-5, rtol=1e-5)


def test_permanent_frames_never_leave():
    seeds, store = [Frame(seed) for seed in (0, 100, 200)], MemoryStore(replace(TIGHT, read_top_k=1))
    for index in range(60):
        if index % 20 == 0:
            seeds[index // 20].write_to(store, permanent=True)
        else:
            Frame(index).write_to(store)
    for seed in seeds:  # each of their pixels still finds itself
        torch.testing.assert_close(store.read(seed.key, torch.ones(CK, P)), seed.values)


def test_the_most_recent_frames_stay_whole():
    store, last = MemoryStore(replace(TIGHT, read_top_k=1)), Frame(500)
    for index in range(30):
        Frame(index).write_to(store, permanent=index == 0)
    last.write_to(store)
    torch.testing.assert_close(store.read(last.key, torch.ones(CK, P)), last.values)


def test_use_is_the_affinity_received_per_read_survived():
    store = MemoryStore(UNBOUNDED)
    for index in range(2):
        Frame(index).write_to(store)
        for query in range(3):
            read(store, seed=1000 + query)
    store._keep_counts()
    first, second = store._recent
    torch.testing.assert_close(first.lifetime, torch.full((P,), 6.0))
    torch.testing.assert_close(second.lifetime, torch.full((P,), 3.0))
    # Each of a query's P pixels hands out weights that sum to 1.
    torch.testing.assert_close(first.usage.sum() + second.usage.sum(), torch.tensor(6.0 * P))


def test_the_least_used_long_term_elements_go_first():
    store = MemoryStore(TIGHT)
    for index in range(8):
        Frame(index).write_to(store, permanent=index == 0)
        read(store, seed=1000 + index)
    store._keep_counts()
    before = store._long_term[0]
    assert len(before) == 16
    Frame(8).write_to(store)  # the next 8 prototypes leave room for 12 of these 16
    after = store._long_term[0]
    assert len(after) == TIGHT.max_long_term
    most_used = before.rate.argsort(descending=True)[:12].sort().values
    assert torch.equal(after.key[:12], before.key[most_used])


def test_an_object_that_enters_later_is_read_only_from_elements_that_know_it():
    early, late = [Frame(seed) for seed in range(3)], [Frame(seed) for seed in range(3, 5)]
    store, only_late, first_object = (MemoryStore(UNBOUNDED) for _ in range(3))
    for frame in early:
        frame.write_to(store, known=[0])
        frame.write_to(first_object)
    for frame in late:
        for target in (store, only_late, first_object):
            frame.write_to(target)
    readout = read(store)
    torch.testing.assert_close(readout[1], read(only_late)[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(readout[0], read(first_object)[0], atol=1e-5, rtol=1e-5)


def test_an_object_that_enters_later_keeps_its_own_memory_through_consolidation():
    store = MemoryStore(TIGHT)
    for index in range(40):
        frame = Frame(index)
        if index < 20:
            frame.values[1] = 1e6  # nonsense that must never be read
        frame.write_to(store, known=[0] if index < 20 else [0, 1], permanent=index == 0)
        assert read(store, seed=1000 + index).abs().max() < 100
    assert store.sizes[1] > 0


def test_an_object_that_nothing_tells_about_reads_as_zeros():
    store = MemoryStore(UNBOUNDED)
    Frame(0).write_to(store, known=[0])
    readout = read(store)
    assert readout[0].any()
    assert not readout[1].any()


def test_objects_in_one_store_are_read_as_if_each_had_its_own():
    frames, store = [Frame(seed, objects=3) for seed in range(4)], MemoryStore(UNBOUNDED)
    knowledge = [[0], [0, 1], [1, 2], [0, 1, 2]]
    for frame, known in zip(frames, knowledge, strict=True):
        frame.write_to(store, known=known)
    readout = read(store)
    for channel in range(3):
        telling = [frame for frame, known in zip(frames, knowledge, strict=True) if channel in known]
        expected = read_naively(telling)[channel]
        torch.testing.assert_close(readout[channel], expected, atol=1e-5, rtol=1e-5)


def test_values_stay_in_the_precision_in_which_they_were_written():
    store, frame = MemoryStore(TIGHT), Frame(0)
    frame.values = frame.values.bfloat16()
    for _ in range(8):
        frame.write_to(store)
    assert read(store).dtype == torch.bfloat16


@pytest.mark.gpu
def test_reading_agrees_between_processor_and_cuda():
    frame, query = Frame(0), Frame(999)
    on_gpu, on_cpu = MemoryStore(UNBOUNDED), MemoryStore(UNBOUNDED)
    frame.write_to(on_cpu)
    on_gpu.write(
        *(part.cuda() for part in (frame.key, frame.shrinkage, frame.selection, frame.values)),
        known=torch.ones(2, dtype=torch.bool, device="cuda"),
    )
    found = on_gpu.read(query.key.cuda(), query.selection.cuda()).cpu()
    torch.testing.assert_close(found, on_cpu.read(query.key, query.selection), atol=1e-4, rtol=1e-4)
