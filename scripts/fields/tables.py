"""Tables of every field of a request and a reply, made from the code that reads the one and writes the other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.fields.refusals import REFUSALS
from scripts.fields.reply_fields import REPLY
from scripts.fields.request_fields import CLIENT, MARKS, OPTIONS, REPLY_FILE, RequestField
from scripts.fields.train_fields import TRAIN

APP = Path(__file__).resolve().parents[2] / "apps" / "imos"
WRITTEN_BY_MAIN = ("imos.saved",)
MOST_CHOICES = 8  # named in a table
Rows = Iterable[Sequence[str]]


class FieldError(ValueError):
    """A field that the code reads or writes is not described, or the reverse."""


def request_tables(advertised: Mapping[str, Any], client_keys: Iterable[str]) -> str:
    """Every field of `params`, by kind.

    Args:
        advertised: options with their choices or default, as `/info/` shows them.
        client_keys: names of all other fields that are read.

    Raises:
        FieldError: naming what is missing.
    """
    described = {**MARKS, **REPLY_FILE, **CLIENT, **OPTIONS}
    _refuse_differences(described, {*advertised, *client_keys}, "a request")
    parts = []
    for title, fields in (("Marks", MARKS), ("Options", OPTIONS), ("The reply's file", REPLY_FILE), ("Client", CLIENT)):
        rows = [
            (f"`{name}`", accepted(field, advertised.get(name)), _default(advertised.get(name)), field.means)
            for name, field in fields.items()
        ]
        parts.append(f"**{title}**\n\n{table(('field', 'accepts', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def train_table(advertised: Mapping[str, Any]) -> str:
    """Every field of a request to train; `advertised` are its options with their choices or default, without `device`.

    Raises:
        FieldError: naming what is missing.
    """
    _refuse_differences(TRAIN, {*advertised, "device"}, "a request to train")
    rows = []
    for name, means in TRAIN.items():
        value = advertised.get(name, "")
        choices = value if isinstance(value, list) else [str(value).lower() if isinstance(value, bool) else value]
        rows.append((f"`{name}`", ", ".join(f"`{choice}`" for choice in choices if choice != ""), means))
    return table(("field", "default, and other choices", "meaning"), rows)


def refusal_table() -> str:
    """Everything that is refused."""
    return table(("status", "when"), [(str(refusal.status), refusal.when) for refusal in REFUSALS])


def reply_table(source: Path) -> str:
    """Every field of a reply's JSON part; `source` is the module that writes it.

    Raises:
        FieldError: naming what is missing.
    """
    _refuse_differences(REPLY, {*written_keys(source), *WRITTEN_BY_MAIN}, "a reply")
    return table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in REPLY.items()])


def written_keys(source: Path) -> set[str]:
    """Keys of the table that `reply_params` returns; those inside `imos` with its name before them."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    function = next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "reply_params"
    )
    returned = next(node.value for node in function.body if isinstance(node, ast.Return))
    keys = set()
    for key, value in _pairs(returned):
        keys |= {f"{key}.{inner}" for inner, _ in _pairs(value)} if key == "imos" else {key}
    return keys


def accepted(field: RequestField, advertised: Any) -> str:
    """What a field takes: the choices that clients show, and more."""
    if not isinstance(advertised, list):
        return _cell(field.accepts)
    shown = [f"`{choice}`" for choice in advertised[:MOST_CHOICES]]
    more = ["..."] if len(advertised) > MOST_CHOICES else []
    return _cell(", ".join([*shown, *more, *([field.accepts] if field.accepts else [])]))


def table(head: Sequence[str], rows: Rows) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(text: str, name: str, content: str) -> str:
    """A page with the part between its markers for `name` replaced.

    Raises:
        FieldError: the page has no such markers.
    """
    start, end = f"<!-- {name}: written by python -m scripts.fields -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise FieldError(f"the page has no lines '{start}' and '{end}'")
    return f"{before}{start}\n\n{content}\n\n{end}{after}"


def _default(advertised: Any) -> str:
    if isinstance(advertised, list):
        return f"`{advertised[0]}`"
    return str(advertised).lower() if isinstance(advertised, bool) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _pairs(node: ast.expr | None) -> list[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Dict):
        raise FieldError("reply_params returns something else than a table that is written out")
    return [(ast.literal_eval(key), value) for key, value in zip(node.keys, node.values, strict=True) if key]


def _refuse_differences(described: Iterable[str], known: Iterable[str], what: str) -> None:
    undescribed, unknown = set(known) - set(described), set(described) - set(known)
    if undescribed or unknown:
        raise FieldError(
            f"fields of {what}: {sorted(undescribed)} are in the code and not described in scripts/fields, "
            f"{sorted(unknown)} are described and not in the code"
        )
