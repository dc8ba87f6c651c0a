"""Scores of masks against the truth: pure functions of arrays."""

from .boundary import boundary_accuracy
from .overlap import dice, leak, region_similarity
from .sequence_score import SequenceScore, largest_frame, score_sequence

__all__ = [
    "SequenceScore",
    "boundary_accuracy",
    "dice",
    "largest_frame",
    "leak",
    "region_similarity",
    "score_sequence",
]
