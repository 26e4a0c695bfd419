"""API keys: `bl_<8 characters>_<43 characters>`. The first part is public and finds the row; the rest is the secret."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import bcrypt

from baylight.access.change import Change
from baylight.errors import InputError, NotFoundError, TransientError
from baylight.store.pool import Connection, Pool, acquire
from baylight.store.query import Query, Statement

MAX_NAME_LENGTH = 100
_TEXT = re.compile(r"(bl_[a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_V2_TEXT = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_UNKNOWN = 10_000
MAX_CHECKS = 4
"""Texts that are compared with bcrypt hashes or wait for it. Callers without a key can cause such work."""
CHECK_S = 5.0
"""Seconds that a request waits for this comparison, which goes on without it."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Scope(StrEnum):
    """Permission of a key. Each scope implies those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_ORDER = list(Scope)


@dataclass(frozen=True, slots=True)
class Key:
    """API key without its secret. `prefix` is public: it names the key in logs and lists."""

    id: UUID
    prefix: str
    name: str
    scopes: list[Scope]
    created_by: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None

    def __post_init__(self) -> None:
        """Turn the database's text into members of Scope."""
        object.__setattr__(self, "scopes", [Scope(scope) for scope in self.scopes])

    def may(self, scope: Scope) -> bool:
        return any(_ORDER.index(own) >= _ORDER.index(scope) for own in self.scopes)


@dataclass(frozen=True, slots=True)
class FoundKey(Key):
    """Live key with what verifies it. `used_lately`: its last use is stored and less than a minute ago."""

    key_hash: str = field(repr=False)
    key_secret: bytes = field(repr=False)
    used_lately: bool

    def public(self) -> Key:
        return Key(*(getattr(self, part.name) for part in fields(Key)))


class BcryptKey(NamedTuple):
    """Key of V2's that is still stored by its bcrypt hash."""

    id: UUID
    key_hash: str


CREATE = Query("access.keys.create", Key)
LIST = Query("access.keys.list", Key)
REVOKE = Query("access.keys.revoke", Key)
SECRET = Query("access.keys.secret", bytes)
FIND_BY_PREFIX = Query("access.keys.find_by_prefix", FoundKey)
FIND_BY_HASH = Query("access.keys.find_by_hash", FoundKey)
IS_LIVE = Query("access.keys.is_live", bool)
RECORD_USE = Statement("access.keys.record_use")
LIST_BCRYPT = Query("access.keys.list_bcrypt", BcryptKey)
CONVERT = Statement("access.keys.convert")


