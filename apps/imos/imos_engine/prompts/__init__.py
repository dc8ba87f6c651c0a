"""Marks on one slice, and the object's mask that they mean."""

from .segment import segment_slice
from .slice_prompts import SlicePrompts

__all__ = ["SlicePrompts", "segment_slice"]
