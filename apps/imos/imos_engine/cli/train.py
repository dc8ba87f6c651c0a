"""`imos train`: a recipe in, weights out."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from imos_engine.cli.inputs import find_device

RECIPES = Path(__file__).resolve().parents[1] / "training" / "recipes"

DESCRIPTION = """\
Train a network by a recipe, from random sequences with known truth: nothing is downloaded.

The output folder gets a checkpoint, a log, a TensorBoard log and the averaged weights; the same command goes on from
the checkpoint after an interruption.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos train`."""
    parser = commands.add_parser(
        "train",
        help="train a network by a recipe",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recipe", required=True, help=f"TOML file, or the name of a bundled one: {_bundled()}")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of checkpoint, logs, weights")
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
    from imos_engine.training import read_recipe, train  # TensorBoard takes seconds to import

    device = find_device(options.device)
    recipe = read_recipe(_recipe(options.recipe))
    if options.minutes:
        recipe = recipe.lasting(options.minutes)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    weights = train(
        recipe,
        output_dir=options.output,
        device=device,
        resume=not options.fresh,
        weights=options.weights,
        show_progress=not options.quiet,
    )
    print(weights)


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
