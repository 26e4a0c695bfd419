"""Examine an installation: the invariants of the data, and what needs the attention of a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.access import service_users
from baylight.codecs.all import display_driver, reports
from baylight.control.gateways import list_used
from baylight.domain.airtime import NEARLY_USED
from baylight.domain.conditions import KINDS, ConditionKind
from baylight.domain.state import Policy, decide
from baylight.errors import BaylightError, InputError
from baylight.insight import codec_checks, services, why
from baylight.store import migrate
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_NAMED = 5
"""Things that a finding names; the others are counted."""
PAGE_SIZE = 500
MAX_ERROR_RATIO = 0.05
DUE_WINDOW = timedelta(minutes=1)
"""Time within which a state that is due must be recomputed."""
SLOW_CLASS_C_S = 0.4
"""Median from queued to tx_ack above which ChirpStack's scheduler is slow: its default interval of 1 s gives 0.5."""
BATCH_SIZE = 100
"""Devices that ChirpStack's scheduler tries in an interval by default: more that cannot be reached stop the others."""
MAX_COMMANDS = 10_000
"""Number of commands that the median is made of: the newest of the last day."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check. `what_to_do` is empty if nothing has to be done; with `ok` it is advice."""

    check: str
    ok: bool
    detail: str
    what_to_do: str = ""


class InSync(NamedTuple):
    """A display that counts as in sync, with the evidence. `status`: of its last command.

    `contradicted`: another light may have reached it after its report.
    """

    dev_eui: str
    codec: str
    reports: bool
    desired_code: str | None
    reported_code: str | None
    status: str | None
    contradicted: bool


class ClassC(NamedTuple):
    """Displays behind ChirpStack, and how long their commands of the last day waited from queued to tx_ack."""

    displays: int
    commands: int
    median_s: float | None


class DecodingErrors(NamedTuple):
    """Number of uplinks of the last day, and of those that could not be decoded.

    `devices`: those of which at least half could not.
    """

    uplinks: int
    failed: int
    devices: list[str]


@dataclass(frozen=True, slots=True)
class _Check:
    """A query whose rows name what is wrong. `good`: the detail if there are none."""

    name: str
    wrong: Query[str]
    good: str
    what_to_do: str


READ_ONLY = Query("insight.doctor.read_only", bool)
IN_SYNC = Query("insight.doctor.in_sync", InSync)
ERROR_RATIO = Query("insight.doctor.error_ratio", DecodingErrors)
GATEWAYS_WRONG = Query("insight.doctor.gateways_wrong", str)
CLASS_C = Query("insight.doctor.class_c", ClassC)
_K = ConditionKind
_ADDRESS = "check its address and credentials in the settings"
_REMEDIES = {"network_server_key_refused": KINDS[_K.NETWORK_SERVER_KEY_REFUSED].remedy}
_MAKE_SERVICE_USER = "make a user for `baylight serve` with `baylight db service-user <name>`"
_REPORT = "this must not happen: keep a dump of the database and report it"
_CHECKS = (
    _Check("copies of DevEUIs", Query("insight.doctor.copies_differ", str), "agree with the registries", _REPORT),
    _Check("assignments", Query("insight.doctor.assignments_differ", str), "agree with the spaces", _REPORT),
    _Check("reservations", Query("insight.doctor.reservations_overlap", str), "none overlap", _REPORT),
    _Check(
        "outstanding commands", Query("insight.doctor.several_outstanding", str), "at most one for each display",
        _REPORT,
    ),
    _Check("last readings", Query("insight.doctor.readings_differ", str), "agree with the stored uplinks", _REPORT),
    _Check("causes", Query("insight.doctor.causes_missing", str), "each change of the last week has one", _REPORT),
    _Check(
        "default partitions", Query("insight.doctor.in_default_partition", str), "empty",
        "run `baylight serve`: it makes the partitions",
    ),
    _Check(
        "partitions", Query("insight.doctor.partitions_missing", str), "this month's and the next one's exist",
        "run `baylight serve`: it makes them hourly",
    ),
    _Check(
        "work in time", Query("insight.doctor.overdue", str), "nothing is overdue",
        "is `baylight serve` running, and does it reach the network server?",
    ),
    _Check(
        "display codes", Query("insight.doctor.misconfigured", str), "each display has a code for what it must show",
        "add the code with `baylight device codes`, or enable the display",
    ),
    _Check(
        "displays", Query("insight.doctor.not_showing", str), "each shows what it must, as far as known",
        "`baylight condition list --subject display` shows the remedy of each; `baylight why <space>` shows each step",
    ),
    _Check(
        "devices without uplinks", Query("insight.doctor.without_uplink", str), "none",
        "check that the network server has their DevEUIs and keys, and that they have joined",
    ),
    _Check(
        "silent sensors", Query("insight.doctor.silent", str), "none", "check battery and radio of these sensors"
    ),
    _Check(
        "batteries", Query("insight.doctor.batteries_low", str), "none is known to be low",
        "change the battery or the device; `baylight device show` has the last value",
    ),
    _Check(
        "signal", Query("insight.doctor.signal_bad", str), "none is known to be bad",
        "move the device, or add a gateway; `baylight device signal` compares the signal with what the device needs",
    ),
    _Check(
        "unproven spaces", Query("insight.doctor.unproven", str), "none: no newer reading is known to be missing",
        "`baylight why <space>` shows the reason; the next report of the sensor ends the mark",
    ),
    _Check(
        "conditions of sensors", Query("insight.doctor.sensors_wrong", str), "none last",
        "`baylight condition list --subject sensor` shows the remedy of each",
    ),
    _Check(
        "uplinks to decode", Query("insight.doctor.to_decode", str), "none has waited for longer than 30 s",
        "see `baylight why <space>`; is `baylight serve` running?",
    ),
    _Check(
        "unregistered devices", Query("insight.doctor.unknown_devices", str), "none in the last day",
        "see `baylight orphan list`; then `baylight orphan claim` or `ignore`",
    ),
    _Check(
        "rejected messages", Query("insight.doctor.rejected", str), "none in the last day",
        "see table rejected_messages; is the network server's integration set to JSON?",
    ),
)  # fmt: skip


