"""What a deployment's own tags say to flowtell, such as `flowtell.max=30m` or `flowtell.owner=growth`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from flowtell import rules
from flowtell.events import RuleData
from flowtell_alerts._stated import Stated

PREFIX: Final = "flowtell."
OFF: Final = "off"
_MAX_TEXT: Final = 200
_MAX_TAGS: Final = 200


class Said(Struct, frozen=True):
    """What the tags say, all together."""

    stated: tuple[Stated, ...] = ()
    owners: tuple[str, ...] = ()
    severity: str = ""
    """Of every incident about the deployment's runs; the most severe where several tags name one."""


def _max(value: str) -> RuleData:
    """A span, or `learned`."""
    return rules.too_long(quantile=0.95) if value == "learned" else rules.too_long(value)


def _failed(value: str) -> RuleData:
    if not value.isdecimal():
        raise ValueError(f"'{value}' counts no runs; write a number such as 3, or off")
    return rules.failed(consecutive=int(value))


def _deadline(value: str) -> RuleData:
    """Such as `06:30`, `06:30 Europe/Berlin` or `06:30 Europe/Berlin mon-fri`."""
    at, tz, days, *_ = [*value.split(), "", "", ""]
    return rules.deadline(at, tz or "UTC", days=days or "*")


def _stale(value: str) -> RuleData:
    """A span such as `26h`; or a time of day with its zone, as of a deadline. Of whatever the flow makes."""
    at, tz, *_ = [*value.split(), ""]
    return rules.stale(by=at, tz=tz or "UTC") if ":" in at else rules.stale(within=value)


def _measured(value: str) -> RuleData:
    """Such as `rows<1000`, `cost>5` or `rows~5`, which is outside."""
    found = _BOUND.fullmatch(value)
    if found is None:
        raise ValueError(f"'{value}' is no bound of a measure; write rows<1000, cost>5, or rows~5 for outside its history")
    name, sign, bound = found.groups()
    number = float(bound)
    return rules.measured(
        name.strip(),
        below=number if sign == "<" else None,
        above=number if sign == ">" else None,
        outside=number if sign == "~" else None,
    )


def _absent(value: str) -> RuleData:
    """Such as `shop.orders.exported 26h`."""
    event, _, within = value.partition(" ")
    return rules.absent(event, within=within.strip() or "nothing")


_BOUND: Final = re.compile(r"([^<>~]+)([<>~])\s*(\d+(?:\.\d+)?)")

_RULES: Final[dict[str, tuple[str, Callable[[str], RuleData]]]] = {
    "late": ("late", rules.late),
    "max": ("too_long", _max),
    "deadline": ("deadline", _deadline),
    "stale": ("stale", _stale),
    "failed": ("failed", _failed),
    "measured": ("measured", _measured),
    "budget": ("budget", rules.budget),
    "absent": ("absent", _absent),
    "blind": ("blind", rules.blind),
}
"""Word of the tag, kind of the rule, and how its value is read."""


def said_by(tags: Iterable[str]) -> Said:
    """Never raises: a tag of ours that cannot be understood is kept, to be shown."""
    stated: list[Stated] = []
    owners: list[str] = []
    severities: list[str] = []
    for tag in sorted(set(tags))[:_MAX_TAGS]:
        word, _, value = tag.removeprefix(PREFIX).partition("=")
        if not tag.startswith(PREFIX):
            continue
        if word == "owner" and value.strip():
            owners.append(value.strip()[:_MAX_TEXT])
        elif word == "severity" and value.strip() in rules.SEVERITIES:
            severities.append(value.strip())
        else:
            stated.append(_stated(tag[:_MAX_TEXT], word, value.strip()))
    return Said(tuple(stated), tuple(owners), max(severities, key=rules.SEVERITIES.index, default=""))


def _stated(tag: str, word: str, value: str) -> Stated:
    if word not in _RULES:
        known = ", ".join(f"{PREFIX}{each}" for each in (*_RULES, "owner", "severity"))
        what = f"'{value[:40]}' is none of {', '.join(rules.SEVERITIES)}" if word == "severity" else f"tags are {known}"
        return _odd(tag, word, what)
    kind, make = _RULES[word]
    if value == OFF:
        return Stated(RuleData(kind=kind, arguments={"off": True}), "tag", tag)
    try:
        return Stated(make(value), "tag", tag)
    except ValueError as error:
        return _odd(tag, kind, str(error)[:_MAX_TEXT])


def _odd(tag: str, kind: str, problem: str) -> Stated:
    return Stated(RuleData(kind=kind[:40], arguments={"tag": tag}), "tag", tag, problem)
