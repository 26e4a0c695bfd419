"""Answers that are kept for a day, so that a request with the same Idempotency-Key changes nothing a second time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from baylight.access.change import Change
from baylight.control.retention import ANSWERS_KEPT
from baylight.errors import ConflictError, InputError
from baylight.store.query import Query, Statement

MAX_KEY_LENGTH = 255
MAX_BODY_BYTES = 64 * 1024
"""Larger answers are not kept, only that there was one."""

MAX_KEPT = 10_000
"""Answers that are kept of one API key."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Answer that was kept. `fingerprint`: hash of its request. `body` None: it is too large, or holds a secret."""

    fingerprint: bytes
    status: int
    body: bytes | None


TRY_LOCK = Query("access.answers.try_lock", bool)
FIND = Query("access.answers.find", Kept)
OLDEST_OF_MANY = Query("access.answers.oldest_of_many", datetime)
KEEP = Statement("access.answers.keep")


@dataclass(frozen=True, slots=True)
class Claim:
    """Key of a caller for one request, which no other request can use until the transaction ends."""

    change: Change
    api_key_id: UUID
    idempotency_key: str
    fingerprint: bytes

    async def find(self) -> Kept | None:
        """Lock the key; return the answer of an earlier request, or None. Needs an open transaction.

        Raises ConflictError `request_in_progress`, `answer_not_kept`; InputError `idempotency_key_reused`.
        """
        names = {"api_key_id": self.api_key_id, "idempotency_key": self.idempotency_key}
        if not await TRY_LOCK.one(self.change.connection, **names):
            raise ConflictError("request_in_progress", "a request with this Idempotency-Key is not answered yet")
        kept = await FIND.first(self.change.connection, **names, since=self.change.now - ANSWERS_KEPT)
        if kept is None:
            return None
        if kept.fingerprint != self.fingerprint:
            raise InputError("idempotency_key_reused", "this Idempotency-Key belongs to a request that differs")
        if kept.body is None:
            message = "this request was done; its answer is not kept, because it is too large or holds a secret"
            raise ConflictError("answer_not_kept", message, status=kept.status)
        return kept

    async def full_for(self) -> timedelta | None:
        """Return how long no further answer can be kept. None: one can."""
        oldest_at = await OLDEST_OF_MANY.first(
            self.change.connection,
            api_key_id=self.api_key_id,
            since=self.change.now - ANSWERS_KEPT,
            limit=MAX_KEPT,
        )
        return None if oldest_at is None else oldest_at + ANSWERS_KEPT - self.change.now

    async def keep(self, status: int, body: bytes | None) -> None:
        """Keep the answer. It is stored together with the change, or not at all."""
        await KEEP.run(
            self.change.connection,
            api_key_id=self.api_key_id,
            idempotency_key=self.idempotency_key,
            fingerprint=self.fingerprint,
            status=status,
            body=body if body is None or len(body) <= MAX_BODY_BYTES else None,
            now=self.change.now,
        )
