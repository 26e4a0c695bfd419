"""Check of the parameters of a query: a misspelt filter must not answer as if there were none."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


async def check_query(request: Request) -> None:
    """Refuse a parameter that the route does not have, and a single value that is given twice.

    Raises RequestValidationError, which names each such parameter.
    """
    if not request.query_params:
        return
    known = dict(_parameters(request.scope["route"].dependant))
    has = f"it has {', '.join(sorted(known))}" if known else "it has none"
    errors = []
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            errors.append({"loc": ("query", name[:100]), "msg": f"this route has no such parameter; {has}"})
        elif count > 1 and not known[name]:
            errors.append({"loc": ("query", name), "msg": "this parameter has one value, but is given several times"})
    if errors:
        raise RequestValidationError(errors)


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the name of each parameter of a route's query, and whether it may be repeated."""
    for field in dependant.query_params:
        yield field.alias, typing.get_origin(field.field_info.annotation) is list
    for part in dependant.dependencies:
        yield from _parameters(part)
