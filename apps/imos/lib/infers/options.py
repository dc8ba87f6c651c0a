"""The options that `/info/` advertises: what each accepts, and its meaning to the engine.

A client sends back what it was shown: a choice as text, a number as text or number, a list untouched. Every reader here
accepts all of these, and an empty text as "not set".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from imos_engine.intensity import WINDOW_PRESETS, Window
from imos_engine.sequence import BOTH_DIRECTIONS, Direction
from lib.errors import RequestError, closest, listed


class SeedMode(Enum):
    """How painted voxels are understood."""

    AUTO = "auto"  # segments named *_scribbles are strokes, all others are masks
    MASK = "mask"
    SCRIBBLE = "scribble"


class HistoryMove(Enum):
    """What a request does with the steps of its session."""

    ADD = "add"  # its marks are a further step
    UNDO = "undo"  # back to the step before
    REDO = "redo"  # forward to a step that was undone


AXES: dict[str, int | None] = {"auto": None, "0": 0, "1": 1, "2": 2}
DIRECTIONS = {
    "both": BOTH_DIRECTIONS,
    "forward": frozenset({Direction.FORWARD}),
    "backward": frozenset({Direction.BACKWARD}),
}
ADAPTERS = ("auto", "none")  # and any NAME or NAME/VERSION of the bank
CHOICES: Mapping[str, tuple[str, ...]] = {
    "seed_mode": tuple(mode.value for mode in SeedMode),
    "slice_axis": tuple(AXES),
    "direction": tuple(DIRECTIONS),
    "window": ("auto", *WINDOW_PRESETS),
    "history": tuple(move.value for move in HistoryMove),
}
# What Slicer and OHIF show as editable options; lists are choices, and their first entry is the default.
ADVERTISED: Mapping[str, Any] = {
    **{name: list(choices) for name, choices in CHOICES.items()},
    "adapter": list(ADAPTERS),
    "slice_range": "",  # first,last
    "objects": "",  # name=id, name=id
    "propagate": True,
    "save_as": ["nothing", "its name"],  # and any name, to save the reply under
    "save_over": False,
    "accepted_slices": "",  # slice, slice: right as they are
    "protected": "",  # name, name: nothing may change them
    "reset_state": False,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The advertised options of one request."""

    seed_mode: SeedMode = SeedMode.AUTO
    slice_axis: int | None = None  # array axis; None chooses it from the seeds
    directions: frozenset[Direction] = BOTH_DIRECTIONS
    slice_range: tuple[int, int] | None = None  # first and last slice, both included; None is all
    window: Window | None = None  # None chooses it from the image
    propagate: bool = True  # false answers with the seed slices alone
    adapter: str | None = None  # none, auto, NAME or NAME/VERSION; None is the server's choice
    history: HistoryMove = HistoryMove.ADD
    accepted_slices: tuple[int, ...] = ()  # slices that are right as they were answered
    protected: tuple[str, ...] = ()  # names of objects that nothing may change
    starts_over: bool = False  # earlier requests do not count


def read_options(request: Mapping[str, Any]) -> Options:
    """Read the advertised options of a request.

    Raises:
        RequestError: for a value that none of them accepts.
    """
    return Options(
        adapter=_adapter(request.get("adapter")),
        seed_mode=SeedMode(_choice(request, "seed_mode")),
        slice_axis=AXES[_choice(request, "slice_axis")],
        directions=DIRECTIONS[_choice(request, "direction")],
        slice_range=_slice_range(request.get("slice_range")),
        window=_window(request),
        propagate=read_flag(request, "propagate", default=True),
        history=HistoryMove(_choice(request, "history")),
        accepted_slices=_slices(request.get("accepted_slices")),
        protected=_names(request.get("protected")),
        starts_over=read_flag(request, "reset_state", default=False),
    )


