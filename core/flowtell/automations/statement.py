"""What an automation says: the tables `[[automations]]` of a configuration file, and `when(...)` in code, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from flowtell.automations.filling import check_template
from flowtell.errors import BadValue, UnknownKey
from flowtell.rules import seconds
from flowtell.stated_tables import stated_tables

MOST_HOPS: Final = 12
"""The largest `max_hops`: an event of more hops than `flowtell.plugin.MAX_HOPS` is dropped by whoever would write it."""

_KEYS: Final = (
    "name", "when", "run", "parameters", "cooldown", "max_hops", "max_age", "wait", "active", "environment"
)  # fmt: skip
TRIGGER_KEYS: Final = ("event", "absent", "resource", "flow", "deployment", "state", "environment")
SPAN_KEYS: Final = ("cooldown", "max_age", "wait")

Patterns = tuple[str, ...]


class Trigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an automation waits for. Each is patterns such as `orders.*`, of which one is to fit; `!` in front takes out."""

    event: Patterns = ()
    """Types of events; empty where it is an absence."""
    absent: Patterns = ()
    within: float = 0.0
    """Seconds without such an event."""
    resource: Patterns = ()
    """Of an event of one's own, or the asset of one about assets."""
    flow: Patterns = ()
    deployment: Patterns = ()
    state: Patterns = ()
    environment: Patterns = ()


