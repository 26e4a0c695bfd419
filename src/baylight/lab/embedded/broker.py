"""MQTT brokers as child processes, on a free port of 127.0.0.1: for the demo, the tests and small trials."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from baylight.errors import PermanentError
from baylight.lab.embedded.account import ends_with_parent

HOST = "127.0.0.1"
_START_S = 15.0
_MAX_PAYLOAD = 1 << 20

_IOTCORE_CONFIG = """\
id = 0
[router]
id = 0
max_connections = 1010
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = {payload}
max_inflight_count = 1000
dynamic_filters = true
"""

_MOSQUITTO_CONFIG = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {data}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 6000
max_packet_size {payload}
log_dest stderr
log_type warning
log_type error
"""


class EmbeddedBroker:
    """Broker of the package iotcore (rumqttd), MQTT 5 only, in a process that ends with ours. Not for production.

    It keeps sessions and the messages of absent clients in memory only (at most about 100 MB, the oldest are dropped
    silently). It loses messages that a dead member of a shared subscription had not acknowledged. It sends more than a
    client's receive maximum. It refuses a keep-alive of 0. `data_dir` holds its settings.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self.host = HOST
        self.port = 0
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; block until it accepts connections (about 0.3 s). A restart keeps the port, no message. Idempotent.

        Raises PermanentError if its package is missing, or if it does not start.
        """
        if self._process is not None:
            return
        if find_spec("iotcore") is None:
            raise PermanentError("no_broker", "the embedded MQTT broker is not installed: install baylight[embedded]")
        self.port = self.port or free_port()
        if self._data_dir is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".toml", prefix="broker-", dir=self._data_dir)
        settings = Path(name)
        with os.fdopen(handle, "w") as file:
            file.write(_IOTCORE_CONFIG.format(host=self.host, port=self.port, payload=_MAX_PAYLOAD))
        # Not iotcore.Broker: its child shares our process group, so Ctrl-C would end it before our last publish.
        program = "from iotcore.iotcore import IotCoreBroker as B; import sys; B(config_path=sys.argv[1]).run_forever()"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=ends_with_parent(signal.SIGKILL),
        )
        try:
            _wait_listening(self._process, self.port, "the embedded broker")
        finally:
            settings.unlink()

    def kill(self) -> None:
        """End the process at once. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill


class MosquittoBroker:
    """Mosquitto as on a real site: sessions and queued messages are on disk below `data_dir`.

    It writes them every two seconds and at stop(). So kill() loses what came since. `more`: further lines of its
    configuration.
    """

    def __init__(self, data_dir: Path, *, more: str = "") -> None:
        self._more = more
        self.host = HOST
        self.port = 0
        self._data_dir = data_dir.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; block until it accepts connections. A restart keeps the port and what is on disk. Idempotent.

        Raises PermanentError if there is no mosquitto, or if it does not start.
        """
        if self._process is not None:
            return
        program = find_mosquitto()
        if program is None:
            raise PermanentError("no_mosquitto", "no mosquitto found in PATH or /usr/sbin")
        self.port = self.port or free_port()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        settings = self._data_dir / "mosquitto.conf"
        text = _MOSQUITTO_CONFIG.format(host=self.host, port=self.port, data=self._data_dir, payload=_MAX_PAYLOAD)
        # If root runs it, it changes to another account by default, which may not reach its directory.
        settings.write_text(text + self._more + ("user root\n" if os.geteuid() == 0 else ""))
        with (self._data_dir / "mosquitto.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-c", settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ends_with_parent(signal.SIGTERM),
            )
        _wait_listening(self._process, self.port, "mosquitto")

    def kill(self) -> None:
        """Send SIGKILL. Idempotent."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGTERM: Mosquitto saves everything. Idempotent."""
        self._end(signal.SIGTERM)

    def forget(self) -> None:
        """Remove all sessions and messages from the disk. The broker must not run."""
        for file in self._data_dir.glob("*.db"):
            file.unlink()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_START_S)


def find_mosquitto() -> Path | None:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no process listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_listening(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise PermanentError("broker_ended", f"{name} did not start on port {port}", port=port)
