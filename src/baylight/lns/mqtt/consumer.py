"""Consumer of an MQTT broker. Its messages come in batches, and are acknowledged after their handler is done."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import Counter
from datetime import UTC, datetime

from baylight.domain.conditions import ConditionKind
from baylight.errors import BaylightError, PermanentError, TransientError
from baylight.lns.mqtt.away import Away
from baylight.lns.mqtt.connection import Connection, TakenOverError
from baylight.lns.mqtt.gate import MAX_BYTES
from baylight.lns.mqtt.lanes import Batch, Handle, Lanes, Read, Received, Reject
from baylight.lns.mqtt.outgoing import FIRST_ERROR, NO_SUBSCRIBER, NOT_AUTHORIZED, refusal
from baylight.lns.mqtt.topics import can_publish, matcher
from baylight.log import logger
from baylight.ports import BrokerSession, Conditions

_log = logger("mqtt")
MAX_WAITING = 50_000
"""Limit for messages without flow control: those of QoS 0, and those that waited when a connection was lost. MAX_BYTES
is that for their payloads."""
SETTLED_S = 60.0
"""Seconds of a connection after which no second client uses our client id."""
QOS_0_OVER_S = 600.0
"""Seconds without a message of QoS 0 after which none comes any more."""
RETRY_S = 1.0
MAX_STRIKES = 3
"""Connections that end at a message to one topic before the message is given up."""
MAX_SHORT_LIVES = 5
"""Connections that end soon after they began, while the broker answers, before a second client is suspected."""
FORBIDDEN_S = 30.0
"""Seconds for which nothing is published for an application after the broker forbade it. Mosquitto 2.0 with
`max_queued_messages 0` closes the connection after it."""
_MAX_PUBLISHING = 10  # mosquitto accepts 20 unacknowledged messages of a client


class MqttConsumer:
    """Consumer that handles all messages that wait, at most `max_batch` at once, and never waits for more.

    Lanes describes how `handle` and `reject` receive the messages, and what they may raise. Delivery is at least once:
    after a lost connection the broker sends all unacknowledged messages again.

    `read` parses topic and payload of each message when it comes, while handlers wait for the database. It raises
    nothing. `session_expiry_s`: seconds for which the broker keeps messages while we are away. `version`: version of
    MQTT, 5 or 4 (4 is MQTT 3.1.1, which has neither session expiry nor shared subscriptions). `session`: memory of our
    session; None: neither its loss nor its former subscriptions are noticed.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        topic: str,
        read: Read,
        handle: Handle,
        reject: Reject,
        session_expiry_s: int,
        share_group: str | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_batch: int = 1000,
        version: int = 5,
        session: BrokerSession | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.client_id, self.user, self.password = client_id, user, password
        self.topic = f"$share/{share_group}/{topic}" if share_group else topic
        self.session_expiry_s = session_expiry_s
        self.version = version
        self.read = read
        self.accepts = matcher(topic)
        self.lanes = Lanes(handle, reject, max_batch)
        self.known_filters: frozenset[str] = frozenset()
        self._session, self._session_read = session, session is None
        self._conditions = conditions or NoConditions()
        self._connection: Connection | None = None
        self._outage = f"not connected to {self._broker}"
        self._away = Away()
        self._lost_since: datetime | None = None
        self._loss = asyncio.Event()
        self._qos_0_at: float | None = None
        self._strikes: Counter[str] = Counter()
        self._forbidden: dict[str, float] = {}
        self._publishing = asyncio.Semaphore(_MAX_PUBLISHING)
        self._ended: asyncio.Event | None = None
        # gmqtt logs every lost connection in several lines. We log it in one.
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def outage(self) -> str | None:
        """Reason why the consumer is not connected, in plain words. None while it is connected."""
        return None if self.connected else self._outage

    @property
    def waiting(self) -> int:
        """Number of received messages that no handler has begun with."""
        return self.lanes.waiting

    @property
    def waits_s(self) -> float:
        """Seconds since the oldest message came that is not stored; 0 without one."""
        return self.lanes.waits_s

    async def run(self) -> None:
        """Run until `stop`. Wait for a broker that is away, also at the start."""
        self._ended = asyncio.Event()
        beside = [asyncio.create_task(self._stay_connected()), asyncio.create_task(self._make_good_losses())]
        try:
            await self.lanes.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
            self._ended.set()

    async def stop(self) -> None:
        """Begin no further batch. Return when the batches under way are done and acknowledged.

        Messages that wait or are being retried stay with the broker until the next start.
        """
        self.lanes.stop()
        if self._ended is not None:
            await self._ended.wait()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Publish a message. With QoS 1, return when the broker has acknowledged it.

        Return False if the broker reports that no client has subscribed to the topic. Raises TransientError
        `broker_away`, `broker_busy`; PermanentError `bad_topic`, `broker_forbids_publishing`, `broker_refuses_message`.
        """
        if not can_publish(topic):
            raise PermanentError("bad_topic", f"{topic!a} is no topic that a message can have")
        async with self._publishing:
            connection = self._connection
            if connection is None:
                raise TransientError("broker_away", f"not connected to the MQTT broker {self.host}:{self.port}")
            if time.monotonic() < self._forbidden.get(_application(topic), 0.0):
                raise refusal(NOT_AUTHORIZED, topic, self.user)
            if self._strikes[topic] >= MAX_STRIKES:
                del self._strikes[topic]
                text = f"the MQTT broker ended {MAX_STRIKES} connections in turn at a message to {topic}"
                raise PermanentError("broker_refuses_message", text, topic=topic)
            try:
                reason = await connection.publish(topic, payload, qos)
            except TransientError:
                if connection.lost.done():
                    self._strikes[topic] += 1
                raise
        self._strikes.pop(topic, None)
        if reason >= FIRST_ERROR:
            raise self._refused(reason, topic)
        if qos:
            self._forbidden.pop(_application(topic), None)
            self._conditions.end(ConditionKind.BROKER_FORBIDS_PUBLISHING)
        return reason != NO_SUBSCRIBER

    def _refused(self, reason: int, topic: str) -> BaylightError:
        """Return the error for the reason code of a PUBACK. Begin the condition if publishing is forbidden."""
        error = refusal(reason, topic, self.user)
        if reason == NOT_AUTHORIZED:
            self._forbidden[_application(topic)] = time.monotonic() + FORBIDDEN_S
            self._conditions.begin(ConditionKind.BROKER_FORBIDS_PUBLISHING, error.message)
        return error

    # --- connection ---

    async def _stay_connected(self) -> None:
        while True:
            error: Exception
            lived_s = None
            try:
                connection = await self._connect()
                begun = time.monotonic()
                try:
                    self._connection = connection
                    self._conditions.end(ConditionKind.BROKER_AWAY)
                    error = await self._until_lost(connection)
                finally:
                    self._connection = None
                    await connection.close()
                lived_s = time.monotonic() - begun
            except Exception as failure:
                error = failure
            self._note_away(error, lived_s)
            await asyncio.sleep(self._away.pause_s())

    async def _connect(self) -> Connection:
        """Return an open connection with the right subscription."""
        if not self._session_read and self._session is not None:
            self.known_filters = await self._session.filters()
            self._session_read = True
        had_session = bool(self.known_filters)
        connection = Connection(self)
        try:
            await connection.open()
        except BaseException:
            await connection.close()
            raise
        away_s = self._away.connected()
        if away_s is None:
            _log.info("broker_connected", broker=self._broker)
        else:
            _log.info("broker_back", broker=self._broker, away_s=round(away_s, 1))
        if had_session and not connection.session_present:
            _log.error("broker_session_lost", broker=self._broker, client_id=self.client_id)
            self._lost_since = self._lost_since or datetime.now(UTC)
            self._loss.set()
        return connection

    async def _until_lost(self, connection: Connection) -> Exception:
        """Return the reason why the connection ended. End the conditions that its life disproves."""
        while True:
            await asyncio.wait([connection.lost], timeout=SETTLED_S)
            if connection.lost.done():
                return connection.lost.result()
            self._conditions.end(ConditionKind.BROKER_CLIENT_ID_SHARED)
            if self._qos_0_at is None or time.monotonic() - self._qos_0_at > QOS_0_OVER_S:
                self._conditions.end(ConditionKind.BROKER_QOS_0)

    def _note_away(self, error: Exception, lived_s: float | None) -> None:
        begins = self._away.failed(lived_s)
        words = str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
        self._outage = f"{self._broker}: {words}"
        self._conditions.begin(ConditionKind.BROKER_AWAY, self._outage)
        hint = ""
        if isinstance(error, TakenOverError) or self._away.short_lives >= MAX_SHORT_LIVES:
            hint = f"does another process use the client id {self.client_id!r}?"
            self._conditions.begin(ConditionKind.BROKER_CLIENT_ID_SHARED, f"{self._outage}; {hint}")
        if begins:
            _log.warning("broker_away", broker=self._broker, error=f"{type(error).__name__}: {words}", hint=hint)

    async def _make_good_losses(self) -> None:
        """Make good each loss of the session as soon as the database accepts it."""
        while True:
            await self._loss.wait()
            self._loss.clear()
            since = self._lost_since
            while since is not None and self._session is not None:
                try:
                    done = await self._session.lost(since)
                except TransientError as error:
                    _log.debug("loss_not_stored", error=error.message)
                    await asyncio.sleep(RETRY_S)
                    continue
                text = f"{self._broker} lost the session of {self.client_id!r} at {since:%Y-%m-%d %H:%M:%S} UTC; {done}"
                self._conditions.begin(ConditionKind.BROKER_SESSION_LOST, text)
                since = self._lost_since = None

    async def keep_filters(self, filters: frozenset[str]) -> None:
        """Store the filters that the session may have, if they change. Raises TransientError."""
        if filters != self.known_filters and self._session is not None:
            await self._session.keep(filters)
            self.known_filters = filters

    @property
    def _broker(self) -> str:
        return f"{self.host}:{self.port}"

    def resume(self) -> None:
        """Begin on a new connection. Drop the unacknowledged messages of former ones if there is no room for more.

        A broker that kept all messages sends them again. A broker that crashed may have lost them, so up to this limit
        they are handled as well.
        """
        if self._full:
            self.lanes.forget_unacknowledged()

    @property
    def _full(self) -> bool:
        return self.waiting >= MAX_WAITING or self.lanes.waiting_bytes >= MAX_BYTES

    def put(self, connection: Connection, received: Received, qos: int) -> Batch | None:
        """Put a message into its lane. Return the batch that it is now in, or None if there is no room for it."""
        if qos == 0 and self._full:
            return None
        return self.lanes.put(connection, received, qos)

    def received_qos_0(self, evidence: str) -> None:
        """Note that messages come with QoS 0. MQTT 3.1.1 is used for a server that has no other, so it is no fault."""
        if self.version < 5:
            return
        if self._qos_0_at is None:
            _log.warning("qos0_messages", hint=evidence)
        self._qos_0_at = time.monotonic()
        self._conditions.begin(ConditionKind.BROKER_QOS_0, evidence)


def _application(topic: str) -> str:
    """Return what stands before the device in the topic of a command, of either network server."""
    return topic.rsplit("/", 4)[0]


class NoConditions:
    """Conditions that nothing reads."""

    def begin(self, kind: ConditionKind, evidence: str) -> None: ...

    def end(self, kind: ConditionKind) -> None: ...
