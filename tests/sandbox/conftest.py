from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baylight.sandbox.pool import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1)
    yield sandbox
    await sandbox.close()
