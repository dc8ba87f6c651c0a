"""Whether a reply becomes part of the image's label, and under which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.calls import this_call
from lib.errors import RequestError
from lib.infers.options import ADVERTISED, read_flag
from lib.infers.request import UNNAMED

NOTHING, OWN_NAME = ADVERTISED["save_as"]
NAMELESS = (
    "the reply has no name to be saved under: this client sends none. Choose one in save_as, or "
    f"{UNNAMED!r} if it needs none"
)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a reply is to be saved."""

    name: str | None  # None: every structure under its own
    over: bool  # whether it takes voxels that other structures hold in a label map

    def names(self, label_names: Mapping[str, int]) -> dict[str, int]:
        """The values of a reply's label map by the names under which they are saved.

        Raises:
            RequestError: one name for several structures, or none at all.
        """
        if self.name is None:
            if UNNAMED in label_names:
                raise RequestError(NAMELESS)
            return dict(label_names)
        if len(label_names) > 1:
            raise RequestError(
                f"save_as gives one name, {self.name!r}, to {len(label_names)} structures; send {OWN_NAME!r} to save "
                "each under its own"
            )
        return dict.fromkeys([self.name], next(iter(label_names.values())))


def save_choices(labels: Mapping[str, int]) -> list[str]:
    """What clients offer for `save_as`; any other name is taken too."""
    return [NOTHING, OWN_NAME, *labels]


def read_saving(request: Mapping[str, Any]) -> Saving | None:
    """What a request says of saving; None when nothing is to be saved.

    Raises:
        RequestError: for a value that cannot be used.
    """
    value = request.get("save_as")
    over = read_flag(request, "save_over", default=False)
    if value is None or value == "" or isinstance(value, list):  # the whole list of choices: the client chose none
        return None
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"save_as is {value!r}; send {NOTHING!r}, {OWN_NAME!r}, or the structure's name")
    name = value.strip()
    if name == OWN_NAME and _is_nameless(request):
        raise RequestError(NAMELESS)  # before anything is computed
    return None if name == NOTHING else Saving(name=None if name == OWN_NAME else name, over=over)


def _is_nameless(request: Mapping[str, Any]) -> bool:
    """Whether nothing in a request can name a structure: points of OHIF, for instance."""
    named = request.get("selected_label_name") or request.get("objects") or this_call().brings_label
    return not named and not any(isinstance(request.get(kind), Mapping) for kind in ("foreground", "background"))
