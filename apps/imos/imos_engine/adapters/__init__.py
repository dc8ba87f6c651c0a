"""Adapter versions: a bank of them on disk, which one serves a request, and the gate before a new one does."""

from imos_engine.adapters.bank import AdapterBank, AdapterError, AdapterVersion
from imos_engine.adapters.card import Card, LearnedCase

__all__ = ["AdapterBank", "AdapterError", "AdapterVersion", "Card", "LearnedCase"]
