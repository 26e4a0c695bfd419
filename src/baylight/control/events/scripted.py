"""Run the active JavaScript codecs for ingest: which version decodes which device's uplinks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from baylight.codecs.ts013.calls import PREFIX, Answer, Call, Decoded, Script, decode_call
from baylight.codecs.ts013.display_mapping import Mapped, parse_mapping
from baylight.errors import DeviceDataError, TransientError
from baylight.ports import CodecEngine
from baylight.store.pool import Pool
from baylight.store.query import Query

MAX_KNOWN = 100
"""Versions kept in memory. Beyond, those that are no longer active are dropped."""
_Decoding = tuple[Script, Mapped | None]


class _Active(NamedTuple):
    id: UUID
    name: str
    source: str | None
    mapping: dict[str, Any] | None


ACTIVE = Query("control.scripted.active", _Active)


class Decoders:
    """Decode uplinks by the active versions, which are kept in memory by their ids: a version never changes."""

    def __init__(self, pool: Pool, engine: CodecEngine) -> None:
        self._pool = pool
        self._engine = engine
        self._known: dict[UUID, _Decoding] = {}
        self._names: dict[str, str] = {}
        """Names of the versions that were active when they were last looked up, by id of the script."""
        self._answered_at: dict[str, datetime] = {}
        self.answered: set[str] = set()
        """Codecs (`js:<name>`) that have answered. `app/decoding.py` reads and empties it."""

    def suspended(self) -> dict[str, str]:
        """Return the codecs (`js:<name>`) whose active version is suspended, each with the fault in words."""
        faults = self._engine.suspended()
        return {PREFIX + self._names[id]: fault for id, fault in faults.items() if id in self._names}

    def slow(self) -> set[str]:
        """Return the codecs (`js:<name>`) whose active version is slow: what is quick does not wait for them."""
        return {PREFIX + self._names[id] for id in self._engine.slow() if id in self._names}

    def answered_since(self, codec: str, at: datetime) -> bool:
        """Return True if the active version of a codec (`js:<name>`) has answered another call since a time."""
        return any(
            answered > at and PREFIX + self._names.get(id, "") == codec for id, answered in self._answered_at.items()
        )

    async def refresh(self, codecs: Iterable[str]) -> None:
        """Look up which versions of codecs (`js:<name>`) are active: another version is not suspended."""
        await self._active({codec.removeprefix(PREFIX) for codec in codecs})

    async def decode(
        self,
        uplinks: Sequence[tuple[str, int | None, bytes, datetime]],
        now: datetime,
        *,
        within_s: float | None = None,
        quick_s: float | None = None,
    ) -> list[Decoded | DeviceDataError | TransientError]:
        """Return one result for each uplink (`js:<name>`, FPort, data, time of arrival), in order.

        TransientError: the codec has not answered `within_s`, is slow (with `quick_s`), or is suspended.
        """
        active = await self._active({codec.removeprefix(PREFIX) for codec, *_ in uplinks})
        results: list[Decoded | DeviceDataError | TransientError | None] = []
        calls: list[tuple[int, Call, Mapped | None, int]] = []
        for codec, f_port, data, at in uplinks:
            try:
                if (found := active.get(codec.removeprefix(PREFIX))) is None:
                    raise DeviceDataError("no_codec", f"no version of the codec {codec} is active")
                script, mapping = found
                calls.append((len(results), decode_call(script, f_port, data, at), mapping, f_port or 0))
                results.append(None)
            except DeviceDataError as error:
                results.append(error)
        outcomes = await self._engine.run([call for _, call, _, _ in calls], within_s=within_s, quick_s=quick_s)
        for (n, call, mapping, f_port), outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, Answer):
                self.answered.add(uplinks[n][0])
                self._answered_at[call.script.id] = now
                results[n] = Decoded(outcome, mapping, f_port)
            else:
                results[n] = outcome
        return [result for result in results if result is not None]

    async def _active(self, names: Collection[str]) -> dict[str, _Decoding]:
        async with self._pool.acquire() as connection:
            rows = await ACTIVE.all(connection, names=sorted(names), known=list(self._known))
        for row in rows:
            if row.source is not None:
                mapping = None if row.mapping is None else parse_mapping(row.mapping)
                self._known[row.id] = Script(str(row.id), row.source), mapping
        found = {row.name: self._known[row.id] for row in rows}
        asked = set(names)
        self._names = {id: name for id, name in self._names.items() if name not in asked}
        self._names.update({str(row.id): row.name for row in rows})
        self._answered_at = {id: at for id, at in self._answered_at.items() if id in self._names}
        if len(self._known) > MAX_KNOWN:
            self._known = {row.id: self._known[row.id] for row in rows}
        return found
