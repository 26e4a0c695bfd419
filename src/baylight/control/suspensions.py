"""Conditions of sensors whose JavaScript codec is suspended: they begin and end with the suspension."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from baylight.control import conditions
from baylight.domain.conditions import Condition, ConditionKind
from baylight.log import logger
from baylight.store.pool import Connection
from baylight.store.query import Query

log = logger("codecs")


class _Sensor(NamedTuple):
    id: str
    codec: str


LOCK_SENSORS = Query("control.suspensions.lock_sensors", _Sensor)
LOCK_OVER = Query("control.suspensions.lock_over", _Sensor)


async def begin(connection: Connection, suspended: Mapping[str, str], now: datetime) -> None:
    """Begin the condition of each sensor that decodes by a suspended codec. Idempotent.

    `suspended`: the fault in words, by codec (`js:<name>`).
    """
    async with connection.transaction():
        sensors = await LOCK_SENSORS.all(connection, codecs=sorted(suspended))
        begun = [
            Condition(ConditionKind.CODEC_SUSPENDED, s.id, now, f"{s.codec}: {suspended[s.codec]}") for s in sensors
        ]
        await conditions.begin(connection, begun)
    for codec in sorted({s.codec for s in sensors}):
        log.warning("codec_suspended", codec=codec, fault=suspended[codec])


async def end(connection: Connection, answered: Collection[str], now: datetime) -> None:
    """End the condition where its codec has `answered`, has a new version, or is not used any more. Idempotent."""
    async with connection.transaction():
        sensors = await LOCK_OVER.all(connection, answered=sorted(answered))
        await conditions.end(connection, [(ConditionKind.CODEC_SUSPENDED, s.id) for s in sensors], now)
    for codec in sorted({s.codec for s in sensors}):
        log.info("codec_works_again", codec=codec)
