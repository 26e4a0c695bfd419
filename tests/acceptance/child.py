"""`baylight serve` in a process of its own, with short times; it begins when a line comes on standard input, so that
its imports are over by then."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from baylight import app, log
from baylight.embedded.account import ends_with_parent
from baylight.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """`output`: where its log goes."""

    def __init__(self, settings: Settings, output: Path) -> None:
        shown = {
            f"BAYLIGHT_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        }
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.child"],
                cwd=ROOT,
                env=_environment(shown),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                preexec_fn=ends_with_parent(signal.SIGKILL),
            )

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
        self.process.kill()
        self.end()

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.end()

    def end(self) -> int:
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.process.wait(30)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAYLIGHT_")}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONWARNINGS": "ignore"} | dict(more)


def main() -> None:
    patient = app.loop_policy_of

    def impatient(settings: Settings) -> app.LoopPolicy:
        return replace(patient(settings), lease=timedelta(seconds=2), backoff=timedelta(seconds=0.2))

    app.loop_policy_of = impatient
    settings = Settings()
    log.configure(level=settings.log_level)
    if sys.stdin.readline():
        asyncio.run(app.serve(settings))


if __name__ == "__main__":
    main()
