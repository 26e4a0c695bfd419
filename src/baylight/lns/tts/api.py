"""Downlinks by The Things Stack's HTTP API: the same commands as by MQTT, but each has an answer.

Source: The Things Stack documentation, Integrations, Webhooks, Scheduling Downlinks.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from baylight.errors import BaylightError, InputError, PermanentError, TransientError
from baylight.settings import TtsConnection


class TtsApi:
    """HTTP API of one application. `base`: its URL. `webhook`: id of any webhook of the application."""

    def __init__(
        self,
        base: str,
        key: str,
        application: str,
        webhook: str,
        *,
        timeout_s: float = 5.0,
        setting: str = "BAYLIGHT_TTS_API",
    ) -> None:
        """Connect to nothing yet. `setting`: the one that has the URL. Raises InputError `bad_tts_api`."""
        try:
            parts = urlsplit(base)
            self._port = parts.port
        except ValueError:
            parts = urlsplit("")
        more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in ("https", "http") or not parts.hostname or more:
            raise InputError("bad_tts_api", f"{setting} is not https:// and a name alone")
        self._host = parts.hostname
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._key, self._timeout_s = key, timeout_s
        self.application = application
        self._path = f"/api/v3/as/applications/{quote(application, '')}/webhooks/{quote(webhook, '')}/devices/"

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send a downlink. `topic`: `v3/<application>/devices/<device id>/down/<push or replace>`.

        Raises TransientError `tts_away`; PermanentError `bad_api_key`, `device_not_known`, `downlink_refused`.
        """
        *_, device_id, down, operation = topic.split("/")
        path = f"{self._path}{quote(device_id, '')}/{down}/{operation}"
        try:
            status, message = await asyncio.to_thread(self._post, path, payload)
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise TransientError("tts_away", f"The Things Stack at {self._host} does not answer: {reason}") from error
        if not 200 <= status < 300:
            raise self._in_plain_words(status, message, device_id)

    def _post(self, path: str, payload: bytes) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection: HTTPConnection
        if self._tls:
            connection = HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        else:
            connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", path, payload, headers)
            answer = connection.getresponse()
            return answer.status, _message(answer.read(10_000))
        finally:
            connection.close()

    def _in_plain_words(self, status: int, message: str, device_id: str) -> BaylightError:
        if status in (401, 403):
            return PermanentError(
                "bad_api_key",
                f"The Things Stack does not accept the API key ({message}); make one that may write downlinks",
                status=status,
            )
        if status == 404:
            return PermanentError(
                "device_not_known",
                f"The Things Stack knows no device {device_id} of application {self.application}, or not its webhook "
                f"({message})",
                device_id=device_id,
            )
        if status in (408, 429) or status >= 500:
            return TransientError(
                "tts_away", f"The Things Stack cannot accept it now: {status} {message}", status=status
            )
        return PermanentError(
            "downlink_refused", f"The Things Stack refuses the downlink: {status} {message}", status=status
        )


def tts_api(connection: TtsConnection, prefix: str = "BAYLIGHT_TTS_") -> TtsApi | None:
    """Return the API that a connection names, None for none. `prefix`: start of its settings, for errors.

    Raises InputError `tts_settings_missing`, `bad_tts_api`.
    """
    if connection.api is None:
        return None
    if connection.api_key is None or not connection.api_application or not connection.api_webhook:
        raise InputError(
            "tts_settings_missing",
            f"set {prefix}API_KEY, {prefix}API_APPLICATION and {prefix}API_WEBHOOK, or unset {prefix}API",
        )
    key = connection.api_key.get_secret_value()
    return TtsApi(connection.api, key, connection.api_application, connection.api_webhook, setting=f"{prefix}API")


def _message(body: bytes) -> str:
    """Return the message of an answer in one line."""
    try:
        text = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = body.decode(errors="replace")
    return " ".join(str(text).replace("\0", "").split())[:300]
