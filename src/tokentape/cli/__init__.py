"""The command line: `tokentape`, or `python -m tokentape`."""

from tokentape.cli.app import main

__all__ = ["main"]
