"""What each part of the propagation is worth: our method with one part switched off at a time, as a Markdown table.

Every label is carried from its true mask on its largest slice. With several weights, the parts are switched off for
the first, and the others are run complete.

    python -m benchmarks.ablations FOLDER [--weights released=FILE other=FILE ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy import add_choice_arguments, chosen_cases, threads
from benchmarks.carry import NetworkCarrier, Setup, add_setup_arguments, setup_from_arguments
from benchmarks.cases import measurable_labels
from benchmarks.protocols import Measurement, measure_label
from benchmarks.summary import MODALITIES_ALIKE, difference, rows_of, summary
from imos_engine.cli.inputs import DEFAULT_WEIGHTS, find_device
from imos_engine.network.checkpoint import load_network
from imos_engine.sequence import Direction

Change = Callable[[Setup], Setup | None]  # None: this engine has no such part


def setting(**values: Any) -> Change:
    """A change of PropagationConfig."""
    return lambda setup: _changed(setup, "settings", values)


def memory(**values: Any) -> Change:
    """A change of MemoryConfig."""
    return lambda setup: _changed(setup, "memory", values)


FULL = "full"
SWITCHES: dict[str, Change] = {
    "one direction only": lambda setup: replace(setup, directions=frozenset({Direction.FORWARD})),
    "without long-term memory": memory(max_long_term=0),
    "without the presence estimate": setting(presence_threshold=0.0),
    "the whole frame instead of windows": setting(window=None, size=320),
    "masks of the last slice only": setting(neighbours=(1,)),
    "without ending early": setting(end_after=None),
}


def setups(full: Setup, parts: Sequence[str] = tuple(SWITCHES)) -> dict[str, Setup]:
    """The full setup and one for each of the parts that this engine has, by name."""
    changed = {name: SWITCHES[name](full) for name in parts}
    return {FULL: full} | {name: setup for name, setup in changed.items() if setup is not None}


def markdown_table(results: Sequence[Measurement]) -> str:
    """One row per variant (its name is the results' method): J&F per modality, then every score overall."""
    means = summary(results)
    rows = rows_of(results)
    methods = list(dict.fromkeys(result.method for result in results))
    first = [result for result in results if result.method == methods[0]]
    lines = [
        "| | " + " | ".join([*rows[:-1], "J&F", f"minus {methods[0]}", "J", "F", "Dice", "leak", "s/frame"]) + " |",
        "|---" * (len(rows) + 8) + "|",
    ]
    for method in methods:
        overall = means[MODALITIES_ALIKE][method]
        own = [result for result in results if result.method == method]
        gap = difference(own, first, row=MODALITIES_ALIKE, second_name=methods[0])
        cells = [f"{means[row][method]['jf']:.3f}" for row in rows[:-1]]
        cells += [f"{overall['jf']:.3f} [{overall['low']:.3f}, {overall['high']:.3f}]"]
        cells += ["" if method == methods[0] else f"{gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"]
        cells += [f"{overall[score]:.3f}" for score in ("j", "f", "dice", "leak", "seconds_per_frame")]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _changed(setup: Setup, part: str, values: dict[str, Any]) -> Setup | None:
    before = getattr(setup, part)
    known = {field.name for field in fields(before)}
    return replace(setup, **{part: replace(before, **values)}) if values.keys() <= known else None


def _variants(options: argparse.Namespace) -> dict[str, NetworkCarrier]:
    """Carriers by the name of their row."""
    full, device = setup_from_arguments(options), find_device(options.device)
    (first, path), *others = options.weights
    network = load_network(path)
    parts = {name: NetworkCarrier(network, setup, device=device) for name, setup in setups(full, options.parts).items()}
    named = {(first if name == FULL else f"{first}, {name}"): carrier for name, carrier in parts.items()}
    return named | {name: NetworkCarrier(load_network(path), full, device=device) for name, path in others}


def _named_weights(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not separator or not name or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"expected NAME=FILE with a file that exists, got {text!r}")
    return name, path


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in SWITCHES]:
        raise argparse.ArgumentTypeError(f"no part is called {unknown[0]!r}; there are: {'; '.join(SWITCHES)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    parser.add_argument(
        "--weights",
        nargs="+",
        type=_named_weights,
        default=[("bundled", str(DEFAULT_WEIGHTS))],
        metavar="NAME=FILE",
        help="default: those bundled",
    )
    parser.add_argument(
        "--parts", type=_parts, default=tuple(SWITCHES), metavar="A,B", help=f"default: {'; '.join(SWITCHES)}"
    )
    add_setup_arguments(parser)
    add_choice_arguments(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    results = []
    with threads(options.threads):
        variants = _variants(options)
        for case in chosen_cases(options.folder, options.cases):
            for label in measurable_labels(case, limit=options.labels_per_case)[0]:
                print(f"{case.name}: {case.label_names[label]}", file=sys.stderr)
                results += [measure_label(case, label, name, carrier) for name, carrier in variants.items()]
    if not results:
        print(f"nothing to measure in {options.folder}: no case is named like --cases asks", file=sys.stderr)
        return 1
    print(markdown_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
