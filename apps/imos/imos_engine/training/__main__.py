"""`python -m imos_engine.training --recipe small.toml --output runs/small`: train with a progress bar."""

import argparse
import logging
from pathlib import Path

import torch

from imos_engine.training import read_recipe, train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a network by a recipe.")
    parser.add_argument("--recipe", type=Path, required=True, help="TOML file, see recipes/")
    parser.add_argument("--output", type=Path, required=True, help="folder of checkpoint, logs and weights")
    parser.add_argument("--minutes", type=float, help="wall clock for the whole run, for recipes in minutes")
    parser.add_argument("--threads", type=int, help="threads of the network")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    recipe = recipe.lasting(options.minutes) if options.minutes else recipe
    train(recipe, output_dir=options.output, device=options.device, show_progress=True)
