"""Marks on one slice, and the object's mask that they mean."""

from .learned import LearnedPrompts
from .prompt_network import PromptNetwork, PromptNetworkConfig, PromptWeightsError, load_prompt_network
from .segment import segment_slice
from .slice_prompts import SlicePrompts
from .solver import SliceSolver, classical_solver, learned_solver, without_overlap

__all__ = [
    "LearnedPrompts",
    "PromptNetwork",
    "PromptNetworkConfig",
    "PromptWeightsError",
    "SlicePrompts",
    "SliceSolver",
    "classical_solver",
    "learned_solver",
    "load_prompt_network",
    "segment_slice",
    "without_overlap",
]
