"""The command line: `baylight --help`."""

from __future__ import annotations

from baylight.cli.main import app


def main() -> None:
    """Entry point. Exit codes: 0 well, 1 something was found, 2 change your input, 3 try later."""
    app()
