"""API keys: `bl_<8 characters>_<43 characters>`. The first part is public and finds the row, the rest is the secret."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any
from uuid import UUID

import bcrypt

from baylight.access.change import Change
from baylight.errors import InputError, NotFoundError
from baylight.store.pool import Connection, Pool
from baylight.store.query import queries

_TEXT = re.compile(r"(bl_[a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_V2_TEXT = re.compile(r"[A-Za-z0-9_-]{43}")
_REMEMBERED = 10_000
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Scope(StrEnum):
    """Each implies those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_ORDER = list(Scope)


@dataclass(frozen=True, slots=True)
class Key:
    """`prefix` is public: it names the key in logs and lists."""

    id: UUID
    prefix: str
    name: str
    scopes: list[Scope]
    created_by: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def may(self, scope: Scope) -> bool:
        return any(_ORDER.index(own) >= _ORDER.index(scope) for own in self.scopes)


async def create_key(change: Change, name: str, scopes: Sequence[str]) -> tuple[Key, str]:
    """The key and its text, which cannot be had again. Raises InputError `bad_scopes`, `bad_name`."""
    if not scopes or any(scope not in _ORDER for scope in scopes):
        raise InputError("bad_scopes", f"scopes are one or more of {', '.join(_ORDER)}")
    if not 1 <= len(name.strip()) <= 100:
        raise InputError("bad_name", "a key's name has 1 to 100 characters")
    prefix = "bl_" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    wanted = [str(scope) for scope in _ORDER if scope in scopes]
    async with change.transaction():
        secret = await change.connection.fetchval(queries("access.keys")["secret"])
        row = await change.connection.fetchrow(
            queries("access.keys")["create"], _hash(secret, text), prefix, name.strip(), wanted, change.actor
        )
        key = _key(row)
        await change.record("key.create", "api_key", key.id, after={"prefix": prefix, "scopes": wanted})
    return key, text


async def list_keys(connection: Connection) -> list[Key]:
    """The newest first, revoked ones too."""
    return [_key(row) for row in await connection.fetch(queries("access.keys")["list"])]


async def revoke_key(change: Change, id_or_prefix: str) -> Key:
    """From the next request on the key is refused. Idempotent. Raises NotFoundError `unknown_key`."""
    async with change.transaction():
        row = await change.connection.fetchrow(queries("access.keys")["revoke"], id_or_prefix)
        if row is None:
            raise NotFoundError("unknown_key", "there is no such key")
        key = _key(row)
        await change.record("key.revoke", "api_key", key.id, after={"prefix": key.prefix})
    return key


class Verifier:
    """Asks the database each time (one indexed row), so that a revoked key is refused at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._slow = asyncio.Lock()
        self._unknown: set[str] = set()
        """Keyed hashes of what is no key of V2's: a client that repeats a wrong key costs one look-up."""

    async def verify(self, text: str) -> Key | None:
        """None for what is not a live key, whatever is wrong with it."""
        parts = _TEXT.fullmatch(text)
        if parts is None:
            row = await self._find_v2(text) if _V2_TEXT.fullmatch(text) else None
        else:
            row = await self._pool.fetchrow(queries("access.keys")["find"], parts[1])
            if row is not None and not hmac.compare_digest(_hash(row["key_secret"], text), row["key_hash"]):
                return None
        if row is None:
            return None
        if not row["used_lately"]:
            await self._pool.execute(queries("access.keys")["used"], row["id"])
        return _key(row)

    async def _find_v2(self, text: str) -> Any:
        """Find a key of V2's: by its keyed hash; at its first use by bcrypt, and then it gets its keyed hash.

        A trace of V2 as store/beside.py, which may not import what this needs: it goes with that file.
        """
        sql = queries("access.keys")
        digest = _hash(await self._pool.fetchval(sql["secret"]), text)
        row = await self._pool.fetchrow(sql["find_by_hash"], digest)
        if row is not None or digest in self._unknown:
            return row
        async with self._slow:  # one at a time: it takes a core for a quarter of a second for each key
            for key in await self._pool.fetch(sql["unconverted"]):
                if await asyncio.to_thread(_fits, text, key["key_hash"]):
                    await self._pool.execute(sql["convert"], key["id"], key["key_hash"], digest)
                    return await self._pool.fetchrow(sql["find_by_hash"], digest)
        if len(self._unknown) >= _REMEMBERED:
            self._unknown.clear()
        self._unknown.add(digest)
        return None

    async def is_live(self, key: Key) -> bool:
        """Whether a key that was verified before has not been revoked since."""
        return bool(await self._pool.fetchval(queries("access.keys")["is_live"], key.id))


def _fits(text: str, bcrypt_hash: str) -> bool:
    try:
        return bcrypt.checkpw(text.encode(), bcrypt_hash.encode())
    except ValueError:
        return False  # no hash at all: V2's seed row


def _hash(secret: bytes, text: str) -> str:
    """BLAKE2b-256, keyed, in hex. The secret part has 256 random bits, so no slow hash is needed."""
    return blake2b(text.encode(), key=secret, digest_size=32).hexdigest()


def _key(row: Any) -> Key:
    return Key(
        id=row["id"],
        prefix=row["key_prefix"],
        name=row["key_name"],
        scopes=[Scope(scope) for scope in row["scopes"]],
        created_by=row["created_by"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
