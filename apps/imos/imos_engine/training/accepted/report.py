"""What a person reads of a training: Markdown beside the version's weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from imos_engine.adapters import Card
from imos_engine.adapters.gate import Change, Verdict
from imos_engine.training.journal import LOG_NAME
from imos_engine.training.run_folder import CURVES_NAME

REPORT = "report.md"
BOARD = "tensorboard"  # folder of what TensorBoard shows


def write_report(folder: Path, card: Card, verdict: Verdict, *, run: Path) -> None:
    """Write the report, with the curves and logs of the run, into a version's folder."""
    for name in (CURVES_NAME, LOG_NAME):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    if (run / BOARD).is_dir():
        shutil.copytree(run / BOARD, folder / BOARD)
    (folder / REPORT).write_text("\n".join(report_lines(card, verdict)) + "\n", encoding="utf-8")


def report_lines(card: Card, verdict: Verdict) -> Iterator[str]:
    """The report, line by line."""
    yield f"# Adapter {card.name}, version {card.version}"
    yield ""
    yield from verdict.reasons
    yield ""
    parent = "fresh adapters" if card.parent is None else f"version {card.parent}"
    roles = [case.role for case in card.cases]
    yield (
        f"Trained {card.created} from {parent} on {roles.count('training')} images; "
        f"{roles.count('validation')} more are kept for validation."
    )
    if card.provisional:
        yield (
            "**Provisional**: there are fewer than two validation images, so every image was measured by adapters "
            "that did not learn from it, against the network without any."
        )
    yield ""
    yield "Each label is carried from its largest slice alone; J&F is the mean over the other slices, 1 is perfect."
    yield ""
    yield "| label | before | after | difference | 95 % interval | measured |"
    yield "|---|---|---|---|---|---|"
    for label, change in verdict.labels.items():
        yield _row(label, change)
    if verdict.overall is not None:
        yield _row("**all**", verdict.overall)
    if verdict.known_looks is not None:
        before, after = verdict.known_looks
        yield ""
        yield f"J on random sequences, which show what was known: {before:.3f} before, {after:.3f} after."
    yield ""
    yield f"Advice: {advice(card, verdict)}"
    yield ""
    yield f"![curves]({CURVES_NAME})"


def advice(card: Card, verdict: Verdict) -> str:
    """What to do next, in one sentence."""
    if verdict.overall is None:
        return "accept labels that reach over several slices."
    if card.provisional:
        return "accept labels on at least five images; until then these numbers are rough."
    if verdict.overall.high < 0.005 and card.parent is not None:
        return "more labels of this kind hardly help any more; annotate looks or structures that are still weak."
    return "every further label is still worth accepting."


def _row(label: str, change: Change) -> str:
    interval = f"{change.low:+.3f} to {change.high:+.3f}"
    means = f"{change.before:.3f} | {change.after:.3f} | {change.difference:+.3f}"
    return f"| {label} | {means} | {interval} | {change.pairs} |"
