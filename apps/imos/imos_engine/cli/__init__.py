"""The `imos` command."""

from imos_engine.cli.command import main

__all__ = ["main"]
