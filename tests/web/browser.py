"""A headless Chromium, driven by the DevTools protocol; as much of it as the tests of the page need."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Navigated(Exception):
    """The page went away while its script ran."""


class Tab:
    """`requested`: every URL that the page asked for. `complaints`: its errors, of scripts and of its policy."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.session: str | None = None
        self.requested: list[str] = []
        self.complaints: list[str] = []

    async def read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if waiting := self._waiting.pop(message.get("id", 0), None):
                waiting.set_result(message)
            elif message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            elif message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(message["params"]))

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        about = {"sessionId": self.session} if self.session else {}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params, **about}))
        message = await asyncio.wait_for(answer, 30)
        if "navigated" in message.get("error", {}).get("message", ""):
            raise Navigated
        assert "result" in message, message
        return message["result"]

    async def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)

    async def js(self, expression: str) -> Any:
        """Value of a JavaScript expression; promises are awaited."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str, *, within_s: float = 10) -> Any:
        """The first value of a JavaScript expression that is truthy."""
        watched = f"""new Promise((done) => {{
            const look = () => {{
                let value;
                try {{ value = ({expression}); }} catch {{ /* the page is not there yet */ }}
                value ? done(value) : setTimeout(look, 20);
            }};
            look();
        }})"""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while True:
                    with suppress(Navigated):
                        return await self.js(watched)
        shown = await self.js("document.body.innerText")
        raise AssertionError(f"never true: {expression}\nthe page shows: {shown}\n{self.complaints}")

    async def screenshot(self, path: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))


@asynccontextmanager
async def browser(directory: Path) -> AsyncIterator[Tab]:
    """Skips the test if there is no Chromium."""
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    process = await asyncio.create_subprocess_exec(
        binary,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={directory / 'profile'}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            address = await _address(process)
            socket = await connect(address, max_size=None)
        tab = Tab(socket)
        reading = asyncio.create_task(tab.read())
        target = await tab.call("Target.createTarget", url="about:blank")
        attached = await tab.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        yield tab
        await socket.close()
        await reading
    finally:
        process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on " in line:
            return line.decode().split("DevTools listening on ")[1].strip()
    raise AssertionError("the browser ended before it listened")
