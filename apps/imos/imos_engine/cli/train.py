"""`imos train`: a recipe in, weights out."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from imos_engine.cli.inputs import find_device

if TYPE_CHECKING:
    from imos_engine.training import TrainingConfig

RECIPES = Path(__file__).resolve().parents[1] / "training" / "recipes"
KILLED = 128  # exit code of a process that a signal ended: this plus the signal's number

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Train a network by a recipe, from random sequences with known truth: nothing is downloaded.

The output folder gets the recipe as it was read, checkpoints, logs, curves.png, pictures of held-out clips and the
averaged weights. Ctrl-C saves a checkpoint; the same command goes on from it.

Several GPUs: torchrun --nproc-per-node 4 -m imos_engine train --recipe ... --output ...
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos train`."""
    parser = commands.add_parser(
        "train",
        help="train a network by a recipe",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="show the bundled recipes, and train nothing")
    parser.add_argument("--recipe", metavar="NAME|FILE", help=f"TOML file, or a bundled recipe: {_bundled()}")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of everything that the run writes")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="start from these weights (default: random)")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default)"
    )
    parser.add_argument("--minutes", type=float, help="wall clock of the whole run, for recipes in minutes")
    parser.add_argument("--fresh", action="store_true", help="start anew even where the folder holds a checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos train`."""
    if options.list:
        print("\n".join(_described_recipes()))
        return
    if options.recipe is None or options.output is None:
        raise ValueError("give a --recipe and an --output folder; `imos train --list` shows the bundled recipes")
    path = _recipe(options.recipe)
    device = find_device(options.device)
    # TensorBoard and matplotlib take seconds to import.
    from imos_engine.training import read_recipe, train
    from imos_engine.training.interruption import interruptible
    from imos_engine.training.processes import joined

    recipe = read_recipe(path)
    if options.minutes is not None:
        recipe = recipe.lasting(options.minutes)
    with joined(device) as (processes, own_device), interruptible() as interruption:
        logging.basicConfig(level=logging.INFO if processes.is_first else logging.WARNING, format="%(message)s")
        together = f", {processes.count} processes" if processes.count > 1 else ""
        logger.info("training %s on %s%s into %s", path.stem, own_device, together, options.output)
        weights = train(
            recipe,
            output_dir=options.output,
            device=own_device,
            resume=not options.fresh,
            weights=options.weights,
            show_progress=not options.quiet and processes.is_first,
            should_stop=interruption,
            processes=processes,
        )
        if processes.is_first:
            print(weights)
    if interruption.signal is not None:
        again = "the same command without --fresh" if options.fresh else "the same command"
        logger.info("stopped, and saved in %s; %s goes on from there", shlex.quote(str(options.output)), again)
        raise SystemExit(KILLED + interruption.signal)


def _recipe(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    bundled = RECIPES / f"{name}.toml"
    if not bundled.is_file():
        raise ValueError(f"there is no recipe {name}; give a TOML file, or one of those bundled: {_bundled()}")
    return bundled


def _bundled() -> str:
    return ", ".join(sorted(path.stem for path in RECIPES.glob("*.toml")))


def _described_recipes() -> Iterator[str]:
    """Per bundled recipe a line with its name, network, length and phases, and one of what its file says of itself."""
    from imos_engine.training import read_recipe

    for path in sorted(RECIPES.glob("*.toml")):
        config = read_recipe(path)
        yield f"{path.stem:12} {config.network}, {_length(config)}, {len(config.phases)} phases"
        comment = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        yield f"{'':12} {' '.join(line.lstrip('# ') for line in comment)}"


def _length(config: TrainingConfig) -> str:
    steps = sum(phase.steps or 0 for phase in config.phases)
    minutes = sum(phase.minutes or 0 for phase in config.phases)
    return " and ".join([f"{minutes:g} minutes"] * bool(minutes) + [f"{steps} steps"] * bool(steps))
