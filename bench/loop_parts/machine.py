"""Load of the machine during a scenario: whether the benchmark's own process kept time."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

_EVERY_S = 0.02
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Lag:
    """How late the benchmark's event loop is: the simulated radio, the lamps and the clock of the figures run on it.

    `used_s`: CPU seconds of the benchmark and of the watched process, since run() began.
    """

    pid: int
    late_s: list[float] = field(default_factory=list)
    began: float = 0.0
    _used: tuple[float, float] = (0.0, 0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        self.began, self._used = time.monotonic(), (time.process_time(), cpu_s(self.pid))
        due = self.began
        while True:
            due = max(due + _EVERY_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self.late_s.append(time.monotonic() - due)

    @property
    def p99_s(self) -> float:
        return statistics.quantiles(self.late_s, n=100)[98] if len(self.late_s) > 1 else 0.0

    def load(self) -> tuple[float, float]:
        """Return the shares of one core that the benchmark and the watched process used."""
        seconds = max(time.monotonic() - self.began, 1e-6)
        own, watched = self._used
        return (time.process_time() - own) / seconds, (cpu_s(self.pid) - watched) / seconds


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S
