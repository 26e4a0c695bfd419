"""The page behind nginx, at the root of a host and below a path."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.eventually import until
from tests.support.factories import Bay
from tests.support.site import Site

NGINX = Path("/usr/sbin/nginx")
CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location {prefix} {{ proxy_pass {address}/; }} }}
}}
"""


@pytest.fixture(params=["/", "/parking/garage/"])
def proxy(request: pytest.FixtureRequest, address: str, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Port and prefix of an nginx in front of the server."""
    if not NGINX.exists():
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=tmp_path, port=port, prefix=request.param, address=address))
    with subprocess.Popen([NGINX, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", file]) as nginx:
        yield port, request.param
        nginx.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
async def test_e6_the_page_works_behind_a_proxy(
    site: Site, proxy: tuple[int, str], tab: Page, bays: dict[str, Bay]
) -> None:
    port, prefix = proxy
    await until(lambda: _listens(port))
    await tab.goto(f"http://127.0.0.1:{port}{prefix}#key={await site.key('read')}")
    await expect(tab.locator("#connection")).to_have_attribute("data-is", "live")
    await expect(tab.locator('[data-code="A-1"]')).to_be_visible()
    await tab.locator('[data-code="A-1"]').click()
    await expect(tab.locator("dialog[open]")).to_contain_text("free")
    assert [message.text for message in await tab.console_messages()] == []
    assert await tab.page_errors() == []
