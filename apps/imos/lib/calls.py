"""What the server knows about the call that a thread is working on."""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request for inference, from its arrival to its reply.

    A request is a table of texts, and a path in it may come from anyone. Only what the server itself stored for this
    call may be read as a file.
    """

    uploads_image: bool = False  # the image came with the request: its path is the server's own
    uses_session: bool = False  # the image lies in a session; its path is the server's own if that session exists
    brings_label: bool = False  # a label file came with the request
    address: str = ""  # where it came from
    browser: str = ""  # what this server gave to the browser that asks; empty for other clients
    client_gone: threading.Event = field(default_factory=threading.Event)


# A context variable, because it follows the request into its worker thread and no request can be mistaken for another.
current_call: ContextVar[Call] = ContextVar("imos_current_call")


def this_call() -> Call:
    """The call being served; outside of the server, one that nobody leaves and that brings no file.

    Found by name: the first request after `/reload` is received by the endpoint of the old modules and computed by the
    new ones, whose variable is a twin.
    """
    calls = [value for variable, value in copy_context().items() if variable.name == current_call.name]
    return calls[0] if calls else Call()
