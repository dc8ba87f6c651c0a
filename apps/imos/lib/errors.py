"""The one way in which the app refuses a request."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable

from fastapi import HTTPException

logger = logging.getLogger(__name__)


class RequestError(HTTPException):
    """A request that cannot be served: its sentence says what came, what is needed and what to do.

    It is an HTTPException, so any route of the server turns it into a reply of its status instead of a 500, also after
    `/reload` has replaced the modules of `lib` by twins.
    """

    def __init__(self, sentence: str, *, status: int = 422) -> None:
        super().__init__(status_code=status, detail=sentence)
        logger.warning("Refused: %s", sentence)  # OHIF shows no sentence, but has a link to the log

    def __str__(self) -> str:
        return str(self.detail)


def listed(names: Iterable[object]) -> str:
    """Names as they appear in a sentence."""
    return ", ".join(str(name) for name in names)


def closest(name: str, names: Iterable[str]) -> str:
    """' (did you mean X?)' when a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
