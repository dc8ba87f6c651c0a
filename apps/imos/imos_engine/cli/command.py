"""`imos`: its subcommands, and what a failure looks like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from imos_engine.cli import adapters, calibrate, evaluate, fetch, propagate, train, train_prompts

FAILED = 1  # exit code; argparse itself exits with 2 for a command line it cannot read
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: the command line without the program's name; None takes the process's own.

    Returns:
        0, or another exit code after one sentence on the standard error stream.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        reason = str(error).strip() or type(error).__name__
        print(f"imos {options.command}: {' '.join(reason.split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or "nothing was written"
        print(f"imos {options.command}: interrupted, {kept}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imos",
        description="Annotate one slice, get the volume.",
        epilog="`imos COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"imos {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for module in (propagate, evaluate, train, train_prompts, calibrate, fetch, adapters):
        module.add_command(commands)
    return parser


def _version() -> str:
    try:
        return version("imos-engine")
    except PackageNotFoundError:  # the app's folder was copied, not installed
        return "(not installed as a package)"