async def examine(connection: Connection, *, now: datetime, policy: Policy) -> list[Finding]:
    """Run all checks on one consistent moment; write nothing. With a wrong schema only the first check runs."""
    try:
        await migrate.check(connection)
    except InputError as error:
        return [Finding("schema", False, error.message)]
    findings = [
        Finding("schema", True, "is the one of this version"),
        await _accepts_changes(connection),
        await _account(connection),
    ]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for check in _CHECKS:
            timed = {"now": now} if check.wrong.parameters else {}
            wrong = await check.wrong.all(connection, **timed)
            findings.append(_finding(check.name, wrong, check.good, check.what_to_do))
        findings.append(
            _finding(
                "lights",
                await codec_checks.lights_alike(connection),
                "no state looks like FREE",
                "give these states other codes with `baylight device codes`",
            )
        )
        findings.append(
            _finding(
                "codec examples",
                await codec_checks.mappings_not_proven(connection),
                "prove OCCUPIED and FREE",
                "add a version with such examples, and activate it",
            )
        )
        findings.append(await _in_sync(connection))
        findings.append(await _replay(connection, now, policy))
        findings.append(await _error_ratio(connection, now))
        findings += [await check(connection, now) for check in (_gateways, _airtime, _class_c)]
        findings += await _services(connection)
    return findings


async def reach(pings: Mapping[str, Callable[[], Awaitable[None]]]) -> list[Finding]:
    """Ping other programs. A ping raises BaylightError in plain words if there is no answer."""
    findings = []
    for name, ping in pings.items():
        try:
            await ping()
            findings.append(Finding(name, True, "answers"))
        except BaylightError as error:
            findings.append(Finding(name, False, error.message, _REMEDIES.get(error.code, _ADDRESS)))
    return findings


async def check_servers(connection: Connection, set_up: Collection[str]) -> Finding:
    """Check that each display is reached through a network server that is set up."""
    counts = await services.count_displays(connection)
    wrong = [f"{count} displays through {name}" for name, count in sorted(counts.items()) if name not in set_up]
    if not wrong:
        return Finding("network servers", True, "each that displays need is set up")
    return Finding("network servers", False, f"not set up: {', '.join(wrong)}", KINDS[_K.NETWORK_SERVER_NOT_SET].remedy)


async def _services(connection: Connection) -> list[Finding]:
    """Report the conditions of services that a running `baylight serve` sees."""
    return [
        Finding(
            f"service {c.subject_id}",
            False,
            f"{_words(c.kind)} since {c.since:%Y-%m-%d %H:%M:%S} UTC: {c.evidence}",
            KINDS[c.kind].remedy,
        )
        for c in await services.list_conditions(connection)
    ] or [Finding("services", True, "`baylight serve` reports no condition of them")]


def _words(kind: ConditionKind) -> str:
    return kind.replace("_", " ")


async def _accepts_changes(connection: Connection) -> Finding:
    if not await READ_ONLY.one(connection):
        return Finding("database", True, "accepts changes")
    detail = "accepts no changes: it is a standby, or its default_transaction_read_only is on"
    return Finding("database", False, detail, "let BAYLIGHT_DATABASE_URL name the one that accepts changes")


async def _account(connection: Connection) -> Finding:
    """Report whether Baylight runs as the owner of the schema, a service user, or a superuser."""
    account = await service_users.get_account(connection)
    assert account is not None, "the schema was checked before"
    if account.is_superuser:
        detail = f"{account.name} is a superuser: it can change and delete everything on the server"
        return Finding("database user", True, detail, _MAKE_SERVICE_USER)
    if account.owns:
        detail = f"{account.name} owns the schema: it can change and delete the history"
        return Finding("database user", True, detail, _MAKE_SERVICE_USER)
    if wrong := await service_users.find_differences(connection, account.name):
        what_to_do = f"run `baylight db service-user {account.name}` as the owner, {account.owner}"
        return Finding(
            "database user", False, f"{account.name} lacks, or has too many, rights: {_named(wrong)}", what_to_do
        )
    kept = await service_users.get_kept(connection)
    detail = (
        f"{account.name} is a service user: it cannot change the schema or the history, nor drop the last "
        f"{kept.uplink_months} months of uplinks and {kept.actuation_months} months of actuations"
    )
    return Finding(
        "database user", True, detail, f"for `baylight db upgrade` use the address of the owner, {account.owner}"
    )


