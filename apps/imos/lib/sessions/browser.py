"""Telling one browser from another: OHIF sends no name, so its browser is given one, as a cookie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi import Response

from lib.sessions.store import LONGEST_AGE_S

COOKIE = "imos_client"
NAME = re.compile(r"[0-9a-f]{32}")


def browser_name(headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """The name that a browser brings, else a new one; empty for programs, and for pages of other servers.

    A browser keeps a cookie only for the server that its page came from: there its requests name that server as origin.
    """
    known = cookies.get(COOKIE, "")
    if NAME.fullmatch(known):
        return known
    origin = urlsplit(headers.get("origin", "")).netloc
    return uuid4().hex if origin and origin == headers.get("host") else ""


def give_name(reply: Any, name: str) -> None:
    """Let the browser keep its name for as long as its session is kept."""
    if name and isinstance(reply, Response):
        reply.set_cookie(COOKIE, name, max_age=LONGEST_AGE_S, httponly=True, samesite="strict")
