"""XMem's memories: what is written, how it is read, what is kept."""

from imos_engine.memory.store import MemoryStore

__all__ = ["MemoryStore"]
