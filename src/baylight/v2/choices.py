"""Choices that only the operator can make, in one TOML file. `inspect` proposes it; `plan` and `apply` check it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from baylight.codecs.catalogue import load_catalogue
from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.schema import OWN, UNKNOWN_TYPES, relation_exists

RESOLUTIONS: dict[str, tuple[str, ...]] = {
    "bad_eui": ("quarantine",),
    "contested_sensor": ("oldest", "newest", "none"),
    "both_roles": ("both", "sensor", "display"),
    "shared_display": ("shared", "none"),
    "deleted_space": ("release",),
    "half_position": ("quarantine",),
    "overlap": ("earliest",),
    "empty_name": ("quarantine",),
    "closed_by_hand": ("keep", "open"),
    "reserved_by_hand": ("keep", "open"),
}
"""Resolutions that each finding allows. `inspect` proposes the first."""

PROPOSED_CODES = {"MAINTENANCE": "ffa5006400"}
"""Codes of V2 that differ from the catalogue's, by state.

A display keeps its code until `baylight v2 colours --fix`.
"""

_SECTIONS = {"resolve", "types", "display_codes", "contract", "limits"}

_AT_SWITCH = ("switch", "switch", "go back with `baylight v2 rollback --to verify`")
_USED = {"closed_by_hand": _AT_SWITCH, "reserved_by_hand": _AT_SWITCH}
"""Resolutions that another step than `contested` uses: the step, its stage, and the way back."""


class _Rule(NamedTuple):
    """Rule for the value of a key, and how it is said."""

    says: str
    holds: Callable[[Any], bool]


_CONTRACT = {
    "legacy_names": _Rule("views or gone", lambda value: value in ("views", "gone")),
    "legacy_role": _Rule("the name of a role, in quotes", lambda value: isinstance(value, str) and value != ""),
    "require": _Rule(
        "a list of sensor, display or both",
        lambda value: isinstance(value, list) and all(role in ("sensor", "display") for role in value),
    ),
}
_LIMITS = {
    "quarantine": _Rule("a whole number, 0 or more", lambda value: type(value) is int and value >= 0),
    "replication_lag_s": _Rule("a number above 0", lambda value: type(value) in (int, float) and value > 0),
}

STORE = Statement("v2.choices.store")
FORGET_TYPE_RULES = Statement("v2.choices.forget_type_rules")
ADD_TYPE_RULE = Statement("v2.choices.add_type_rule")
STORED = Query("v2.choices.stored", dict[str, object])


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices of the operator. `types`: role -> EUI prefix -> device type. The prefix `""` fits every device."""

    resolve: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {"sensor": {"": "unknown_sensor"}, "display": {"": "kuando_busylight"}}
    )
    display_codes: Mapping[str, str] = field(default_factory=lambda: dict(PROPOSED_CODES))
    legacy_names: str = "views"
    legacy_role: str | None = None
    require: tuple[str, ...] = ()
    quarantine_limit: int = 10_000
    replication_lag_s: float = 10.0

    def of(self, finding: str) -> str:
        """Return the resolution of a finding."""
        return self.resolve.get(finding, RESOLUTIONS[finding][0])


