"""Explanation of a refusal by ChirpStack: the device is not there, or the API key is at fault.

ChirpStack answers both alike: UNAUTHENTICATED without a text. Calls that change nothing tell them apart. Source: the
checks of rights in chirpstack/src/api/auth/validator.rs; `cases/chirpstack/grpc.jsonl` of the project has measured
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, PermanentError, TransientError

MAX_ASKED = 3
FAULT_S = 5.0
"""Seconds for which a fault of the key is reported again without asking ChirpStack."""
KEY_REFUSED = "network_server_key_refused"
"""Code of the TransientError that reports a fault of the key. Its fact `cause` is a KeyFault."""


class KeyFault(StrEnum):
    """Fault of an API key."""

    UNREADABLE = "unreadable"
    DELETED = "deleted"
    READ_ONLY = "read_only"
    OTHER_TENANT = "other_tenant"
    DELETED_OR_OTHER_TENANT = "deleted_or_other_tenant"


_WORDS = {
    KeyFault.UNREADABLE: "it is no key of this ChirpStack",
    KeyFault.DELETED: "the key was deleted there",
    KeyFault.READ_ONLY: "the key may only read",
    KeyFault.OTHER_TENANT: "the key is of another tenant than the displays, or their application was deleted there",
    KeyFault.DELETED_OR_OTHER_TENANT: "the key was deleted there, or is of another tenant than the displays",
}


def key_refused(fault: KeyFault, evidence: str) -> TransientError:
    """Return the error that reports a fault of the key: no device is at fault, and a new key mends it."""
    return TransientError(
        KEY_REFUSED,
        f"ChirpStack refuses the API key: {_WORDS[fault]} ({evidence}); make a key of the displays' tenant in its web "
        "interface that is not read-only, and set BAYLIGHT_CHIRPSTACK_API_KEY",
        cause=str(fault),
    )


def device_not_known(dev_eui: DevEui, status: str) -> PermanentError:
    """Return the error that reports that ChirpStack does not have a device, or does not show it to this key."""
    return PermanentError(
        "device_not_known",
        f"ChirpStack knows no device {dev_eui} that this API key may use: add the device there, or use a key of its "
        "tenant",
        dev_eui=dev_eui,
        status=status,
    )


Allows = Callable[[], Awaitable[bool | None]]
"""Call that changes nothing: True if ChirpStack allows it, False if it refuses, None if the answer shows neither."""


class KeyDoubt:
    """Doubt whether a refusal is the device's or the key's.

    `reported`: applications of devices whose events came from ChirpStack itself, by DevEUI. Such a device was there, so
    that its refusal needs an explanation.
    """

    def __init__(
        self,
        reported: Mapping[DevEui, str],
        *,
        reads_queue: Callable[[DevEui], Awaitable[bool | None]],
        lists: Callable[[str], Awaitable[bool | None]],
        any_key: Allows,
    ) -> None:
        """`any_key`: a call that ChirpStack allows with each key that it has."""
        self._reported = reported
        self._reads_queue, self._lists, self._any_key = reads_queue, lists, any_key
        self._served: DevEui | None = None
        self._refused: set[DevEui] = set()
        self._fault: TransientError | None = None
        self._fault_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    def to_ask(self) -> list[DevEui]:
        """Return some reported devices: one may have been deleted in ChirpStack. The last one served comes first."""
        newest = list(self._reported)[-MAX_ASKED:]
        return list(dict.fromkeys([self._served, *newest] if self._served else newest))[:MAX_ASKED]

    @property
    def fault(self) -> TransientError | None:
        """Fault of the key that was found in the last seconds."""
        return self._fault if asyncio.get_running_loop().time() < self._fault_until else None

    def served(self, dev_eui: DevEui) -> None:
        """Record that ChirpStack accepted a command for a device: the key is in order."""
        self._served = dev_eui
        self.forget()

    def forget(self) -> None:
        """Ask ChirpStack again at the next refusal."""
        self._refused.clear()
        self._fault = None
        self._fault_until = 0.0

    def found(self, fault: KeyFault, evidence: str) -> TransientError:
        """Record a fault of the key. Return its error."""
        self._fault = key_refused(fault, evidence)
        self._fault_until = asyncio.get_running_loop().time() + FAULT_S
        return self._fault

    async def explain(self, dev_eui: DevEui, status: str) -> BaylightError:
        """Return the error for a command to a device that ChirpStack refused without a text."""
        async with self._one_at_a_time:
            return self.fault or await self._explain(dev_eui, status)

    async def _explain(self, dev_eui: DevEui, status: str) -> BaylightError:
        if await self._reads_queue(dev_eui):
            return self.found(KeyFault.READ_ONLY, f"it shows the queue of {dev_eui} and refuses a downlink")
        alive = await self._any_key()
        if alive is False:
            return self.found(KeyFault.DELETED, "it refuses what each key may do")
        application_id = self._reported.get(dev_eui)
        if application_id is None or await self._serves_another(dev_eui):
            return device_not_known(dev_eui, status)
        lists = await self._lists(application_id)
        if lists:
            return device_not_known(dev_eui, status)
        self._refused.add(dev_eui)
        if lists is None and len(self._refused) < 2:
            return device_not_known(dev_eui, status)
        evidence = f"it refuses {' and '.join(sorted(self._refused)[:5])}, whose events it sent"
        return self.found(KeyFault.OTHER_TENANT if alive else KeyFault.DELETED_OR_OTHER_TENANT, evidence)

    async def _serves_another(self, dev_eui: DevEui) -> bool:
        served = self._served
        return served is not None and served != dev_eui and bool(await self._reads_queue(served))