class Automation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Begins runs of `run` when its trigger is met. Spans are seconds."""

    name: str
    when: Trigger
    run: str
    """`flow/deployment`."""
    parameters: dict[str, Any] = {}
    """Beside those of the deployment; `{{ payload.day }}` stands for a field of the event."""
    environment: str = ""
    """Of the deployment; default: of the event."""
    cooldown: float = 0.0
    max_hops: int = 4
    max_age: float = 3600.0
    """Events that were older when they were read begin nothing."""
    wait: float = 600.0
    """How long a run waits for somebody who serves the deployment."""
    active: bool = True
    origin: str = ""
    """File and line, or the deployment that states it."""


def when(
    event: str | Sequence[str] | None = None,
    *,
    absent: str | Sequence[str] | None = None,
    within: str | float | None = None,
    resource: str | Sequence[str] | None = None,
    flow: str | Sequence[str] | None = None,
    deployment: str | Sequence[str] | None = None,
    state: str | Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    name: str = "",
    cooldown: str | float | None = None,
    max_hops: int | None = None,
    max_age: str | float | None = None,
    wait: str | float | None = None,
    active: bool = True,
) -> dict[str, Any]:
    """An automation of the deployment that it is given to: `.serve("main", automations=[when("orders.uploaded")])`.

    Args:
        event: type of the events that begin a run, or a pattern such as `orders.*`, or several.
        absent: the same for events whose absence `within` a span begins one.
        resource: their resource; `flow`, `deployment` and `state`: those of the run that they are about.
        parameters: beside the deployment's; `{{ payload.day }}` stands for a field of the event.
        cooldown: after a run was begun, no other is for so long.
        max_hops: how many automations may have led to the event; default: 4.
        max_age: how old an event may be when it is read; default: an hour.
        wait: how long a run waits until somebody serves the deployment; default: ten minutes.

    Raises:
        BadValue: one of these cannot be used.
    """
    trigger = {
        "event": event, "absent": absent, "within": within, "resource": resource, "flow": flow, "deployment": deployment,
        "state": state,
    }  # fmt: skip
    given = {
        "name": name or None, "when": {key: _plain(value) for key, value in trigger.items() if value is not None},
        "parameters": dict(parameters) if parameters else None, "cooldown": cooldown, "max_hops": max_hops,
        "max_age": max_age, "wait": wait, "active": None if active else False,
    }  # fmt: skip
    table = {key: value for key, value in given.items() if value is not None}
    automation_of({"name": "when", "run": "flow/deployment", **table}, "when(...)")
    return table


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else list(value)


def read_automations(path: str) -> tuple[Automation, ...]:
    """The automations that the file states, in its order.

    Raises:
        UnknownKey: a key that no automation has, with the closest one named.
        BadValue: a value that cannot be used, or a file that cannot be read.
    """
    found = tuple(automation_of(table, place) for table, place in stated_tables(path, "automations"))
    _refuse_twice(found)
    return found


def automation_of(table: Any, place: str) -> Automation:
    """The automation that one table states; `place` is named where it is at fault.

    Raises:
        UnknownKey, BadValue: as `read_automations`.
    """
    if not isinstance(table, Mapping):
        raise BadValue("automations", place, "it is no table; write [[automations]] above the keys of each")
    _refuse_unknown("automations", table, _KEYS, place)
    for key in ("name", "run"):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise BadValue(f"automations.{key}", place, "each automation has one, as text")
    flow, _, deployment = table["run"].partition("/")
    if not flow or not deployment:
        raise BadValue("automations.run", place, f"'{table['run']}' is no flow/deployment")
    return Automation(
        name=table["name"],
        when=_trigger(table.get("when"), place),
        run=table["run"],
        parameters=_parameters(table.get("parameters", {}), place),
        environment=_text("environment", table.get("environment", ""), place),
        max_hops=_hops(table.get("max_hops", 4), place),
        active=_switch(table.get("active", True), place),
        origin=place,
        **{key: _span(key, table[key], place) for key in SPAN_KEYS if key in table},
    )


def _trigger(given: Any, place: str) -> Trigger:
    if isinstance(given, str):
        given = {"event": given}
    if not isinstance(given, Mapping):
        raise BadValue("automations.when", place, 'it says what to wait for: when = { event = "orders.uploaded" }')
    _refuse_unknown("automations.when", given, (*TRIGGER_KEYS, "within"), place)
    if ("event" in given) == ("absent" in given):
        raise BadValue("automations.when", place, "it names either an event or one that is absent")
    if ("absent" in given) != ("within" in given):
        raise BadValue("automations.when.within", place, 'an absence, and nothing else, has a span: within = "2h"')
    found: dict[str, Any] = {key: _patterns(key, given[key], place) for key in TRIGGER_KEYS if key in given}
    if "within" in given:
        found["within"] = _span("when.within", given["within"], place)
        if not found["within"]:
            raise BadValue("automations.when.within", place, "it is longer than nothing")
    return Trigger(**found)


def _patterns(key: str, value: Any, place: str) -> Patterns:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise BadValue(f"automations.when.{key}", place, "it is no pattern such as 'orders.*', nor a list of some")
    return tuple(patterns)


def _parameters(given: Any, place: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise BadValue("automations.parameters", place, "it is no table of parameters by name")
    try:
        plain: dict[str, Any] = msgspec.to_builtins(dict(given), str_keys=True)  # a date of TOML becomes text
        check_template(plain)
    except (TypeError, ValueError) as error:
        raise BadValue("automations.parameters", place, str(error)) from error
    return plain


def _span(key: str, value: Any, place: str) -> float:
    try:
        found = float(seconds(value))
    except (TypeError, ValueError) as error:
        raise BadValue(f"automations.{key}", place, f"{value!r} is no span such as '2h'") from error
    if not 0 <= found < 10 * 366 * 86_400:
        raise BadValue(f"automations.{key}", place, f"{value!r} is no span that can be waited for")
    return found


def _hops(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_HOPS:
        raise BadValue("automations.max_hops", place, f"it is a whole number from 1 to {MOST_HOPS}")
    return value


def _switch(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise BadValue("automations.active", place, f"{value!r} is not true or false")
    return value


def _text(key: str, value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise BadValue(f"automations.{key}", place, f"{value!r} is not text")
    return value


def _refuse_unknown(prefix: str, given: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in given:
        if key not in known:
            raise UnknownKey(f"{prefix}.{key}", place, next(iter(difflib.get_close_matches(key, known, n=1)), ""))


def _refuse_twice(automations: Sequence[Automation]) -> None:
    seen: dict[str, str] = {}
    for each in automations:
        if each.name in seen:
            raise BadValue("automations.name", each.origin, f"'{each.name}' is the name of the one at {seen[each.name]}")
        seen[each.name] = each.origin


__all__ = ["MOST_HOPS", "SPAN_KEYS", "TRIGGER_KEYS", "Automation", "Trigger", "automation_of", "read_automations", "when"]
