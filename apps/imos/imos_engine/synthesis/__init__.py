"""Random sequences with known truth, for training without any real image."""

from .generator import MODALITIES, SequenceGenerator, SynthesisConfig, SyntheticClip

__all__ = ["MODALITIES", "SequenceGenerator", "SynthesisConfig", "SyntheticClip"]