async def create_key(
    change: Change, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """Create a key; return it and its text, which is not stored. From `expires_at` on it is refused.

    Raises InputError `bad_scopes`, `bad_name`, `in_the_past`.
    """
    if expires_at is not None and expires_at <= change.now:
        raise InputError("in_the_past", "a key expires in the future")
    if not scopes or any(scope not in _ORDER for scope in scopes):
        raise InputError("bad_scopes", f"scopes are one or more of {', '.join(_ORDER)}")
    if not 1 <= len(name.strip()) <= MAX_NAME_LENGTH:
        raise InputError("bad_name", f"a key's name has 1 to {MAX_NAME_LENGTH} characters")
    prefix = "bl_" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    wanted = [str(scope) for scope in _ORDER if scope in scopes]
    async with change.transaction():
        key = await CREATE.one(
            change.connection,
            hash=_hash(await SECRET.one(change.connection), text),
            prefix=prefix,
            name=name.strip(),
            scopes=wanted,
            created_by=change.actor,
            expires_at=expires_at,
        )
        after = {"prefix": prefix, "scopes": wanted, "expires_at": expires_at and expires_at.isoformat()}
        await change.record("key.create", "api_key", key.id, after=after)
    return key, text


async def list_keys(connection: Connection) -> list[Key]:
    """Return all keys, also revoked and expired ones, the newest first."""
    return await LIST.all(connection)


async def revoke_key(change: Change, id_or_prefix: str) -> Key:
    """Refuse a key from the next request on; return it. Idempotent. Raises NotFoundError `unknown_key`."""
    async with change.transaction():
        key = await REVOKE.first(change.connection, id_or_prefix=id_or_prefix)
        if key is None:
            raise NotFoundError("unknown_key", "there is no such key")
        await change.record("key.revoke", "api_key", key.id, after={"prefix": key.prefix})
    return key


class Verifier:
    """Find keys in the database at each request (one indexed row), so that a revoked key is refused at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._bcrypt = asyncio.Lock()
        self._checks: dict[str, asyncio.Task[FoundKey | None]] = {}
        """Comparisons that are under way, by the keyed hash of their text."""
        self._unknown: set[str] = set()
        """Keyed hashes of texts that are no key of V2's: a client that repeats a wrong key costs one look-up."""

    async def verify(self, text: str) -> Key | None:
        """Return the key of a text, or None if the text is not a live key, for whatever reason.

        Raises TransientError `database_busy`, `key_being_checked`.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            found = await self._find_v2(text) if _V2_TEXT.fullmatch(text) else None
        else:
            async with acquire(self._pool) as connection:
                found = await FIND_BY_PREFIX.first(connection, prefix=parts[1])
            if found is not None and not hmac.compare_digest(_hash(found.key_secret, text), found.key_hash):
                return None
        if found is None:
            return None
        if not found.used_lately:
            async with acquire(self._pool) as connection:
                await RECORD_USE.run(connection, id=found.id)
        return found.public()

    async def _find_v2(self, text: str) -> FoundKey | None:
        """Return a key of V2's, found by its keyed hash; at its first use by bcrypt, and then store the keyed hash.

        This method and `store/beside.py` are all that is left of V2, and are deleted together.
        """
        async with acquire(self._pool) as connection:
            digest = _hash(await SECRET.one(connection), text)
            found = await FIND_BY_HASH.first(connection, hash=digest)
        if found is not None or digest in self._unknown:
            return found
        check = self._checks.get(digest)
        if check is None:
            if len(self._checks) >= MAX_CHECKS:
                raise _being_checked()
            check = self._checks[digest] = asyncio.create_task(self._convert(text, digest))
            check.add_done_callback(lambda done: self._checked(digest, done))
        try:
            return await asyncio.wait_for(asyncio.shield(check), CHECK_S)
        except TimeoutError as error:
            raise _being_checked() from error

    def _checked(self, digest: str, done: asyncio.Task[FoundKey | None]) -> None:
        del self._checks[digest]
        if not done.cancelled():
            done.exception()  # its callers may have left; the next one tries again

    async def _convert(self, text: str, digest: str) -> FoundKey | None:
        """Compare a text with all bcrypt hashes, and store the keyed hash of the key that fits."""
        async with self._bcrypt:  # one at a time: each key occupies a core for a quarter of a second
            async with acquire(self._pool) as connection:
                unconverted = await LIST_BCRYPT.all(connection)
            for key in unconverted:
                if await asyncio.to_thread(_fits, text, key.key_hash):
                    async with acquire(self._pool) as connection:
                        await CONVERT.run(connection, id=key.id, old_hash=key.key_hash, new_hash=digest)
                        return await FIND_BY_HASH.first(connection, hash=digest)
        if len(self._unknown) >= _MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown.add(digest)
        return None

    async def is_live(self, key: Key) -> bool:
        """Return whether a key that was verified before has neither been revoked nor expired since."""
        async with acquire(self._pool) as connection:
            return bool(await IS_LIVE.first(connection, id=key.id))


def _being_checked() -> TransientError:
    return TransientError("key_being_checked", "keys of V2's are being checked: try again", retry_after_s=CHECK_S)


def _fits(text: str, bcrypt_hash: str) -> bool:
    try:
        return bcrypt.checkpw(text.encode(), bcrypt_hash.encode())
    except ValueError:
        return False  # V2's seed row has no hash at all


def _hash(secret: bytes, text: str) -> str:
    """Return the keyed BLAKE2b-256 in hex. The secret part has 256 random bits, so no slow hash is needed."""
    return blake2b(text.encode(), key=secret, digest_size=32).hexdigest()
