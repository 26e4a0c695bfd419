"""Sites with a simulated ChirpStack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.chirpstack import FakeChirpStack
from tests.support.chirpstack_site import Site, Sites


@pytest.fixture
async def sites(broker: Any) -> AsyncIterator[Sites]:
    """Start sites, fifty times as fast as a real one; fields of Behaviour may be given."""
    started = []

    async def start(**behaviour: Any) -> Site:
        fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(**{"speed": 50.0, **behaviour}))
        site = Site(broker.port, fake)
        started.append(site)
        await site.start()
        return site

    yield start
    for site in started:
        await site.stop()


@pytest.fixture
async def site(sites: Sites) -> Site:
    return await sites()
