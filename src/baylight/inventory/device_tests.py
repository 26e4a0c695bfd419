"""Proving that devices on their place do what they must: a light that shows a pattern, a car that turns the light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from baylight.access.change import Change
from baylight.codecs.all import display_driver, reports
from baylight.codecs.registry import DisplayDriver
from baylight.codecs.ts013 import PREFIX
from baylight.control import displays
from baylight.domain.display import Light, distinguishable, parse_light
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError, InputError, NotFoundError, shorten
from baylight.inventory import assignments
from baylight.inventory.devices import Role
from baylight.inventory.display_codes import check_codes, parse_code
from baylight.store.pool import Connection
from baylight.store.query import queries

PATTERN_WAIT = timedelta(minutes=2)
PAIR_LIMIT = timedelta(seconds=30)
PAIR_WAIT = timedelta(minutes=5)
_PATTERNS = (
    "white, flashing 500/500",
    "purple, flashing 500/500",
    "blue, flashing 1000/1000",
    "white",
    "purple",
    "blue",
)
_LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class DeviceTest:
    """`kind`: `pattern` (the display shows a light) or `pair` (a car comes or goes, the light follows). `result`:
    `running`, `passed`, `failed`; `seconds` from the decision to the proof of the light, `within_s` most of them."""

    id: UUID
    kind: str
    space: str
    sensor: str | None
    display: str
    started_at: datetime
    deadline_at: datetime
    within_s: float
    ended_at: datetime | None
    result: str
    detail: str | None
    seconds: float | None
    actuation_id: UUID | None
    code: str | None
    actor: str


async def create_pattern_test(
    change: Change, dev_eui: str, *, light: str | None = None, wait: timedelta = PATTERN_WAIT
) -> DeviceTest:
    """Lets a display show a light that means nothing, for some seconds; what it must show comes back after.

    `light`: hex or a light in words; without, one that cannot be taken for what it shows. The result comes with `look`.
    Raises NotFoundError; InputError `bad_light`, `bad_display_code`, `no_pattern`; ConflictError `serves_nothing`.
    """
    test_id = uuid4()
    device = await assignments.find_device(change.connection, dev_eui, "display")
    async with change.transaction():
        display, row, driver = await _lock_display(change, device["id"])
        code = _named(driver, row, light) if light else _pattern(driver, row["display_codes"], display.desired_code)
        actuation = display.command(
            _space_of(display),
            code.hex(),
            trigger=TriggerType.DEVICE_TEST,
            source=str(test_id),
            now=change.now,
            f_port=None,
        )
        await displays.save(change.connection, [display])
        await change.connection.execute(
            queries("inventory.device_tests")["insert"],
            test_id,
            "pattern",
            display.space_id,
            None,
            display.id,
            actuation.id,
            change.now,
            change.now + wait,
            wait.total_seconds(),
            change.actor,
        )
        await change.record("display.test", "display", display.id, after={"code": code.hex()})
    return await get_test(change.connection, test_id, now=change.now)


async def create_pair_test(
    change: Change, code: str, *, within: timedelta = PAIR_LIMIT, wait: timedelta = PAIR_WAIT
) -> DeviceTest:
    """From now on: the next change that the sensor of a space makes must reach its light `within` that time. Somebody
    has to drive on or off within `wait`.

    Raises NotFoundError `unknown_space`, ConflictError `serves_nothing` if the space lacks one of the two.
    """
    test_id = uuid4()
    async with change.transaction():
        space = await change.connection.fetchrow(queries("inventory.device_tests")["pair"], code)
        if space is None:
            raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
        for role in ("sensor", "display"):
            if space[f"{role}_device_id"] is None:
                raise ConflictError("serves_nothing", f"{code} has no {role}", space=code)
        await change.connection.execute(
            queries("inventory.device_tests")["insert"],
            test_id,
            "pair",
            space["id"],
            space["sensor_device_id"],
            space["display_device_id"],
            None,
            change.now,
            change.now + wait,
            within.total_seconds(),
            change.actor,
        )
        await change.record("space.pair_test", "space", space["id"], after={"test": str(test_id)})
    return await get_test(change.connection, test_id, now=change.now)


async def get_test(connection: Connection, test_id: UUID, *, now: datetime) -> DeviceTest:
    """A test and its result, as far as it is certain. Raises NotFoundError `unknown_test`."""
    async with connection.transaction():
        row = await connection.fetchrow(queries("inventory.device_tests")["lock"], test_id)
        if row is None:
            raise NotFoundError("unknown_test", f"there is no test {test_id}", test=str(test_id))
        await _end_if_certain(connection, row, now)
    return (await list_tests(connection, test_id=test_id, limit=1))[0]


async def end_due(connection: Connection, now: datetime) -> int:
    """Ends the tests whose result is certain; returns how many. What another process looks at is left to it."""
    async with connection.transaction():
        running = await connection.fetch(queries("inventory.device_tests")["lock_running"])
        return sum([await _end_if_certain(connection, row, now) for row in running])


async def _end_if_certain(connection: Connection, test: Any, now: datetime) -> bool:
    """The result is stored once. Devices that passed become active."""
    if test["result"] != "running":
        return False
    verdict = await (_look_at_pattern if test["kind"] == "pattern" else _look_at_pair)(connection, test, now)
    if verdict is None:
        return False
    result, detail, seconds, actuation_id = verdict
    ended_at = max(now, test["started_at"])
    await connection.execute(
        queries("inventory.device_tests")["end"], test["id"], result, detail, seconds, ended_at, actuation_id
    )
    if result == "passed":
        await _activate(connection, test)
    return True


async def list_tests(
    connection: Connection,
    *,
    test_id: UUID | None = None,
    device: str | None = None,
    role: Role | None = None,
    space: str | None = None,
    limit: int = 100,
) -> list[DeviceTest]:
    """The newest first, of a device (DevEUI) or a space (code)."""
    device_id = (await assignments.find_device(connection, device, role))["id"] if device is not None else None
    rows = await connection.fetch(queries("inventory.device_tests")["list"], test_id, device_id, space, limit)
    return [DeviceTest(**row) for row in rows]


async def send(
    change: Change, dev_eui: str, payload: str, *, reason: str, f_port: int | None = None, permit_unsafe: bool = False
) -> UUID:
    """Sends bytes (hex) to a display as they are; the id of the actuation. What it must show is sent again afterwards.

    Raises InputError `unsafe_payload` for what is not a light of its driver, unless permitted (such bytes can
    reconfigure a device for good), `bad_payload`, `bad_f_port`; ConflictError `serves_nothing`.
    """
    try:
        data = bytes.fromhex(payload)
    except ValueError as error:
        raise InputError("bad_payload", f"{shorten(payload)!r} is not hex digits in pairs") from error
    if not 1 <= len(data) <= 242:
        raise InputError("bad_payload", f"a downlink has 1 to 242 bytes, not {len(data)}")
    if f_port is not None and not 1 <= f_port <= 223:
        raise InputError("bad_f_port", "an FPort is 1 to 223", f_port=f_port)
    device = await assignments.find_device(change.connection, dev_eui, "display")
    async with change.transaction(reason=reason):
        display, row, driver = await _lock_display(change, device["id"])
        safe = _is_light(driver, row, data) and f_port in (None, display.f_port)
        if not safe and not permit_unsafe:
            raise InputError(
                "unsafe_payload",
                f"{data.hex()} is no light of this display: such bytes can reconfigure or brick it. "
                "Permit it explicitly if you are sure",
                dev_eui=device["dev_eui"],
            )
        actuation = display.command(
            _space_of(display),
            data.hex(),
            trigger=TriggerType.DEVICE_COMMAND,
            source=change.actor[:100],
            now=change.now,
            f_port=f_port,
        )
        await displays.save(change.connection, [display])
        after = {"payload": data.hex(), "f_port": actuation.f_port, "permitted_unsafe": not safe, "reason": reason}
        await change.record("display.send", "display", display.id, after=after)
    if actuation.error:
        raise ConflictError("not_sent", actuation.error, dev_eui=device["dev_eui"])
    return actuation.id


async def _lock_display(change: Change, display_id: UUID) -> tuple[Display, Any, DisplayDriver | None]:
    """No driver: it has a JavaScript codec."""
    connection = change.connection
    row = await connection.fetchrow(queries("inventory.device_tests")["codec"], display_id)
    assert row is not None
    driver = display_driver(row["codec"])
    if driver is None and not row["codec"].startswith(PREFIX):
        raise InputError("no_driver", f"there is no display driver {row['codec']!r}", codec=row["codec"])
    await connection.fetch(queries("inventory.devices")["lock_spaces_of"], display_id)
    return (await displays.load(connection, [display_id], change.policies.loop))[display_id], row, driver


def _space_of(display: Display) -> UUID:
    if display.space_id is None:
        raise ConflictError("serves_nothing", f"display {display.dev_eui} serves no space: assign it first")
    return display.space_id


def _named(driver: DisplayDriver | None, row: Any, light: str) -> bytes:
    if driver:
        return parse_code(driver, light)
    return bytes.fromhex(check_codes(row["codec"], {"UNKNOWN": light}, row["display_codes"])["UNKNOWN"])


def _pattern(driver: DisplayDriver | None, codes: Mapping[str, str], desired: str | None) -> bytes:
    """A light that nobody takes for FREE, nor for what it shows now; of a display with few lights, one of its own."""
    if driver is None:
        other = next((code for code in codes.values() if code not in (codes.get("FREE"), desired)), None)
        if other is None:
            raise InputError("no_pattern", "this display has no light besides FREE and what it shows now")
        return bytes.fromhex(other)
    free = _seen(driver, codes.get("FREE"))
    shows = _seen(driver, desired)
    found: list[bytes] = []
    for text in _PATTERNS:
        try:
            found.append(driver.encode(parse_light(text)))
        except InputError:
            continue
    found += [bytes.fromhex(code) for code in codes.values()]
    for code in found:
        light = _seen(driver, code.hex())
        if light and all(other is None or distinguishable(light, other) for other in (free, shows)):
            return code
    raise InputError("no_pattern", "this display has no light besides FREE and what it shows now: name one")


def _seen(driver: DisplayDriver, code: str | None) -> Light | None:
    try:
        return driver.describe(bytes.fromhex(code)) if code else None
    except (InputError, ValueError):
        return None


def _is_light(driver: DisplayDriver | None, row: Any, data: bytes) -> bool:
    if driver is None:
        return data.hex() in row["display_codes"].values()
    try:
        driver.check(data)
    except InputError:
        return False
    return True


_Verdict = tuple[str, str, float | None, UUID | None]


async def _look_at_pattern(connection: Connection, test: Any, now: datetime) -> _Verdict | None:
    row = await connection.fetchrow(queries("inventory.device_tests")["actuation"], test["actuation_id"])
    assert row is not None
    display = await connection.fetchrow(queries("inventory.device_tests")["codec"], test["display_device_id"])
    verdict = _light_verdict(row, row["created_at"], display, test["deadline_at"], now)
    return (*verdict, row["id"]) if verdict else None


async def _look_at_pair(connection: Connection, test: Any, now: datetime) -> _Verdict | None:
    sql = queries("inventory.device_tests")
    change = await connection.fetchrow(sql["first_change"], test["space_id"], test["started_at"])
    if change is None or change["at"] > test["deadline_at"]:
        if now <= test["deadline_at"]:
            return None
        heard = await connection.fetchval(sql["heard_since"], test["sensor_device_id"], test["started_at"])
        told = f"the sensor was heard {heard} times, but told no change" if heard else "the sensor was not heard"
        return "failed", told, None, None
    row = await connection.fetchrow(sql["actuation_since"], test["display_device_id"], change["at"])
    until = change["at"] + timedelta(seconds=test["within_s"])
    if row is None:
        if now <= until:
            return None
        return "failed", f"the space became {change['new_state']}, but its light was to show no other", None, None
    display = await connection.fetchrow(sql["codec"], test["display_device_id"])
    verdict = _light_verdict(row, change["at"], display, until, now)
    return (verdict[0], f"{change['new_state']}: {verdict[1]}", verdict[2], row["id"]) if verdict else None


def _light_verdict(
    actuation: Any, since: datetime, display: Any, until: datetime, now: datetime
) -> tuple[str, str, float | None] | None:
    """Of a display that reports, only its report proves anything; of another, that a gateway sent the command."""
    tells = reports(display["codec"], display["reports"])
    proven_at = actuation["shown_at"] if tells else actuation["transmitted_at"]
    if proven_at is not None:
        seconds = max((proven_at - since).total_seconds(), 0.0)
        proof = "it reports the light" if tells else "the command was transmitted; this display cannot report"
        if proven_at > until:
            return "failed", f"{proof}, but only after {seconds:.1f} s", seconds
        return "passed", proof, seconds
    if actuation["status"] in ("failed", "expired"):
        return "failed", actuation["downlink_error"][:_LONGEST_ERROR], None
    if actuation["status"] == "superseded":
        return "failed", "a newer decision took its place before it was proven", None
    if now > until:
        return "failed", f"no proof of the light in time; the command is {actuation['status']}", None
    return None


async def _activate(connection: Connection, test: Any) -> None:
    roles: tuple[Role, ...] = ("sensor", "display")
    for role in roles:
        device_id = test[f"{role}_device_id"]
        if device_id is None:
            continue
        state = await connection.fetchval(queries("inventory.devices")[f"{role}_lifecycle"], device_id)
        if state in ("registered", "installed", "testing"):
            await connection.execute(queries("inventory.devices")[f"set_{role}_lifecycle"], device_id, "active")
