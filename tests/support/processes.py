"""Processes of `baylight serve`, and what must be so after all of them.

Run as a module, this is `baylight serve` with short times. It reports when its imports are done, and waits for the
word `go`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from baylight import log
from baylight.app import program
from baylight.domain.policies import Policies
from baylight.settings import Settings
from baylight.store.pool import Pool
from tests.support.eventually import until

if TYPE_CHECKING:
    from tests.support.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
UPLINKS = "SELECT count(*) FROM uplinks WHERE outcome <> 'unknown_device'"
NOT_ONCE = {
    "a change without its one actuation": """
        SELECT count(*) FROM state_changes AS c
        WHERE (SELECT count(*) FROM actuations AS a WHERE a.space_id = c.space_id AND a.created_at = c."timestamp"
               AND a.new_state = c.new_state) <> 1
        """,
    "a break in the chain of states": """
        SELECT count(*) FROM (
            SELECT previous_state, lag(new_state) OVER (PARTITION BY space_id ORDER BY id) AS before FROM state_changes
        ) AS chain WHERE before <> previous_state
        """,
    "one try made twice": """
        SELECT count(*) FROM (
            SELECT 1 FROM actuation_events WHERE kind = 'sending' GROUP BY actuation_id, attempt HAVING count(*) > 1
        ) AS twice
        """,
    "two outstanding": """
        SELECT count(*) FROM (
            SELECT 1 FROM actuations WHERE status IN ('sending', 'queued')
            GROUP BY display_device_id HAVING count(*) > 1
        ) AS two
        """,
    "an older command handed over after a newer one": """
        SELECT count(*) FROM (
            SELECT sent_at, lag(sent_at) OVER (PARTITION BY display_device_id ORDER BY id) AS before
            FROM actuations WHERE sent_at IS NOT NULL
        ) AS sent WHERE before > sent_at
        """,
}


class Child:
    """Child process. `output`: file of its log."""

    def __init__(self, settings: Settings, output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.processes"],
                cwd=ROOT,
                env=environment(settings),
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


async def all_stored(stage: Stage) -> None:
    """Wait until every uplink that was sent is stored once. Lights may go on reporting meanwhile."""
    sent = stored = 0

    async def equal() -> bool:
        nonlocal sent, stored
        await stage.fake.settled()
        sent, stored = stage.park.sent.distinct, await stage.pool.fetchval(UPLINKS)
        return stored == sent

    await until(equal, lambda: f"{stored} of {sent} uplinks", every_s=0.02)


async def nothing_was_done_twice(pool: Pool) -> None:
    """Check that each change has one actuation, no command was sent by two, and none overtook a newer one."""
    assert [what for what, sql in NOT_ONCE.items() if await pool.fetchval(sql)] == []


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of a process with these settings."""
    shown = {
        f"BAYLIGHT_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump().items()
        if value is not None
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAYLIGHT_")}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONWARNINGS": "ignore"} | shown


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
