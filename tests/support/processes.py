"""Process of `baylight serve` with short times. It reports when its imports are done, and waits for the word `go`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from baylight import log
from baylight.app import program
from baylight.domain.policies import Policies
from baylight.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """Child process. `output`: file of its log."""

    def __init__(self, settings: Settings, output: Path) -> None:
        shown = {
            f"BAYLIGHT_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        }
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.child"],
                cwd=ROOT,
                env=_environment(shown),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )

    def go(self) -> None:
        """Block until the imports of the child are done, then let it run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def connected(self) -> bool:
        """Return whether this child, or one before it with the same output, has subscribed at the broker."""
        return b"broker_connected" in self.output.read_bytes()

    def kill(self) -> None:
        """Send SIGKILL. Idempotent."""
        self.process.kill()
        self.end()

    def terminate(self) -> int:
        """Send SIGTERM. Return the exit code."""
        self.process.terminate()
        return self.end()

    def end(self) -> int:
        code = self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAYLIGHT_")}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONWARNINGS": "ignore"} | dict(more)


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    patient = program.policies_of

    def impatient(settings: Settings) -> Policies:
        chosen = patient(settings)
        return replace(chosen, loop=replace(chosen.loop, lease=timedelta(seconds=2), backoff=timedelta(seconds=0.2)))

    program.policies_of = impatient
    settings = Settings()
    log.configure(level=settings.log_level)
    print("ready", flush=True)
    if sys.stdin.readline():
        threading.Thread(target=end_with_parent, daemon=True).start()
        asyncio.run(program.serve(settings))


if __name__ == "__main__":
    main()
