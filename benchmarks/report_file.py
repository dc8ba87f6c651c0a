"""Results of a run in a JSON file, from which a later run can take what did not change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks.cases import SkippedLabel
from benchmarks.methods import OURS
from benchmarks.protocols import MASK, Measurement
from benchmarks.summary import Difference, Result, summary

Key = tuple[str, str, str, str]  # case, label, method, what was given


def write_report(
    path: Path, results: Sequence[Result], differences: Sequence[Difference], skipped: Sequence[SkippedLabel]
) -> None:
    kinds = dict.fromkeys(given(result) for result in results)
    report = {
        "results": [asdict(result) for result in results],
        "means": {kind: summary([one for one in results if given(one) == kind]) for kind in kinds},
        "differences": [asdict(one) for one in differences],
        "skipped": [asdict(one) for one in skipped],
    }
    path.write_text(json.dumps(report, indent=1) + "\n")


def read_baselines(path: Path, kind: type[Result]) -> dict[Key, Result]:
    """The training-free methods' results of one kind in a report.

    Raises:
        ValueError: the file is no report, or holds results of another protocol.
    """
    names = {field.name for field in fields(kind)}
    try:
        rows = json.loads(path.read_text())["results"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of this benchmark; give a file that --json wrote") from error
    found = [kind(**{name: _tuple(value) for name, value in row.items()}) for row in rows if set(row) == names]
    if not found:
        raise ValueError(f"{path} holds no results of this protocol; give a file that --json wrote under it")
    return {key(result): result for result in found if result.method != OURS}


def key(result: Result) -> Key:
    return result.case, result.label, result.method, given(result)


def given(result: Result) -> str:
    return result.given if isinstance(result, Measurement) else MASK


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
