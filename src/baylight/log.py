"""Logs with one JSON line per event, on standard error. `event` is a fixed name for what happened."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from baylight.errors import escape


def configure(*, level: str = "info", readable: bool = False) -> None:
    """Set up all logs. `level`: debug, info, warning or error. `readable`: text for a terminal instead of JSON."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            *([_escaped] if readable else []),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if readable
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # While the database is away, its pools write a traceback at each try. The parts that need it report this once.
    logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format="%(message)s")


def _escaped(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what devices wrote, for a terminal. JSON does so by itself; a traceback keeps its lines."""
    texts = {name: escape(value) for name, value in event.items() if isinstance(value, str) and name != "exception"}
    return {**event, **texts}


def logger(name: str) -> Any:
    """Return a logger whose lines have `part=name`."""
    return structlog.get_logger(part=name)


class Outage:
    """Outage of a part. Its beginning and its end are logged once each, however often they are reported.

    The events are `<what>_outage` and `<what>_works_again`. Without a `log`, another part logs them.
    """

    def __init__(self, log: Any, what: str) -> None:
        self._log = log
        self._what = what
        self.reason: str | None = None
        """Reason in plain words. None while there is no outage."""

    def begin(self, reason: str) -> None:
        if self.reason is None and self._log is not None:
            self._log.warning(f"{self._what}_outage", reason=reason)
        self.reason = reason

    def end(self) -> None:
        if self.reason is not None and self._log is not None:
            self._log.info(f"{self._what}_works_again")
        self.reason = None
