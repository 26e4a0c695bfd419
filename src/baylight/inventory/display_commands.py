"""Commands that a person sends to a display: a light, or bytes as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from baylight.access.change import Change
from baylight.codecs.registry import DisplayDriver
from baylight.control import displays
from baylight.domain.display_loop import decisions
from baylight.domain.display_loop.actuation import Actuation
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import MAX_F_PORT, MAX_PAYLOAD_BYTES, TriggerType
from baylight.errors import ConflictError, InputError, shorten
from baylight.inventory.devices import find_device
from baylight.inventory.display_codes import find_driver
from baylight.store.query import Query, Statement


class DisplayCodec(NamedTuple):
    """Codec of a display's type, and the display's codes by state. `reports`: as the type's configuration has it."""

    codec: str
    reports: bool
    display_codes: dict[str, str]


LOCK_SPACES_OF = Statement("inventory.devices.lock_spaces_of")
FIND_CODEC = Query("inventory.display_commands.find_codec", DisplayCodec)


@dataclass(frozen=True, slots=True)
class LockedDisplay:
    """Display that receives a command. `driver` None: it has a JavaScript codec."""

    state: Display
    driver: DisplayDriver | None
    codes: dict[str, str]

    def is_light(self, data: bytes) -> bool:
        if self.driver is None:
            return data.hex() in self.codes.values()
        try:
            self.driver.check(data)
        except InputError:
            return False
        return True


async def send_command(
    change: Change, dev_eui: str, payload: str, *, reason: str, f_port: int | None = None, permit_unsafe: bool = False
) -> UUID:
    """Send bytes (hex) to a display as they are; return the id of the actuation. The desired light follows afterwards.

    Raises NotFoundError `unknown_device`; InputError `unsafe_payload` for bytes that are not a light of its driver,
    unless permitted (such bytes can reconfigure a device for good), `bad_payload`, `bad_f_port`; ConflictError
    `serves_nothing`, `not_sent`.
    """
    data = _check_payload(payload, f_port)
    device = await find_device(change.connection, dev_eui, "display")
    async with change.transaction(reason=reason):
        display = await lock_display(change, device.id)
        safe = display.is_light(data) and f_port in (None, display.state.f_port)
        if not safe and not permit_unsafe:
            raise InputError(
                "unsafe_payload",
                f"{data.hex()} is not a light of this display: such bytes can reconfigure or brick it. "
                "Permit it explicitly if you are sure",
                dev_eui=device.dev_eui,
            )
        source = change.actor[:100]
        actuation = await command(change, display, data, TriggerType.DEVICE_COMMAND, source=source, f_port=f_port)
        after = {"payload": data.hex(), "f_port": actuation.f_port, "permitted_unsafe": not safe, "reason": reason}
        await change.record("display.send", "display", display.state.id, after=after)
    if actuation.error:
        raise ConflictError("not_sent", actuation.error, dev_eui=device.dev_eui)
    return actuation.id


async def lock_display(change: Change, display_id: UUID) -> LockedDisplay:
    """Lock the space of a display, its row and its unfinished actuations. Raises InputError `no_driver`."""
    connection = change.connection
    codec = await FIND_CODEC.one(connection, display_id=display_id)
    driver = find_driver(codec.codec)
    await LOCK_SPACES_OF.run(connection, id=display_id)
    state = (await displays.load(connection, [display_id], change.policies.loop))[display_id]
    return LockedDisplay(state, driver, codec.display_codes)


async def command(
    change: Change, display: LockedDisplay, code: bytes, trigger: TriggerType, *, source: str, f_port: int | None = None
) -> Actuation:
    """Store an actuation that sends a code once. `f_port`: the display's own by default.

    Raises ConflictError `serves_nothing`.
    """
    state = display.state
    if state.space_id is None:
        raise ConflictError("serves_nothing", f"the display {state.dev_eui} serves no space: assign it first")
    actuation = decisions.command(
        state, state.space_id, code.hex(), trigger=trigger, source=source, now=change.now, f_port=f_port
    )
    await displays.save(change.connection, [state])
    return actuation


def _check_payload(payload: str, f_port: int | None) -> bytes:
    try:
        data = bytes.fromhex(payload)
    except ValueError as error:
        raise InputError("bad_payload", f"{shorten(payload)!r} is not hex digits in pairs") from error
    if not 1 <= len(data) <= MAX_PAYLOAD_BYTES:
        raise InputError("bad_payload", f"a downlink has 1 to {MAX_PAYLOAD_BYTES} bytes, not {len(data)}")
    if f_port is not None and not 1 <= f_port <= MAX_F_PORT:
        raise InputError("bad_f_port", f"an FPort is 1 to {MAX_F_PORT}", f_port=f_port)
    return data
