"""The API on a real database: in process, and behind a real server for streams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from baylight.access import keys
from baylight.api.app import create_app
from baylight.api.deps import Deps
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.conftest import Database
from tests.support.change import by


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Site:
    """`problems` is what /health/ready tells."""

    app: FastAPI
    pool: Pool
    dsn: str
    registry: CollectorRegistry
    problems: dict[str, str] = field(default_factory=dict)

    async def key(self, *scopes: str) -> str:
        async with self.pool.acquire() as connection:
            _, text = await keys.create_key(by(connection, actor="test"), "test", scopes)
        return text

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://baylight.test", headers=headers
        )


@pytest.fixture
def site(pool: Pool, database: Database) -> Site:
    registry = CollectorRegistry()
    problems: dict[str, str] = {}
    deps = Deps(pool, database.dsn, RealClock(), Policies(), registry, lambda: problems)
    return Site(create_app(deps), pool, database.dsn, registry, problems)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """With a key of scope write."""
    async with site.client(await site.key("write")) as client:
        yield client


@asynccontextmanager
async def serving(app: FastAPI, *, port: int = 0) -> AsyncIterator[str]:
    """A real server on a free port; its address. It must stop although streams are open."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        app.state.hub.close()
        server.should_exit = True
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def address(site: Site) -> AsyncIterator[str]:
    async with serving(site.app) as address:
        yield address
