"""Rules for those who cannot change a flow: the tables `[[rules]]` of a configuration file, checked, each with its line.

A table names a kind and that kind's arguments, says by a selector which runs it is about, and what to do about an
incident. This module reads and checks; `flowtell-alerts` declares what it read and honours it.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from flowtell import rules
from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey
from flowtell.events import RuleData
from flowtell.stated_tables import stated_tables

SELECTORS: Final = ("flow", "tag", "deployment", "owner", "environment", "source")
"""Keys that say which runs a rule is about. Each holds a pattern or several; `!` in front of one takes out."""

_ABOUT: Final = ("severity", "labels", "runbook")
_COMMON: Final = ("kind", "off", *SELECTORS, *_ABOUT)


class StatedRule(msgspec.Struct, frozen=True):
    """One rule and the place that states it."""

    rule: RuleData
    origin: str
    """File and, where that can be told, line: `flowtell.toml:12`."""


def read_rules(path: str) -> tuple[StatedRule, ...]:
    """The rules that the file states, in its order; none where it has no `[[rules]]`.

    Raises:
        UnknownKey: a key that no rule of that kind has, with the closest one named.
        BadValue: a value that cannot be used, or a file that cannot be read.
    """
    return tuple(StatedRule(rule_of(table, place), place) for table, place in stated_tables(path, "rules"))


# --- one table ----------------------------------------------------------------------------------------------------


def rule_of(table: Mapping[str, Any], place: str) -> RuleData:
    """The rule that one table states; `place` is named where it is at fault.

    Raises:
        UnknownKey, BadValue: as `read_rules`.
    """
    kind = _kind(table, place)
    own = {key: value for key, value in table.items() if key not in _COMMON}
    about = {key: table[key] for key in _ABOUT if key in table}
    _check_about(about, place)
    made = _off(kind, own, place) if _is_off(table, place) else _stated(getattr(rules, kind), own, about, place)
    return msgspec.structs.replace(made, selector=_selector(table, place))


def _kind(table: Mapping[str, Any], place: str) -> str:
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise BadValue("rules.kind", place, f"each rule names its kind: {', '.join(rules.KINDS)}")
    if kind not in rules.KINDS:
        hint = _closest(kind, rules.KINDS)
        better = f"did you mean '{hint}'?" if hint else f"kinds are {', '.join(rules.KINDS)}"
        raise BadValue("rules.kind", place, f"there is no rule of kind '{kind}'; {better}")
    return kind


def _is_off(table: Mapping[str, Any], place: str) -> bool:
    off = table.get("off", False)
    if not isinstance(off, bool):
        raise BadValue("rules.off", place, f"{off!r} is not true or false")
    return off


def _off(kind: str, own: Mapping[str, Any], place: str) -> RuleData:
    for key in own:
        raise BadValue(f"rules.{key}", place, "a rule that is off has no arguments")
    return RuleData(kind=kind, arguments={"off": True})


def _stated(maker: Callable[..., RuleData], own: Mapping[str, Any], about: Mapping[str, Any], place: str) -> RuleData:
    parameters = {name: each for name, each in inspect.signature(maker).parameters.items() if name not in _ABOUT}
    _refuse_unknown(own, (*parameters, *_COMMON), place)
    hints = get_type_hints(maker)
    for name, parameter in parameters.items():
        if name in own:
            _check_argument(name, own[name], hints[name], place)
        elif parameter.default is parameter.empty:
            raise BadValue(f"rules.{name}", place, f"a rule of kind '{maker.__name__}' needs it")
    try:
        return maker(**own, **about)
    except (TypeError, ValueError) as error:
        raise BadValue("rules", place, str(error)) from error


def argument_types() -> dict[str, tuple[Any, list[str]]]:
    """Every argument that a rule of a file may have: its type, and the kinds that have it."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for kind in rules.KINDS:
        hints = get_type_hints(getattr(rules, kind))
        for name in inspect.signature(getattr(rules, kind)).parameters:
            if name not in _ABOUT:
                found.setdefault(name, (hints[name], []))[1].append(kind)
    return found


def _check_argument(name: str, value: Any, kind: Any, place: str) -> None:
    try:
        convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadValue(f"rules.{name}", place, str(error)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(f"rules.{name}", place, f"{value} is no number that can be kept")


def _check_about(about: Mapping[str, Any], place: str) -> None:
    for key, kind in (("severity", str), ("runbook", str), ("labels", dict[str, str])):
        if key in about:
            _check_argument(key, about[key], kind, place)
    if about.get("severity", "info") not in rules.SEVERITIES:
        raise BadValue("rules.severity", place, f"'{about['severity']}' is none of {', '.join(rules.SEVERITIES)}")


def _selector(table: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Each key as a list of patterns, so that one spelling stands for both."""
    return {key: _patterns(key, table[key], place) for key in SELECTORS if key in table}


def _patterns(key: str, value: Any, place: str) -> list[str]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise BadValue(f"rules.{key}", place, "it is no pattern such as 'ingest_*', nor a list of some")
    return patterns


def _refuse_unknown(given: Iterable[str], known: Iterable[str], place: str) -> None:
    names = tuple(known)
    for key in given:
        if key not in names:
            raise UnknownKey(f"rules.{key}", place, _closest(key, names))


def _closest(word: str, words: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(words), n=1, cutoff=0.7)), "")


__all__ = ["SELECTORS", "StatedRule", "argument_types", "read_rules", "rule_of"]
