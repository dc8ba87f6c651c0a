"""Training: clips with known truth in, averaged weights out."""

from imos_engine.training.loop import train
from imos_engine.training.recipe import Phase, TrainingConfig, ValidationConfig, config_from_dict, read_recipe

__all__ = ["Phase", "TrainingConfig", "ValidationConfig", "config_from_dict", "read_recipe", "train"]
