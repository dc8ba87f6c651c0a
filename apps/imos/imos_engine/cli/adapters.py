"""`imos adapters`: the bank of adapter versions: list, show, compare, publish, rollback."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from imos_engine.adapters import AdapterBank, AdapterError, Card
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.bank import sha256_of
from imos_engine.adapters.choice import AdapterChoice, choose
from imos_engine.adapters.measure import carried_scores
from imos_engine.cli.inputs import DEFAULT_WEIGHTS, add_network_options, find_device, propagation_settings, read_labels
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import AdaptedPropagator
from imos_engine.sequence import choose_slice_axis
from imos_engine.volume_file import read_volume

BANK = DEFAULT_WEIGHTS.parent / "adapters"
DESCRIPTION = """\
Look after the adapter versions that the server has trained.

A version is written NAME/VERSION, such as site/3; NAME alone is its published version, none the network without any.
`compare` is an A/B test on one image: every label is carried from its largest slice by each of the versions.
What is published or rolled back serves from the next request on; nothing has to be restarted.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos adapters`."""
    parser = commands.add_parser(
        "adapters",
        help="list, compare, publish and roll back adapter versions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--bank", type=Path, default=BANK, metavar="DIR", help="folder of versions (default: the app's)"
    )
    add_network_options(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")
    for name, explanation, version in (
        ("list", "every version, the published ones marked", None),
        ("show", "the card of a version", "NAME/VERSION"),
        ("publish", "put a version in force", "NAME/VERSION"),
        ("rollback", "put the version before the one in force back", "NAME"),
        ("compare", "carry the labels of one image by several versions", "VERSION"),
    ):
        action = actions.add_parser(name, help=explanation)
        if version is not None:
            count = "+" if name == "compare" else None
            action.add_argument("version", metavar=version, nargs=count)
        if name == "compare":
            action.add_argument("--image", type=Path, required=True, metavar="FILE")
            action.add_argument("--truth", type=Path, required=True, metavar="FILE", help="labels on the image's grid")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos adapters`."""
    weights = options.weights or DEFAULT_WEIGHTS
    if not weights.is_file():
        raise ValueError(f"no network at {weights}; give --weights FILE, the one that the server uses")
    bank = AdapterBank(options.bank, base_sha256=sha256_of(weights))
    ACTIONS[options.action](bank, options)


def _list(bank: AdapterBank, _options: argparse.Namespace) -> None:
    if not bank.names():
        print(f"no adapter in {bank.folder}; the server's trainer makes them from accepted labels")
    for name in bank.names():
        published = bank.published(name)
        for version in bank.versions(name):
            mark = "*" if version == published else " "
            try:
                print(f"{mark} {_line(bank.card(name, version), fits=bank.base_sha256)}")
            except AdapterError as error:
                print(f"! {name}/{version}: {error}")


def _line(card: Card, *, fits: str) -> str:
    overall = card.metrics.get("overall") or {}
    change = f"{overall['before']:.3f} -> {overall['after']:.3f}" if overall else "not measured"
    remarks = ["provisional"] * card.provisional + ["candidate"] * (not card.accepted)
    remarks += ["of another network"] * (card.base_sha256 != fits)
    about = f"{card.name}/{card.version}  {card.created}  J&F {change}  {', '.join(card.labels)}"
    return f"{about}  ({', '.join(remarks)})" if remarks else about


def _show(bank: AdapterBank, options: argparse.Namespace) -> None:
    name, version = _named(bank, options.version)
    print(json.dumps(bank.card(name, version).to_dict(), indent=1))


def _publish(bank: AdapterBank, options: argparse.Namespace) -> None:
    name, version = _named(bank, options.version)
    bank.publish(name, version)
    print(f"{name}/{version} is in force")


def _rollback(bank: AdapterBank, options: argparse.Namespace) -> None:
    version = bank.rollback(options.version)
    print(f"{options.version}/{version} is in force" if version else f"no version of {options.version} is in force")


def _compare(bank: AdapterBank, options: argparse.Namespace) -> None:
    image = read_volume(options.image)
    truth = read_labels(options.truth, image)
    values = [int(value) for value in np.unique(truth) if value]
    if not values or len(values) > 255:
        raise ValueError(f"the truth holds {len(values)} labels; between 1 and 255 can be compared")
    labels = np.zeros(truth.shape, dtype=np.uint8)
    for place, value in enumerate(values, start=1):
        labels[truth == value] = place
    axis = choose_slice_axis(np.zeros(image.shape, dtype=np.uint8), image.spacing_mm)
    names = {place: str(value) for place, value in enumerate(values, start=1)}
    volume = AcceptedVolume(images=image.array, labels=labels, names=names, axis=axis, axes=(axis,))
    network = load_network(options.weights or DEFAULT_WEIGHTS)
    propagator = AdaptedPropagator(network, settings=propagation_settings(options), device=find_device(options.device))
    scores: dict[str, Mapping[str, float]] = {}
    for text in dict.fromkeys(["none", *options.version]):
        version = choose(bank, AdapterChoice.parse(text), labels=(), images=image.array)
        propagator.wear(None if version is None else version.weights, identity=text)
        scores[text] = carried_scores(propagator, volume)
    width = max(map(len, scores)) + 2
    print(f"{'label':>8}" + "".join(f"{text:>{max(width, 8)}}" for text in scores))
    for name in names.values():
        print(
            f"{name:>8}" + "".join(f"{found.get(name, float('nan')):>{max(width, 8)}.3f}" for found in scores.values())
        )
    means = (float(np.mean(list(found.values()))) if found else float("nan") for found in scores.values())
    print(f"{'mean':>8}" + "".join(f"{mean:>{max(width, 8)}.3f}" for mean in means))


def _named(bank: AdapterBank, text: str) -> tuple[str, int]:
    choice = AdapterChoice.parse(text)
    if choice.name is None:
        raise AdapterError(f"{text} names no version; give NAME/VERSION, as site/3")
    version = bank.published(choice.name) if choice.version is None else choice.version
    if version is None:
        raise AdapterError(f"adapter {choice.name} has no published version; give NAME/VERSION")
    return choice.name, version


ACTIONS: Mapping[str, Callable[[AdapterBank, argparse.Namespace], None]] = {
    "list": _list,
    "show": _show,
    "publish": _publish,
    "rollback": _rollback,
    "compare": _compare,
}
