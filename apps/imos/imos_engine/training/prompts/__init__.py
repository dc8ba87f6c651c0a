"""Training of the prompt network: random slices and simulated marks in, averaged weights out."""

from .loop import train_prompts
from .recipe import PromptTraining, prompt_training_from_dict, read_prompt_recipe

__all__ = ["PromptTraining", "prompt_training_from_dict", "read_prompt_recipe", "train_prompts"]
