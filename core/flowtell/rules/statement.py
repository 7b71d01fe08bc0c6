"""What every rule has beside its kind's arguments, and the checks that several kinds share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flowtell.events import RuleData
from flowtell.rules.spans import seconds

KINDS: Final = ("late", "too_long", "deadline", "stale", "failed", "measured", "budget", "absent", "blind")
"""Every kind that a rule may have; each has a function of its name in `flowtell.rules`."""

SEVERITIES: Final = ("info", "warning", "error", "critical")
"""PagerDuty's Events API v2 severities, which other channels map from."""

LONGEST: Final = 10 * 365 * 86_400.0
"""Seconds that any span of a rule may have: ten years."""

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})")


def state(kind: str, arguments: dict[str, Any], severity: str, labels: Mapping[str, str] | None, runbook: str) -> RuleData:
    """The rule as plain data.

    Raises:
        ValueError: a severity that does not exist.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity!r} is none of {', '.join(SEVERITIES)}")
    return RuleData(kind=kind, arguments=arguments, severity=severity, labels=dict(labels or {}), runbook=runbook)


def span(name: str, value: str | float, *, least: float = 0.0, most: float = LONGEST) -> float:
    """Seconds of a span within its range.

    Raises:
        ValueError: no span, or out of range; the message names the argument.
    """
    try:
        found = seconds(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not least <= found <= most:  # also what is no number
        raise ValueError(f"{name}: {value!r} is not between {_spelled(least)} and {_spelled(most)}")
    return found


def _spelled(amount: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if amount >= size and amount % size == 0:
            return f"{amount / size:g}{unit}"
    return f"{amount:g}s"


def count(name: str, value: object, least: int, most: int) -> int:
    """A whole number within its range.

    Raises:
        ValueError: it is none, or out of range; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} counts runs: a whole number from {least} to {most}, not {value!r}")
    return value


def texts(name: str, given: str | Iterable[object]) -> list[str]:
    """One text or several, as a list.

    Raises:
        ValueError: one of them is empty or no text.
    """
    found: list[str] = []
    for each in [given] if isinstance(given, str) and given else given:
        if not isinstance(each, str) or not each:
            raise ValueError(f"{name} holds names such as 'TimeoutError', not {each!r}")
        found.append(each)
    return found


def due_line(name: str, value: str, tz: str, days: str = "*") -> str:
    """A cron line of five fields, from one or from a time of day such as `7:00`; checked against its zone.

    Raises:
        ValueError: it is neither, or there is no such zone.
    """
    from flowtell.errors import BadSchedule
    from flowtell.schedules import cron

    clock = _CLOCK.fullmatch(str(value).strip())
    line = f"{int(clock[2])} {int(clock[1])} * * {days}" if clock else str(value)
    try:
        return cron(line, tz).expression
    except BadSchedule as error:
        problem = (
            error.problem if clock else f"{value!r} is no time of day such as '07:00' and no cron line: {error.problem}"
        )
        raise ValueError(f"{name}: {problem}") from None