def read_objects(value: Any) -> dict[str, int]:
    """Names and ids asked for: {"liver": 1}, the same as JSON text, or "liver=1, spleen=2"."""
    pairs = _pairs_of_text(value) if isinstance(value, str) else value
    if pairs is None:
        return {}
    remedy = 'give a name and a whole number from 1 to 65535 for each, as {"liver": 1, "spleen": 2}'
    if not isinstance(pairs, Mapping):
        raise RequestError(f"objects {_shown(value)} is not a table of names and ids; {remedy}")
    objects: dict[str, int] = {}
    for name, number in pairs.items():
        whole = _as_int(number)
        if not str(name).strip() or whole is None or not 1 <= whole <= 65535:
            raise RequestError(f"objects holds {_shown(name)} with id {_shown(number)}; {remedy}")
        objects[str(name).strip()] = whole
    if len(set(objects.values())) < len(objects):
        raise RequestError(f"objects {_shown(objects)} gives one id to two names; give every name its own id")
    return objects


def read_flag(request: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A yes or no, as a boolean or as text."""
    value = request.get(name)
    if value is None or value == "":
        return default
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    text = str(value).strip().lower()
    if text not in known:
        raise RequestError(f"{name} is {_shown(value)}, which is neither true nor false; send true or false")
    return known[text]


def _choice(request: Mapping[str, Any], name: str) -> str:
    choices = CHOICES[name]
    value = request.get(name)
    if value is None or value == "" or (isinstance(value, list) and value == list(choices)):
        return choices[0]
    if isinstance(value, bool) or str(value) not in choices:
        raise RequestError(
            f"unknown {name} {_shown(value)}{closest(str(value), choices)}; choose one of {listed(choices)}",
        )
    return str(value)


def _adapter(value: Any) -> str | None:
    """The name of a version; a list is what was shown to the client, untouched."""
    return None if value is None or value == "" or isinstance(value, list) else str(value)


def _window(request: Mapping[str, Any]) -> Window | None:
    value = _parsed(request.get("window"))
    if isinstance(value, list) and value != list(CHOICES["window"]):
        numbers = [_as_float(number) for number in value]
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or not numbers[1] > 0:
            raise RequestError(f"window {_shown(value)} is not [level, width]; send two numbers, the width above 0")
        return Window(level=numbers[0], width=numbers[1])
    name = _choice(request, "window")
    return WINDOW_PRESETS.get(name)


def _slice_range(value: Any) -> tuple[int, int] | None:
    parsed = _parsed(value)
    if parsed is None or parsed == "":
        return None
    ends = [_as_int(end) for end in parsed] if isinstance(parsed, list) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        raise RequestError(
            f"slice_range {_shown(value)} is not [first, last]; send two slice numbers, the smaller first"
        )
    return ends[0], ends[1]


def _slices(value: Any) -> tuple[int, ...]:
    """Slice numbers: a list, one number, or text with commas."""
    parsed = _parsed(value)
    if parsed is None or parsed == "":
        return ()
    numbers = [_as_int(one) for one in (parsed if isinstance(parsed, list) else [parsed]) if one != ""]
    found = tuple(number for number in numbers if number is not None and number >= 0)
    if len(found) < len(numbers):
        raise RequestError(
            f'accepted_slices {_shown(value)} is no list of slice numbers; send [12, 40], or "12, 40" as text'
        )
    return tuple(dict.fromkeys(found))


def _names(value: Any) -> tuple[str, ...]:
    """Names of objects: a list, one name, or text with commas."""
    if value is None or value == "":
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f'protected {_shown(value)} is no list of names; send ["liver"], or "liver, spleen" as text')
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _parsed(value: Any) -> Any:
    """A list written as text ("40, 400" or "[40, 400]") as a list; anything else as it is."""
    if not isinstance(value, str) or "," not in value:
        return value
    return [part.strip() for part in value.strip().strip("[]()").split(",")]


def _pairs_of_text(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {name: number for name, _, number in (part.partition("=") for part in text.split(","))}


def _as_int(value: Any) -> int | None:
    number = _as_float(value)
    return int(number) if number is not None and number == int(number) else None


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e9 else None


def _shown(value: Any) -> str:
    """A value as it came, short enough for a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