async def _in_sync(connection: Connection) -> Finding:
    """Check invariant 5: a display in sync has proven it as far as it can."""
    wrong = [row.dev_eui for row in await IN_SYNC.all(connection) if not _proven(row)]
    return _finding("displays in sync", wrong, "each has proven it", _REPORT)


def _proven(row: InSync) -> bool:
    if row.desired_code is None:
        return False
    if not reports(row.codec, row.reports):
        return row.status in ("transmitted", "acknowledged")
    if row.reported_code is None or row.contradicted:
        return False
    driver = display_driver(row.codec)
    if driver is None:
        return row.desired_code == row.reported_code
    return driver.shows(bytes.fromhex(row.desired_code), bytes.fromhex(row.reported_code))


async def _replay(connection: Connection, now: datetime, policy: Policy) -> Finding:
    """Check invariant 6: the stored readings, reservations and overrides give the present state of each space."""
    wrong: list[str] = []
    after: str | None = None
    while page := await why.evaluated_spaces(connection, now, after=after, limit=PAGE_SIZE):
        after = page[-1].code
        for space in page:
            state = decide(space.inputs, policy, now).state
            due = space.recompute_at is not None and now - DUE_WINDOW <= space.recompute_at <= now
            if state is not space.state and not due:
                wrong.append(f"{space.code}: {space.state} but by the rules {state}")
    return _finding("states of spaces", wrong, "follow from the stored inputs", _REPORT)


async def _error_ratio(connection: Connection, now: datetime) -> Finding:
    """Check that uplinks can be decoded: all together, and those of each device, which are few among all."""
    uplinks, failed, devices = await ERROR_RATIO.one(connection, now=now)
    bad = bool(devices) or failed > MAX_ERROR_RATIO * uplinks
    detail = f"{failed} of {uplinks} uplinks of the last day could not be decoded"
    if devices:
        more = f" and {len(devices) - MAX_NAMED} more" if len(devices) > MAX_NAMED else ""
        detail += f"; at least half of those of {', '.join(devices[:MAX_NAMED])}{more}"
    return Finding("decoding", not bad, detail, "check the device types: see uplinks.error" if bad else "")


async def _gateways(connection: Connection, _: datetime) -> Finding:
    wrong = await GATEWAYS_WRONG.all(connection)
    advice = "follow the reason of the gateway; `baylight gateway show` has its remedy"
    return _finding("gateways", wrong, "each acknowledges its downlinks, as far as known", advice)


async def _airtime(connection: Connection, now: datetime) -> Finding:
    """Name the gateways that used the largest shares of the airtime that their sub-bands allow in an hour."""
    used = sorted(await list_used(connection, now), key=lambda u: (-u.share, -u.airtime_ms))
    if not used:
        return Finding("airtime", True, "no downlink in the last hour")
    more = f", and {len(used) - MAX_NAMED} more" if len(used) > MAX_NAMED else ""
    detail = "; ".join(f"{u.gateway_id} {u.in_words()}" for u in used[:MAX_NAMED]) + more
    full = used[0].share >= NEARLY_USED
    return Finding("airtime", not full, detail, "set a faster RX2 data rate, or add a gateway" if full else "")


async def _class_c(connection: Connection, now: datetime) -> Finding:
    """Name the interval of ChirpStack's class C scheduler as it is seen, and the settings that make it quick."""
    displays, commands, median_s = await CLASS_C.one(connection, now=now, limit=MAX_COMMANDS)
    detail = "no command was acknowledged by a gateway in the last day"
    if median_s is not None:
        detail = (
            f"a gateway acknowledges a command {median_s:.2f} s after it is queued (median of {commands}, last day)"
        )
    slow, large = median_s is not None and median_s > SLOW_CLASS_C_S, displays > BATCH_SIZE
    settings = []
    if slow or large:
        settings = ['interval = "100ms"', 'class_c_lock_duration = "2s"', 'class_a_lock_duration = "2s"']
    if large:
        detail += f"; {displays} displays"
        settings.append(f"batch_size = {-(-displays // 1000) * 1000}")
    advice = f"set in [network.scheduler] of ChirpStack: {', '.join(settings)}" if settings else ""
    return Finding("class C", True, detail, advice)


def _finding(check: str, wrong: Sequence[str], good: str, what_to_do: str) -> Finding:
    if not wrong:
        return Finding(check, True, good)
    return Finding(check, False, f"{len(wrong)}: {_named(wrong)}", what_to_do)


def _named(wrong: Sequence[str]) -> str:
    more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
    return ", ".join(wrong[:MAX_NAMED]) + more