def parse(text: str) -> Choices:
    """Read a choices file. Raises InputError `bad_choices` that names every mistake at once."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("bad_choices", f"the choices are not TOML: {error}") from error
    mistakes = list(_mistakes(given))
    if mistakes:
        raise InputError("bad_choices", "; ".join(mistakes), mistakes=mistakes)
    contract, limits = given.get("contract", {}), given.get("limits", {})
    default = Choices()
    types = {role: {**default.types[role], **given.get("types", {}).get(role, {})} for role in ("sensor", "display")}
    return Choices(
        resolve=given.get("resolve", {}),
        types=types,
        display_codes={k: v.lower() for k, v in given.get("display_codes", {}).items()},
        legacy_names=contract.get("legacy_names", default.legacy_names),
        legacy_role=contract.get("legacy_role"),
        require=tuple(contract.get("require", ())),
        quarantine_limit=limits.get("quarantine", default.quarantine_limit),
        replication_lag_s=limits.get("replication_lag_s", default.replication_lag_s),
    )


def _mistakes(given: dict[str, Any]) -> Iterable[str]:
    for key in given.keys() - _SECTIONS:
        yield f"unknown section [{key}]"
    wrong = [key for key in given.keys() & _SECTIONS if not isinstance(given[key], dict)]
    yield from (f"{key} = {given[key]!r}: write a section [{key}]" for key in wrong)
    sections = {key: {} if key in wrong else given.get(key, {}) for key in _SECTIONS}
    yield from _mistakes_in_resolve(sections["resolve"])
    yield from _mistakes_in_types(sections["types"])
    for state, code in sections["display_codes"].items():
        hex_ = isinstance(code, str) and re.fullmatch("([0-9a-fA-F]{2})+", code)
        if state not in ("FREE", "OCCUPIED", "RESERVED", "MAINTENANCE") or not hex_:
            yield f"[display_codes] {state} = {code!r}: one of V2's states, and hex"
    yield from _mistakes_in_keys("contract", sections["contract"], _CONTRACT)
    yield from _mistakes_in_keys("limits", sections["limits"], _LIMITS)


def _mistakes_in_resolve(resolve: dict[str, Any]) -> Iterable[str]:
    for key, value in resolve.items():
        if key not in RESOLUTIONS:
            yield f"[resolve] {key}: no such finding"
        elif value not in RESOLUTIONS[key]:
            yield f"[resolve] {key} = {value!r}: one of {', '.join(RESOLUTIONS[key])}"


def _mistakes_in_types(types: dict[str, Any]) -> Iterable[str]:
    categories = {kind.code: kind.category for kind in load_catalogue()} | dict(UNKNOWN_TYPES)
    for role, rules in types.items():
        if role not in ("sensor", "display") or not isinstance(rules, dict):
            yield f"[types.{role}]: a section, sensor or display"
            continue
        for prefix, code in rules.items():
            if not re.fullmatch("[0-9a-f]{0,16}", prefix):
                yield f"[types.{role}] {prefix!r}: a prefix is up to 16 lower-case hex digits"
            if not isinstance(code, str) or categories.get(code) != role:
                yield f"[types.{role}] {prefix!r} = {code!r}: no {role} type of the catalogue"


def _mistakes_in_keys(section: str, values: dict[str, Any], rules: Mapping[str, _Rule]) -> Iterable[str]:
    for key, value in values.items():
        if key not in rules:
            yield f"[{section}] {key}: unknown; one of {', '.join(rules)}"
        elif not rules[key].holds(value):
            yield f"[{section}] {key} = {value!r}: {rules[key].says}"


def render(findings: Iterable[str], legacy_role: str, types: Mapping[str, Mapping[str, str]]) -> str:
    """Return the file that `inspect` proposes, with each of these findings and the first of its resolutions."""
    lines = ["# Proposed by `baylight v2 inspect`. Read it, change it, and give it to plan and apply.", "[resolve]"]
    lines += [
        f'{name} = "{RESOLUTIONS[name][0]}"  # {" | ".join(RESOLUTIONS[name])}'
        for name in RESOLUTIONS
        if name in set(findings)
    ]
    for role in ("sensor", "display"):
        lines += ["", f'# The longest prefix that fits; "" fits every {role}.', f"[types.{role}]"]
        lines += [f'"{prefix}" = "{code}"' for prefix, code in sorted(types[role].items())]
    lines += ["", "# Codes of V2's displays that differ from the catalogue's.", "[display_codes]"]
    lines += [f'{state} = "{code}"' for state, code in PROPOSED_CODES.items()]
    lines += [
        "",
        "[contract]",
        'legacy_names = "views"  # views | gone',
        f'legacy_role = "{legacy_role}"  # the role that the V2 application logs in as',
        "require = []  # sensor, display: live spaces must have these devices",
        "",
        "[limits]",
        "quarantine = 10000  # stop when more than this cannot be carried",
        "replication_lag_s = 10",
    ]
    return "\n".join(lines) + "\n"


def proposed_types() -> dict[str, dict[str, str]]:
    """Return the default types, and the catalogue's own prefixes."""
    found = {role: dict(rules) for role, rules in Choices().types.items()}
    for kind in load_catalogue():
        for prefix in kind.dev_eui_prefixes:
            found[kind.category].setdefault(prefix.lower(), kind.code)
    return found


async def store(connection: Connection, choices: Choices) -> None:
    """Store the choices for the triggers, and for a later `apply` without the file. Idempotent."""
    rules = [(role, prefix, code) for role, by in choices.types.items() for prefix, code in by.items()]
    async with connection.transaction():
        await STORE.run(connection, choices=choices)
        await FORGET_TYPE_RULES.run(connection)
        await ADD_TYPE_RULE.run_many(connection, rules)


async def stored(connection: Connection) -> Choices | None:
    """Return the choices of an earlier `apply`, or None."""
    if not await relation_exists(connection, f"{OWN}.control"):
        return None
    kept = await STORED.one(connection)
    return msgspec.convert(kept, Choices) if kept else None


def changed_too_late(before: Choices, now: Choices, done: Set[str]) -> tuple[list[str], list[str]]:
    """Return the changes that the migration can no longer follow, and those that it follows only from now on.

    `done`: the names of the steps that are done.
    """
    refused, late = [], []
    for key in RESOLUTIONS:
        step, stage, way = _USED.get(key, ("contested", "backfill", "undo all with `baylight v2 rollback --to start`"))
        if before.of(key) != now.of(key) and step in done:
            refused.append(
                f"[resolve] {key} was used as {before.of(key)!r} by the stage {stage}: put it back, or {way}"
            )
    if "contested" in done:
        if before.types != now.types:
            late.append("[types]: devices that are registered keep their type; change it with `baylight device change`")
        if before.display_codes != now.display_codes:
            late.append("[display_codes]: displays that are registered keep their codes; see `baylight v2 colours`")
    if "contract" in done:
        refused += [
            f"[contract] {key} was used by the stage contract: put it back, or go back with "
            "`baylight v2 rollback --to switch`"
            for key in _CONTRACT
            if getattr(before, key) != getattr(now, key)
        ]
    return refused, late
