"""Request bodies: their base, bodies of several routes, and words of the domain. Services check the words; the schema
lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from baylight.domain.bounded_json import BOUND, check_json
from baylight.domain.downlink import ActuationStatus
from baylight.domain.state import State
from baylight.errors import CONTROL


class Body(BaseModel):
    """Base of request bodies. A misspelt field is refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=2000)

    @field_validator("*", mode="after")
    @classmethod
    def _no_control_characters(cls, value: object) -> object:
        if isinstance(value, str) and CONTROL.search(value):
            raise ValueError("a text has no control characters but tabs and line ends")
        return value


class Switch(Body):
    """Switch of something: on or off."""

    on: bool


def _text(at: object) -> object:
    if not isinstance(at, str) or at.lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("a time is ISO 8601 with a time zone, such as 2026-11-24T18:00Z")
    return at


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_utc)]
"""An instant with a time zone, in ISO 8601. It becomes UTC. A number of seconds is refused."""


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    check_json(value, "a JSON object")
    return value


JsonObject = Annotated[dict[str, Any], BeforeValidator(_bounded), Field(description=f"any JSON object of {BOUND}")]
StateWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(state) for state in State]})]
StatusWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(status) for status in ActuationStatus]})]
DevEuiText = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "pattern": r"^\s*([0-9A-Fa-f][\s:.-]*){16}$", "examples": ["58a0cb0000101234"]},
    ),
]
