"""One change: a transaction with who makes it, when, by which policies, its audit record and the new decision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from baylight.control import spaces
from baylight.domain.downlink import TriggerType
from baylight.domain.policies import Policies
from baylight.store.pool import Connection
from baylight.store.query import Statement
from baylight.store.translate import translate

SYSTEM = "system"
"""Actor of the program's own changes."""

SET_ACTOR = Statement("access.change.set_actor")
RECORD = Statement("access.change.record")


@dataclass(frozen=True, slots=True)
class Change:
    """First argument of every function that changes something.

    `actor`: the id of an API key, `cli:<account>`, or SYSTEM. `now`: aware UTC, the time of the change.
    `precondition`: check of the caller's that `locked` calls; it raises to refuse the change.
    """

    connection: Connection
    actor: str
    now: datetime
    policies: Policies
    precondition: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def transaction(
        self, *, reason: str | None = None, assignment_reason: str | None = None
    ) -> AsyncIterator[None]:
        """Open a transaction, or a savepoint in an open one. The history that it writes carries actor and reasons.

        `reason` goes to lifecycle events, `assignment_reason` (one of ASSIGNMENT_REASONS) to assignments. Violated
        constraints leave it as InputError or ConflictError.
        """
        try:
            async with self.connection.transaction():
                await SET_ACTOR.run(
                    self.connection, actor=self.actor, reason=reason or "", assignment_reason=assignment_reason or ""
                )
                yield
        except asyncpg.PostgresError as error:
            known = translate(error)
            if known is None:
                raise
            raise known from error

    async def locked(self) -> None:
        """Check the precondition of the caller. Each service calls this when the rows of its object are locked, and
        before it changes them."""
        if self.precondition is not None:
            await self.precondition()

    async def record(
        self,
        action: str,
        object_type: str,
        object_id: object,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Write one row of the audit log. `before` and `after` hold what changed, never personal data or secrets."""
        await RECORD.run(
            self.connection,
            actor=self.actor,
            action=action,
            object_type=object_type,
            object_id=str(object_id),
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            request_id=request_id,
        )

    async def redecide(
        self,
        space_ids: Collection[UUID],
        trigger: TriggerType | None,
        *,
        source: object | None = None,
        released: Collection[UUID] = (),
    ) -> int:
        """Decide spaces again and give the result to their displays; return how many spaces changed state. Idempotent.

        Without spaces nothing is done. `trigger` None: only time has passed, and the rule that wins says why. `source`:
        the id of the reservation or override behind the change, by default the actor. `released`: displays that have
        just stopped serving one of the spaces.
        """
        if not (space_ids or released):
            return 0
        return await spaces.redecide(
            self.connection,
            list(space_ids),
            trigger=trigger,
            source=None if trigger is None else str(source or self.actor),
            now=self.now,
            policies=self.policies,
            released=list(released),
        )
