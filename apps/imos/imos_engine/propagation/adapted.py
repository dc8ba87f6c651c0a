"""A propagator that changes its adapters between two sequences, without touching the rest of its weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from torch import nn

from imos_engine.network import FrameFeatures, ImosNetwork
from imos_engine.network.adapter import ConvAdapter
from imos_engine.network.adapter_weights import AdapterWeights, put_on
from imos_engine.network.backbone import ResidualBlock
from imos_engine.network.decoder import Decoder
from imos_engine.network.inference import prepare_for_inference
from imos_engine.network.refiner import Refiner
from imos_engine.propagation.features import FeatureCache
from imos_engine.propagation.propagator import Propagator

VERSIONS_KEPT = 4  # ready on the device; each is some megabytes


@dataclass(frozen=True, kw_only=True)
class _Outfit:
    """One version's modules, ready for inference."""

    adapters: dict[str, ConvAdapter]  # by the name of the block that they belong to
    decoder: Decoder
    refiner: Refiner | None


class AdaptedPropagator(Propagator):
    """A propagator of a network without adapters, which wears those of one version at a time."""

    def __init__(self, network: ImosNetwork, *, features: FeatureCache | None = None, **options: Any) -> None:
        super().__init__(network, features=features, **options)
        self._config = network.config
        self._shared_features = features
        self._ready: OrderedDict[Hashable, _Outfit] = OrderedDict()
        self._blocks = {
            name: module for name, module in self._network.named_modules() if isinstance(module, ResidualBlock)
        }
        self._bare = _Outfit(
            adapters={name: block.adapter for name, block in self._blocks.items() if block.adapter is not None},
            decoder=self._network.decoder,
            refiner=self._network.refiner,
        )

    def wear(self, weights: AdapterWeights | None, *, identity: Hashable = None) -> None:
        """Use these adapters from now on; None is the network as it was given.

        Args:
            weights: the adapters.
            identity: what tells these weights from all others; encoded frames are kept apart by it.

        Raises:
            CheckpointError: they are made for another network; nothing has changed.
        """
        outfit = self._bare if weights is None else self._outfit(weights, identity)
        for name, block in self._blocks.items():
            block.adapter = outfit.adapters.get(name)
        self._network.decoder, self._network.refiner = outfit.decoder, outfit.refiner
        if self._shared_features is not None:
            shared = self._shared_features
            self._features = shared if weights is None else _OwnFeatures(shared, identity)

    def _outfit(self, weights: AdapterWeights, identity: Hashable) -> _Outfit:
        if identity not in self._ready:
            self._ready[identity] = self._prepared(weights)
            while len(self._ready) > VERSIONS_KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end(identity)
        return self._ready[identity]

    def _prepared(self, weights: AdapterWeights) -> _Outfit:
        precision, device = self.settings.precision, self._device

        def ready(module: nn.Module | None) -> Any:
            if module is None:
                return None
            return prepare_for_inference(module, precision=precision, device=device)

        dressed = ImosNetwork(self._config)
        put_on(dressed, weights)
        named = dict(dressed.named_modules())
        return _Outfit(
            adapters={name: ready(named[f"{name}.adapter"]) for name in self._blocks},
            decoder=ready(dressed.decoder) if "decoder" in weights.parts else self._bare.decoder,
            refiner=ready(dressed.refiner) if "refiner" in weights.parts else self._bare.refiner,
        )


class _OwnFeatures(FeatureCache):
    """One version's part of a cache: the same frame under another version is another frame."""

    def __init__(self, cache: FeatureCache, identity: Hashable) -> None:
        self._cache, self._identity = cache, identity

    @property
    def held_bytes(self) -> int:
        return self._cache.held_bytes

    def __contains__(self, key: Hashable) -> bool:
        return (self._identity, key) in self._cache

    def get(self, key: Hashable) -> FrameFeatures | None:
        return self._cache.get((self._identity, key))

    def put(self, key: Hashable, features: FrameFeatures) -> None:
        self._cache.put((self._identity, key), features)
