"""What a user could do without training: methods that carry the masks of a few frames through a sequence."""

from .flow import carry_by_flow
from .graph_cut import carry_by_graph_cut
from .random_walk import carry_by_random_walk
from .repeat import repeat_nearest

__all__ = ["carry_by_flow", "carry_by_graph_cut", "carry_by_random_walk", "repeat_nearest"]
