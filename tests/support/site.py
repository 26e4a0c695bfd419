"""The API on a real database: in process, and behind a real server for streams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from baylight.access import keys
from baylight.api.app import create_app
from baylight.api.deps import Deps
from baylight.app.http import Server
from baylight.domain.conditions import Condition
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.support.change import by
from tests.support.clock import RealClock
from tests.support.servers import Database


@dataclass
class Site:
    """Application of the API, and what it works on. `problems` and `conditions` are what /health/ready reports."""

    app: FastAPI
    pool: Pool
    dsn: str
    registry: CollectorRegistry
    problems: dict[str, str] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)

    async def key(self, *scopes: str) -> str:
        async with self.pool.acquire() as connection:
            _, text = await keys.create_key(by(connection, actor="test"), "test", scopes)
        return text

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://baylight.test", headers=headers
        )


def site_on(database: Database, pool: Pool) -> Site:
    registry = CollectorRegistry()
    problems: dict[str, str] = {}
    conditions: list[Condition] = []
    deps = Deps(
        pool, database.dsn, RealClock(), Policies(), registry, lambda: problems, conditions=lambda: list(conditions)
    )
    return Site(create_app(deps), pool, database.dsn, registry, problems, conditions)


@asynccontextmanager
async def serving(app: FastAPI, *, port: int = 0) -> AsyncIterator[str]:
    """Run a real server on a free port; yield its address. It must stop although streams are open."""
    listening = socket.create_server(("127.0.0.1", port))
    server = Server(app)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        app.state.hub.close()
        server.should_exit = True
        await asyncio.wait_for(task, 10)
