"""A request within its session: which state it starts from, and when the session learns of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.errors import RequestError
from lib.infers.marks import Marks
from lib.infers.options import HistoryMove
from lib.infers.request import UNNAMED, InferRequest
from lib.infers.seeds import SeedPlan
from lib.infers.segmentation import Segmentation, answer_of
from lib.sessions.archive import ArchiveError
from lib.sessions.journal import Journal, Pointer
from lib.sessions.step import Clicks, Step, Voxel

Segment = Callable[[Step | None], Segmentation]  # from the state before to what a request makes of it

NO_SESSION = (
    "this client cannot be told from others, so nothing is kept of it between requests; send a client_id of its own"
)
CLEARED = "the session was cleared: the next request starts from nothing"
FULL = 507  # the server cannot store what is needed


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is to be sent, and how the session then learns of it."""

    result: Segmentation
    commit: Callable[[], Pointer | None]  # to be called once the reply is sure; where the session stands afterwards


def answer_request(
    request: InferRequest,
    journal: Journal | None,
    segment: Segment,
    *,
    shape: tuple[int, ...],
    known_ids: Mapping[str, int],
    sends_all: bool = False,
) -> Answer:
    """Serve a request: a further step, one back or forward, or a new beginning.

    `journal` is None for a client that cannot be told from others. A client that `sends_all` points each time, and no
    name, has gone on to another structure when none of them is known. Shapes: `shape` (I, J, K) of the image.

    Raises:
        RequestError: there is no such step, or the request cannot be served.
    """
    options = request.options
    if journal is None:
        if options.history is not HistoryMove.ADD:
            raise RequestError(f"there is nothing to {options.history.value}: {NO_SESSION}")
        return Answer(result=segment(None), commit=lambda: None)
    pointer = journal.pointer
    if options.history is not HistoryMove.ADD:
        target = _moved(pointer, options.history)
        step = _read(journal, target)
        shown = _shown(request, step or _read(journal, pointer), step, shape=shape, known_ids=known_ids)
        return Answer(result=shown, commit=lambda: _committed(journal, lambda: journal.move(target)))
    if options.starts_over and not _says_anything(request):
        nothing = _shown(request, None, None, shape=shape, known_ids=known_ids)
        nothing.warnings.append(CLEARED)
        return Answer(result=nothing, commit=lambda: _committed(journal, journal.clear))
    before = None if options.starts_over else _read(journal, pointer)
    starts_over = options.starts_over or (sends_all and before is not None and _goes_elsewhere(request, before))
    result = segment(None if starts_over else before)
    step = result.step
    if step is None:
        return Answer(result=result, commit=lambda: pointer)
    return Answer(
        result=result, commit=lambda: _committed(journal, lambda: journal.append(step, starts_over=starts_over))
    )


def history_of(pointer: Pointer | None) -> dict[str, Any] | None:
    """`params.imos.history`; None for a client that has none."""
    if pointer is None:
        return None
    return {
        "step": pointer.position,
        "steps": len(pointer.steps),
        "can_undo": pointer.can_undo,
        "can_redo": pointer.can_redo,
    }


def _moved(pointer: Pointer, move: HistoryMove) -> Pointer:
    if move is HistoryMove.UNDO:
        if not pointer.can_undo:
            raise RequestError(
                "there is nothing to undo: no earlier step of this client on this image is kept", status=409
            )
        return pointer.before
    if not pointer.can_redo:
        raise RequestError("there is nothing to redo: no step of this client on this image was undone", status=409)
    return pointer.after


def _read(journal: Journal, pointer: Pointer) -> Step | None:
    try:
        return journal.step_at(pointer)
    except ArchiveError as error:
        raise RequestError(
            f"what was kept of this client's earlier requests cannot be read ({error}); send reset_state true and all "
            "marks to start over",
            status=409,
        ) from error


def _committed(journal: Journal, change: Callable[[], None]) -> Pointer:
    try:
        change()
    except OSError as error:
        raise RequestError(
            f"the session cannot be written ({error.strerror}), and without it this step would be lost; make room in "
            "the folder of --conf sessions, and send the request again",
            status=FULL,
        ) from error
    return journal.pointer


def _goes_elsewhere(request: InferRequest, before: Step) -> bool:
    known = {point for state in before.objects.values() for point in _points(state.clicks)}
    sent = {point for clicks in request.clicks.values() for point in _points(clicks)}
    return bool(sent) and not sent & known


def _points(clicks: Clicks) -> tuple[Voxel, ...]:
    return clicks.foreground + clicks.background


def _says_anything(request: InferRequest) -> bool:
    return bool(request.clicks or request.label_file or request.box)


def _shown(
    request: InferRequest,
    named: Step | None,
    step: Step | None,
    *,
    shape: tuple[int, ...],
    known_ids: Mapping[str, int],
) -> Segmentation:
    """A state as the request asks for it: one object, some, or all that are `named` by a step."""
    ids = {name: state.id for name, state in named.objects.items()} if named is not None else {}
    by_segment = {name: number for number, name in request.segments.items()}
    ids |= {name: number for name, number in by_segment.items() if name in ids}
    if request.objects:
        ids = dict(request.objects)
    elif request.current is not None:
        name = request.current
        ids = {name: ids.get(name) or by_segment.get(name) or known_ids.get(name) or 1}
    held = {name: number for name, number in ids.items() if step is not None and name in step.objects}
    if step is not None and held:
        result = answer_of(step, held, shape=shape)
        result.recomputed = {}
    else:
        axis = len(shape) - 1 if step is None else step.axis
        result = Segmentation(
            labels=np.zeros(shape, dtype=np.uint8), axis=axis, marks=[], plan=SeedPlan(axis=axis), confidence={},
            presence={}, seconds={}, warnings=[],
        )  # fmt: skip
    result.marks = [Marks(name=name, object_id=number) for name, number in (ids or {UNNAMED: 1}).items()]
    return result
