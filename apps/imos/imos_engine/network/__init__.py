"""The iMOS network: encoders with adapters, sensory memory, decoder, checkpoints."""

from imos_engine.network.imos_network import STRIDE, FrameFeatures, ImosNetwork

__all__ = ["STRIDE", "FrameFeatures", "ImosNetwork"]
