"""Names of structures, and the id that each has in every label map: by the name alone, never by its place in a list.

A name in the table below has the id that stands there. `structure 1` to `structure 15` are free for whatever has no
name, and have the ids 101 to 115. Any other name has an id from 116 to 255, by its digest. So a name added, removed or
moved never changes the id of another, on any machine; two names that meet at one id are refused, not rearranged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.errors import listed

# Append only: saved label maps hold these numbers. Names are those that OHIF has a colour for, where it has one.
ANATOMY: Mapping[str, int] = {
    "liver": 1,
    "spleen": 2,
    "left kidney": 3,
    "right kidney": 4,
    "pancreas": 5,
    "gallbladder": 6,
    "stomach": 7,
    "duodenum": 8,
    "small bowel": 9,
    "colon": 10,
    "urinary bladder": 11,
    "left adrenal gland": 12,
    "right adrenal gland": 13,
    "esophagus": 14,
    "trachea": 15,
    "left lung": 16,
    "right lung": 17,
    "heart": 18,
    "left ventricle of heart": 19,
    "left atrium": 20,
    "aorta": 21,
    "inferior vena cava": 22,
    "artery": 23,
    "vein": 24,
    "brain": 25,
    "ventricles of brain": 26,
    "hippocampus": 27,
    "spinal cord": 28,
    "vertebra": 29,
    "bone": 30,
    "muscle": 31,
    "prostate": 32,
    "uterus": 33,
    "thyroid gland": 34,
    "lymph node": 35,
    "tumor": 36,
    "cyst": 37,
    "lesion": 38,
    "instrument": 39,
    "cell": 40,
    "right ventricle of heart": 41,
    "right atrium": 42,
    "myocardium": 43,
    "pulmonary artery": 44,
    "portal vein": 45,
    "lung": 46,
    "kidney": 47,
    "left ureter": 48,
    "right ureter": 49,
    "rectum": 50,
    "left ovary": 51,
    "right ovary": 52,
    "cerebellum": 53,
    "brainstem": 54,
    "white matter": 55,
    "gray matter": 56,
    "eyeball": 57,
    "optic nerve": 58,
    "parotid gland": 59,
    "mandible": 60,
    "skull": 61,
    "sternum": 62,
    "rib": 63,
    "pelvis": 64,
    "femur": 65,
    "humerus": 66,
    "cartilage": 67,
    "intervertebral disc": 68,
    "fat": 69,
    "skin": 70,
    "carotid artery": 71,
    "jugular vein": 72,
    "breast": 73,
    "placenta": 74,
    "fetus": 75,
    "polyp": 76,
    "hemorrhage": 77,
    "edema": 78,
    "necrosis": 79,
    "clot": 80,
    "fluid": 81,
    "air": 82,
    "nerve": 83,
    "tooth": 84,
    "nucleus": 85,
    "mitochondrion": 86,
    "object": 100,
}
OFFERED_ANATOMY = 40  # the first of them are shown unless the site says otherwise: a list that a person can read
FREE_NAMES = {f"structure {number}": 100 + number for number in range(1, 16)}
OFFERED_FREE = 5
KNOWN = {**ANATOMY, **FREE_NAMES}
MOST_NAMES = 255  # ids from 1: OHIF reads eight bits
DIGEST_IDS = range(116, MOST_NAMES + 1)
BACKGROUND = "background"  # the value 0, whoever lists it
DEFAULT_LABELS: Mapping[str, int] = {
    **dict(list(ANATOMY.items())[:OFFERED_ANATOMY]),
    **dict(list(FREE_NAMES.items())[:OFFERED_FREE]),
}


class LabelError(ValueError):
    """Names or ids that cannot be used; the message says what to write."""


def label_id(name: str) -> int:
    """The id of a name, from 1 to 255; upper case and underscores make no difference."""
    spelt = _spelt(name)
    if spelt in KNOWN:
        return KNOWN[spelt]
    digest = int.from_bytes(hashlib.sha256(spelt.encode()).digest()[:8], "big")
    return DIGEST_IDS[digest % len(DIGEST_IDS)]


def read_labels(text: str) -> dict[str, int]:
    """Names and ids from what a site wrote: names separated by commas, `name=id` among them, or the path of a file.

    A file holds one such entry a line (lines that start with # are remarks), or is JSON: {"name": id} or ["name"].

    Raises:
        LabelError: no name, a name or id twice, or an id that is none.
    """
    if not text.strip():
        return dict(DEFAULT_LABELS)
    path = Path(text).expanduser()
    entries = _file_entries(path) if _names_a_file(path, text) else [_entry(part) for part in text.split(",")]
    return _checked([entry for entry in entries if entry[0] and not _is_background(*entry)])


def _names_a_file(path: Path, text: str) -> bool:
    if os.path.isfile(path):  # noqa: PTH113 (a long list of names is no path at all, and Path.is_file fails on it)
        return True
    if "/" in text or path.suffix in (".txt", ".json"):
        raise LabelError(f"there is no file {path}; give the path of one, or names separated by commas")
    return False


def _file_entries(path: Path) -> list[tuple[str, int | None]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path} cannot be read as text ({error}); write one name a line") from error
    if path.suffix == ".json" or text.lstrip().startswith(("{", "[")):
        return _json_entries(path, text)
    return [_entry(line) for line in text.splitlines() if not line.lstrip().startswith("#")]


def _json_entries(path: Path, text: str) -> list[tuple[str, int | None]]:
    try:
        content = json.loads(text, object_pairs_hook=list)  # a table would keep the last of two equal names in silence
    except json.JSONDecodeError as error:
        raise LabelError(f'{path} is not JSON ({error}); write {{"name": id}}') from error
    entries = [entry if isinstance(entry, tuple) else (entry, None) for entry in _list(content)]
    for name, number in entries:
        if not isinstance(name, str) or not (number is None or _is_id(number) or _is_background(name, number)):
            raise LabelError(f'{path} holds {name!r}: {number!r}; write {{"name": id}}, ids from 1 to 255')
    return [(name.strip(), number) for name, number in entries]


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _is_id(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MOST_NAMES


def _entry(text: str) -> tuple[str, int | None]:
    """One `name` or `name=id`."""
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals:
        return name, None
    value = int(number) if number.isascii() and number.isdigit() else None
    if not name or not (_is_id(value) or _is_background(name, value)):
        raise LabelError(f"{text.strip()!r} is no name=id; write an id from 1 to 255, such as cyst=200")
    return name, value


def _is_background(name: str, number: int | None) -> bool:
    """Whether an entry says what needs no saying: lists made for other programs often do."""
    return _spelt(name) == BACKGROUND and number in (0, None)


def _checked(entries: list[tuple[str, int | None]]) -> dict[str, int]:
    if not entries:
        raise LabelError("no name is listed; give some, separated by commas or one a line")
    spellings = [_spelt(name) for name, _ in entries]
    twice = {name for (name, _), spelt in zip(entries, spellings, strict=True) if spellings.count(spelt) > 1}
    if twice:
        raise LabelError(f"a name is listed twice ({listed(sorted(twice))}); give different names")
    if BACKGROUND in spellings:
        raise LabelError("background is what has no label, its id is 0; leave it out")
    if len(entries) > MOST_NAMES:
        raise LabelError(f"{len(entries)} names are listed; there are ids for {MOST_NAMES}, give those that are needed")
    labels = {name: label_id(name) if number is None else number for name, number in entries}
    _refuse_shared(labels, chosen={name for name, number in entries if number is not None})
    return labels


def _refuse_shared(labels: Mapping[str, int], *, chosen: set[str]) -> None:
    """Refuse names that meet at one id, with an id for each that is free."""
    taken, shared, remedies = set(labels.values()), [], []
    unused = (number for number in range(MOST_NAMES, 0, -1) if number not in taken)
    for number in sorted(taken):
        names = sorted((name for name in labels if labels[name] == number), key=lambda name: (name not in chosen, name))
        if len(names) > 1:
            shared.append(f"{listed(names)} ({number})")
            remedies += [f"{name}={next(unused)}" for name in names[1:]]
    if shared:
        raise LabelError(f"names share an id: {'; '.join(shared)}; write {listed(remedies)} in their place")


def _spelt(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
