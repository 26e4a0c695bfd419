"""The command line `baylight`: one module per group of commands, named after what the group works on.

Commands only parse words, call one function of a service, and print what it returns; rules are in the services.
Start at `main.py`, which puts the groups together; `run.py` opens the connection and prints, `options.py` has the
arguments and options that commands share, `aliases.py` the former names of commands.
"""

from __future__ import annotations

from baylight.cli.main import app


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 something was found, 2 change your input, 3 try later."""
    app()
