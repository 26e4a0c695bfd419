"""Base of request bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A misspelt field is refused instead of ignored."""

    model_config = ConfigDict(extra="forbid", str_max_length=2000)
