"""`imos train-prompts`: a recipe in, weights of the prompt network out."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[1] / "training" / "recipes" / "prompts"

DESCRIPTION = """\
Train the network that turns marks on one slice into a mask, from random slices with simulated marks: nothing is
downloaded. It trains on the CPU.

The output folder gets a checkpoint, a log, a TensorBoard log and the averaged weights; the same command goes on from
the checkpoint after an interruption.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `imos train-prompts`."""
    parser = commands.add_parser(
        "train-prompts",
        help="train the network that turns marks into a mask",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recipe", default="small", help=f"TOML file, or a bundled one (default: small): {_bundled()}")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of checkpoint, logs, weights")
    parser.add_argument("--minutes", type=float, help="wall clock of the whole run, in the place of the recipe's")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="start from these, not from random weights")
    parser.add_argument("--fresh", action="store_true", help="start anew even where the folder holds a checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run `imos train-prompts`."""
    from imos_engine.training.prompts import read_prompt_recipe, train_prompts  # TensorBoard takes seconds to import

    path = Path(options.recipe) if Path(options.recipe).is_file() else RECIPES / f"{options.recipe}.toml"
    if not path.is_file():
        raise ValueError(f"there is no recipe {options.recipe}; give a TOML file, or a bundled one: {_bundled()}")
    recipe = read_prompt_recipe(path)
    if options.minutes:
        recipe = recipe.lasting(options.minutes)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    weights = train_prompts(
        recipe,
        output_dir=options.output,
        resume=not options.fresh,
        weights=options.weights,
        show_progress=not options.quiet,
    )
    print(weights)


def _bundled() -> str:
    return ", ".join(sorted(path.stem for path in RECIPES.glob("*.toml")))
