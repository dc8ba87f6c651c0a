"""`POST /infer/{model}`, served in a thread: the server answers others meanwhile.

MONAI Label's own endpoint is an `async def` that computes before it returns, so one inference stops everything else.
This one has the same signature, checks what the client sent, and calls the same function in a worker thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.routing import APIRoute
from monailabel.config import RBAC_USER, settings
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import RBAC, User

from lib.calls import Call, current_call
from lib.errors import RequestError
from lib.infers.request import refuse_unknown_keys
from lib.sessions.browser import browser_name, give_name

logger = logging.getLogger(__name__)

PREFIX = f"{settings.MONAI_LABEL_API_STR}/infer"
MOST_WAITING = 32  # requests that may wait for their turn, each in a thread of its own
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # becomes part of a path in the server's own folders


def serve_inference_in_threads(app: FastAPI) -> None:
    """Put `infer` where MONAI Label's endpoint is (also in place of an earlier one of ours, after `/reload`)."""
    router = APIRouter(prefix=PREFIX, tags=["Infer"])
    router.add_api_route("/{model}", infer, methods=["POST"], summary=f"{RBAC_USER}Run Inference for supported model")
    path = f"{PREFIX}/{{model}}"
    for position, route in enumerate(app.router.routes):
        if isinstance(route, APIRoute) and route.path == path and "POST" in route.methods:
            app.router.routes[position] = router.routes[0]
            return
    raise RuntimeError(f"this server has no route {path}: MONAI Label 0.8.5 has; install the pinned version")


async def infer(
    request: Request,
    background_tasks: BackgroundTasks,
    model: str,
    user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))],
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
) -> Any:
    """Run one request, and stop it when its client leaves."""
    checked = json.dumps(checked_params(params))
    if not (file or image or session_id):
        raise RequestError("no image came; send image=ID of the datastore, a file, or a session_id", status=400)
    refuse_unusable(label=label, session_id=session_id)
    browser = browser_name(request.headers, request.cookies)
    call = Call(
        uploads_image=bool(file),
        uses_session=bool(session_id),
        brings_label=bool(label),
        address=request.client.host if request.client else "",
        browser=browser,
    )
    current_call.set(call)
    work = partial(run_inference, background_tasks, model, image, session_id, checked, file, label, output)
    watcher = asyncio.create_task(_note_departure(request, call))
    try:
        reply = await to_thread.run_sync(work, limiter=_limiter())
        give_name(reply, browser)
        return reply
    except BaseException:
        await background_tasks()  # FastAPI runs them after a reply only, and they remove the uploaded files
        raise
    finally:
        watcher.cancel()


def checked_params(text: str) -> dict[str, Any]:
    """The client's JSON, without the traps that lie in mixing it with what the server knows.

    MONAI Label merges it over the uploaded label's path and over the image: here `label` can only be the name of a
    segment, and keys that no client has a use for are refused.

    Raises:
        RequestError: no JSON object, or a key or value that cannot be used.
    """
    try:
        params = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise RequestError(f"params is not JSON ({error}); send one JSON object", status=400) from error
    if not isinstance(params, dict):
        raise RequestError(f"params is a {type(params).__name__}; send one JSON object", status=400)
    refuse_unknown_keys(params)
    name = params.pop("label", None)
    if name:
        params.setdefault("selected_label_name", name)
    tag = params.get("label_tag")
    if tag is not None and not (isinstance(tag, str) and SAFE_NAME.fullmatch(tag)):
        raise RequestError(f"label_tag {tag!r} cannot name a folder; use letters, digits, - and _")
    return params


def refuse_unusable(*, label: UploadFile | None, session_id: str) -> None:
    """Refuse a label file without a grid, and a session's name that is none.

    Raises:
        RequestError: saying which.
    """
    if label and (label.filename or "").endswith(".bin"):
        raise RequestError(
            "a label file of bare bytes (.bin) says nothing of its grid; send NIfTI, NRRD or MHA", status=415
        )
    if session_id and not SAFE_NAME.fullmatch(session_id):
        raise RequestError(f"unknown session {session_id!r}; create one with PUT /session/", status=404)


async def _note_departure(request: Request, call: Call) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    logger.info("The client left; its inference stops at the next slice")
    call.client_gone.set()


_limiters: list[CapacityLimiter] = []


def _limiter() -> CapacityLimiter:
    """Threads of our own: those of the framework serve files, and must not wait behind inferences."""
    if not _limiters:
        _limiters.append(CapacityLimiter(MOST_WAITING))
    return _limiters[0]
