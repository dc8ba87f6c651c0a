"""Seeds in, label maps out: schedule, sweep, merge."""

from imos_engine.propagation.adapted import AdaptedPropagator
from imos_engine.propagation.features import FeatureCache
from imos_engine.propagation.propagator import FrameResult, Propagator
from imos_engine.propagation.timings import Timings

__all__ = ["AdaptedPropagator", "FeatureCache", "FrameResult", "Propagator", "Timings"]
