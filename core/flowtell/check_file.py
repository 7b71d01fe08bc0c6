"""Checks that a configuration states: the tables `[[checks]]`, each a flow that somebody else starts, and when it is due.

A server declares them as deployments, so that rules know a due time before the first check-in has come.
"""

from __future__ import annotations

import difflib
from typing import Any, Final

import msgspec

from flowtell.errors import BadSchedule, BadValue, UnknownKey
from flowtell.events import Schedule
from flowtell.schedules import cron, every
from flowtell.stated_tables import stated_tables

_KEYS: Final = ("flow", "deployment", "environment", "cron", "every", "tz", "grace", "tags", "owners", "description")
_TEXTS: Final = ("flow", "deployment", "environment", "cron", "every", "tz", "description")
_LISTS: Final = ("tags", "owners")


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deployment that nobody serves: something else starts it, and it checks in."""

    flow: str
    deployment: str
    environment: str = ""
    schedules: tuple[Schedule, ...] = ()
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    description: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it apart: environment, flow and deployment."""
        return self.environment, self.flow, self.deployment


def read_checks(path: str, environment: str = "") -> tuple[Check, ...]:
    """The checks that the file states, in its order; those that name no environment are in `environment`.

    Raises:
        UnknownKey: a key that no check has, with the closest one named.
        BadValue: a value that cannot be used, or a file that cannot be read.
    """
    stated = stated_tables(path, "checks")
    found = tuple(check_of(table, place, environment) for table, place in stated)
    _refuse_twice(found, [place for _, place in stated])
    return found


def check_of(table: Any, place: str, environment: str = "") -> Check:
    """The check that one table states; `place` is named where it is at fault.

    Raises:
        UnknownKey, BadValue: as `read_checks`.
    """
    if not isinstance(table, dict):
        raise BadValue("checks", place, "it is no table; write [[checks]] above the keys of each check")
    for key in table:
        if key not in _KEYS:
            raise UnknownKey(f"checks.{key}", place, next(iter(difflib.get_close_matches(key, _KEYS, n=1)), ""))
    _check_types(table, place)
    if not table.get("flow"):
        raise BadValue("checks.flow", place, "each check names the flow that checks in")
    return Check(
        flow=table["flow"],
        deployment=table.get("deployment") or table["flow"],
        environment=table.get("environment", environment),
        schedules=(_schedule(table, place),),
        tags=tuple(sorted(set(table.get("tags", ())))),
        owners=tuple(table.get("owners", ())),
        description=table.get("description", ""),
    )


def _check_types(table: dict[str, Any], place: str) -> None:
    for key in _TEXTS:
        if not isinstance(table.get(key, ""), str):
            raise BadValue(f"checks.{key}", place, f"{table[key]!r} is not text")
    for key in _LISTS:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise BadValue(f"checks.{key}", place, "it is no list of names")


def _schedule(table: dict[str, Any], place: str) -> Schedule:
    if ("cron" in table) == ("every" in table):
        raise BadValue("checks.cron", place, "each check says when it is due, by 'cron' or by 'every'")
    try:
        if "every" in table:
            return every(table["every"], grace=table.get("grace"))
        return cron(table["cron"], table.get("tz") or "UTC", grace=table.get("grace"))
    except BadSchedule as error:
        raise BadValue("checks.cron" if "cron" in table else "checks.every", place, str(error)) from error


def _refuse_twice(checks: tuple[Check, ...], places: list[str]) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for check, place in zip(checks, places, strict=True):
        if check.key in seen:
            raise BadValue("checks.deployment", place, f"{seen[check.key]} has the same; name the deployment of each")
        seen[check.key] = place


__all__ = ["Check", "check_of", "read_checks"]
