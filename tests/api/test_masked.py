"""What keys that may only read do not see, and keys that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from baylight.inventory import spaces
from baylight.store.pool import Connection
from tests.support.change import by
from tests.support.site import Site

WRITTEN = {"user_email": "a@x.org", "user_phone": "1", "metadata": {"plate": "B-XY 1"}, "request_id": "a@x.org-1"}


async def test_f8_a_key_that_may_only_read_sees_nothing_of_what_callers_wrote(site: Site, db: Connection) -> None:
    await spaces.create_space(by(db), "A-1")
    start = datetime.now(UTC) + timedelta(hours=1)
    body = {"space": "A-1", "start_at": start.isoformat(), "end_at": (start + timedelta(hours=1)).isoformat()}
    async with site.client(await site.key("write")) as client:
        made = (await client.post("/api/v1/reservations", json=body | WRITTEN)).json()
        assert {name: made[name] for name in WRITTEN} == WRITTEN
    async with site.client(await site.key("read")) as client:
        seen = [
            (await client.get(f"/api/v1/reservations/{made['id']}")).json(),
            (await client.get("/api/v1/reservations")).json()["items"][0],
        ]
        spaces_seen = (await client.get("/api/v1/spaces")).text
    for reservation in seen:
        assert {name: reservation[name] for name in WRITTEN} == dict.fromkeys(WRITTEN)
        assert "XY" not in str(reservation)
    assert "XY" not in spaces_seen


async def test_f8_the_api_creates_keys_that_expire_and_refuses_them_then(site: Site, db: Connection) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with site.client(await site.key("admin")) as client:
        body = {"name": "gate", "scopes": ["read"]}
        made = (await client.post("/api/v1/keys", json=body | {"expires_at": until})).json()
        assert datetime.fromisoformat(made["key"]["expires_at"]) == datetime.fromisoformat(until)
        past = await client.post("/api/v1/keys", json=body | {"expires_at": "2020-01-01T00:00Z"})
        assert (past.status_code, past.json()["type"]) == (422, "urn:baylight:problem:in_the_past")
    async with site.client(made["text"]) as client:
        assert (await client.get("/api/v1/spaces")).status_code == 200
        await db.execute("UPDATE api_keys SET expires_at = now() WHERE key_name = 'gate'")
        assert (await client.get("/api/v1/spaces")).status_code == 401
