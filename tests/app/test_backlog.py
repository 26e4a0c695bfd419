"""Time acts only after the news that came before."""

from __future__ import annotations

from dataclasses import dataclass

from baylight.app.backlog import BOUND_S, QUIET_S, Backlog


@dataclass
class Reader:
    connected: bool = False
    waiting: int = 0


@dataclass
class Site:
    at: float = 0.0
    stores: bool = True

    def __post_init__(self) -> None:
        self.reader = Reader()
        self.backlog = Backlog([self.reader], lambda: self.stores, lambda: self.at)

    def after(self, seconds: float) -> bool:
        self.at += seconds
        return self.backlog.is_read()


def test_a12_after_a_start_time_waits_until_the_backlog_is_read() -> None:
    site = Site()
    assert not site.after(1)
    site.reader.connected, site.reader.waiting = True, 5
    assert not site.after(1)
    site.reader.waiting = 0
    assert not site.after(1)
    assert site.after(QUIET_S)
    site.reader.waiting = 100
    assert site.after(1), "a busy process is not behind"


def test_a12_a_lost_broker_or_database_closes_the_gate_again() -> None:
    site = Site()
    site.reader.connected = True
    site.after(1)
    assert site.after(QUIET_S)
    for end, begin in ((setattr, (site.reader, "connected")), (setattr, (site, "stores"))):
        end(*begin, False)
        assert not site.after(1)
        end(*begin, True)
        assert not site.after(1)
        assert site.after(QUIET_S)


def test_a12_the_gate_opens_after_a_bound() -> None:
    site = Site()
    assert not site.after(BOUND_S - 1)
    assert site.after(1)
