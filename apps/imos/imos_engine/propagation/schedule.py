"""Which frames are visited, in which order, and how much each direction's answer counts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

from imos_engine.sequence import Direction


def frame_order(start: int, frame_range: tuple[int, int], direction: Direction) -> range:
    """Frame indices from `start` to the end of the range (first, last, both included) in one direction."""
    first, last = frame_range
    if direction is Direction.FORWARD:
        return range(start, last + 1)
    return range(start, first - 1, -1)


def forward_weight(index: int, given: Sequence[int]) -> float | None:
    """How much the forward pass counts for one object on one frame, 0 to 1; the backward pass counts the rest.

    `given` are the frames, ascending, on which the object was annotated. Between two of them the nearer one weighs
    more, linearly. `None` on an annotated frame: no pass counts there.
    """
    before = bisect_left(given, index)
    if before < len(given) and given[before] == index:
        return None
    after = bisect_right(given, index)
    if after == len(given):
        return 1.0
    if before == 0:
        return 0.0
    previous, following = given[before - 1], given[after]
    return (following - index) / (following - previous)


def stretches(
    changed: Collection[int], kept: Collection[int], frame_range: tuple[int, int], directions: frozenset[Direction]
) -> list[tuple[int, int]]:
    """Where a change of some annotated frames can be seen: up to the neighbouring annotated frames that are `kept`.

    `frame_range` and every stretch are first and last frame, both included; stretches are ascending and do not meet.
    Forward alone, nothing before a changed frame can be seen to change; backward alone, nothing after it.
    """
    found: list[tuple[int, int]] = []
    for index in sorted(set(changed)):
        before = [one for one in kept if one < index]
        after = [one for one in kept if one > index]
        first = max(before) + 1 if before else frame_range[0]
        last = min(after) - 1 if after else frame_range[1]
        first = max(first if Direction.BACKWARD in directions else index, frame_range[0])
        last = min(last if Direction.FORWARD in directions else index, frame_range[1])
        if first > last:
            continue
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
