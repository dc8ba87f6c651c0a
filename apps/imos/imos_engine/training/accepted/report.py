"""What a person reads of a training: Markdown beside the version's weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imos_engine.adapters import Card
from imos_engine.adapters.gate import Change, Verdict
from imos_engine.adapters.plateau import RecentGain
from imos_engine.training.accepted.gallery import ChangedSlice, draw_gallery
from imos_engine.training.journal import LOG_NAME
from imos_engine.training.run_folder import CURVES_NAME

REPORT, GALLERY = "report.md", "changes.png"
BOARD = "tensorboard"  # folder of what TensorBoard shows


def write_report(
    folder: Path, card: Card, verdict: Verdict, *, run: Path, changes: Sequence[ChangedSlice] = ()
) -> None:
    """Write the report, with the curves and logs of the run and pictures of what changed, into a version's folder."""
    for name in (CURVES_NAME, LOG_NAME):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    if (run / BOARD).is_dir():
        shutil.copytree(run / BOARD, folder / BOARD)
    rows = draw_gallery(changes, folder / GALLERY)
    (folder / REPORT).write_text("\n".join(report_lines(card, verdict, rows=rows)) + "\n", encoding="utf-8")


def report_lines(card: Card, verdict: Verdict, *, rows: int = 0) -> Iterator[str]:
    """The report, line by line; `rows` is how many slices the gallery shows."""
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
            "that did not learn from it. Before is the version in force where it had not learned from the image, or "
            "its own cross-validation; else the network without adapters."
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
    yield f"Advice: {card.metrics.get('advice')}"
    yield ""
    yield f"![curves]({CURVES_NAME})"
    if rows:
        yield ""
        yield (
            f"Of {rows} images the slice that changed most; the outline is the truth, the filled areas are what was "
            "carried. These are pictures of patients: this folder is closed to other users of the machine."
        )
        yield ""
        yield f"![changes]({GALLERY})"


def advice(card: Card, verdict: Verdict, gain: RecentGain | None) -> str:
    """What to do next, in one sentence; `gain` is what the last versions brought, this one included."""
    if verdict.overall is None:
        return "accept labels that reach over several slices."
    if card.provisional:
        return "accept labels on at least five images; until then these numbers are rough."
    if gain is None:
        return "every further label is still worth accepting."
    brought = (
        f"the last {gain.versions} versions learned from {gain.labels} new labels and gained {gain.mean:+.3f} J&F each "
        f"(95 %: {gain.low:+.3f} to {gain.high:+.3f})"
    )
    if not gain.has_ended:
        return f"{brought}; further labels may still help."
    weakest = min(verdict.labels, key=lambda label: verdict.labels[label].after)
    return (
        f"{brought}: more labels of this kind hardly help any more; annotate other looks, or what is still weakest "
        f"({weakest}, {verdict.labels[weakest].after:.2f})."
    )


def _row(label: str, change: Change) -> str:
    interval = f"{change.low:+.3f} to {change.high:+.3f}"
    means = f"{change.before:.3f} | {change.after:.3f} | {change.difference:+.3f}"
    return f"| {label} | {means} | {interval} | {change.pairs} |"
