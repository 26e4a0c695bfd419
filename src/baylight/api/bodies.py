"""Base of request bodies, and the words of the domain in them: services check them, the schema tells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, WithJsonSchema

from baylight.domain.downlink import ActuationStatus
from baylight.domain.state import State


class Body(BaseModel):
    """A misspelt field is refused instead of ignored."""

    model_config = ConfigDict(extra="forbid", str_max_length=2000)


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""With a time zone; UTC from here on."""
StateWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(state) for state in State]})]
StatusWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(status) for status in ActuationStatus]})]
DevEuiText = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[0-9A-Fa-f]{16}$", "examples": ["58a0cb0000101234"]})
]
