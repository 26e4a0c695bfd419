"""Examines an installation: the invariants of the data, and what a person should look after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from baylight.codecs.all import display_driver, reports
from baylight.domain.state import Policy, decide
from baylight.errors import BaylightError, InputError
from baylight.insight import why
from baylight.store import migrate
from baylight.store.pool import Connection
from baylight.store.query import queries

SHOWN = 5
PAGE = 500
ERROR_RATIO = 0.05
FEWEST_UPLINKS = 20
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """`what_to_do` is empty where nothing has to be done."""

    check: str
    ok: bool
    detail: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class _Check:
    """A query of doctor.sql that names what is wrong, in column `who`. `timed`: it takes now."""

    name: str
    query: str
    good: str
    what_to_do: str
    timed: bool = False


_REPORT = "this must not happen: keep a dump of the database and report it"
_CHECKS = (
    _Check("copies of DevEUIs", "copies_differ", "agree with the registries", _REPORT),
    _Check("assignments", "assignments_differ", "agree with the spaces", _REPORT),
    _Check("reservations", "reservations_overlap", "none overlap", _REPORT),
    _Check("outstanding commands", "several_outstanding", "at most one for each display", _REPORT),
    _Check("last readings", "readings_differ", "agree with the stored uplinks", _REPORT, timed=True),
    _Check("causes", "causes_missing", "each change of the last week has one", _REPORT, timed=True),
    _Check("default partitions", "in_default_partition", "empty", "run `baylight serve`: it makes the partitions"),
    _Check(
        "partitions", "partitions_missing", "this month's and the next one's are there",
        "run `baylight serve`: it makes them hourly", timed=True,
    ),
    _Check(
        "work in time", "overdue", "nothing is overdue",
        "is `baylight serve` running, and does it reach the network server?", timed=True,
    ),
    _Check(
        "display codes", "misconfigured", "each display has a code for what it must show",
        "add the code with `baylight device codes`, or enable the display",
    ),
    _Check(
        "displays", "not_showing", "each shows what it must, as far as known",
        "check power and radio of these displays; `baylight why <space>` shows each step",
    ),
    _Check(
        "devices never heard", "never_heard", "none",
        "check that the network server knows their DevEUIs and keys, and that they have joined",
    ),
    _Check("silent sensors", "silent", "none", "check battery and radio of these sensors"),
    _Check(
        "unregistered devices", "unknown_devices", "none heard in the last day",
        "see `baylight orphan list`; then `baylight orphan claim` or `ignore`", timed=True,
    ),
    _Check(
        "rejected messages", "rejected", "none in the last day",
        "see table rejected_messages; is the network server's integration set to JSON?", timed=True,
    ),
)  # fmt: skip


async def examine(connection: Connection, *, now: datetime, policy: Policy) -> list[Finding]:
    """All checks on one consistent moment; writes nothing. A wrong schema ends it after the first finding."""
    try:
        await migrate.check(connection)
    except InputError as error:
        return [Finding("schema", False, error.message)]
    findings = [Finding("schema", True, "is the one of this version"), await _takes_changes(connection)]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for check in _CHECKS:
            rows = await connection.fetch(queries("insight.doctor")[check.query], *([now] if check.timed else []))
            findings.append(_finding(check.name, [row["who"] for row in rows], check.good, check.what_to_do))
        findings.append(await _in_sync(connection))
        findings.append(await _replay(connection, now, policy))
        findings.append(await _error_ratio(connection, now))
    return findings


async def reach(pings: Mapping[str, Callable[[], Awaitable[None]]]) -> list[Finding]:
    """Whether what is outside answers; each ping raises BaylightError in plain words if it does not."""
    findings = []
    for name, ping in pings.items():
        try:
            await ping()
            findings.append(Finding(name, True, "answers"))
        except BaylightError as error:
            findings.append(Finding(name, False, error.message, "check its address and credentials in the settings"))
    return findings


async def _takes_changes(connection: Connection) -> Finding:
    if not await connection.fetchval(queries("insight.doctor")["read_only"]):
        return Finding("database", True, "takes changes")
    detail = "takes no changes: it is a standby, or its default_transaction_read_only is on"
    return Finding("database", False, detail, "let BAYLIGHT_DATABASE_URL name the one that takes changes")


async def _in_sync(connection: Connection) -> Finding:
    """Invariant 5: in sync means proven as far as the device can prove it."""
    wrong = []
    for row in await connection.fetch(queries("insight.doctor")["in_sync"]):
        driver = display_driver(row["codec"])
        desired, reported = row["desired_code"], row["reported_code"]
        if desired is None:
            proven = False
        elif reports(row["codec"], row["reports"]):
            proven = reported is not None and (
                driver.shows(bytes.fromhex(desired), bytes.fromhex(reported)) if driver else desired == reported
            )
        else:
            proven = row["status"] in ("transmitted", "acknowledged")
        if not proven:
            wrong.append(row["dev_eui"])
    return _finding("displays in sync", wrong, "each has proven it", _REPORT)


async def _replay(connection: Connection, now: datetime, policy: Policy) -> Finding:
    """Invariant 6: the stored readings, reservations and overrides give today's state of every space."""
    wrong: list[str] = []
    after: str | None = None
    while page := await why.evaluated_spaces(connection, now, after=after, limit=PAGE):
        after = page[-1].code
        for space in page:
            state = decide(space.inputs, policy, now).state
            due = space.recompute_at is not None and now - LATE <= space.recompute_at <= now
            if state is not space.state and not due:
                wrong.append(f"{space.code}: {space.state} but the rules say {state}")
    return _finding("states of spaces", wrong, "follow from the stored inputs", _REPORT)


async def _error_ratio(connection: Connection, now: datetime) -> Finding:
    """Incident B5: every uplink failed, and nobody was told."""
    row = await connection.fetchrow(queries("insight.doctor")["error_ratio"], now)
    assert row is not None
    uplinks, failed = row["uplinks"], row["failed"]
    bad = uplinks >= FEWEST_UPLINKS and failed > ERROR_RATIO * uplinks
    detail = f"{failed} of {uplinks} uplinks of the last day could not be decoded"
    return Finding("decoding", not bad, detail, "check the device types: see uplinks.error" if bad else "")


def _finding(check: str, wrong: Sequence[str], good: str, what_to_do: str) -> Finding:
    if not wrong:
        return Finding(check, True, good)
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return Finding(check, False, f"{len(wrong)}: {', '.join(wrong[:SHOWN])}{more}", what_to_do)
