"""Rules about moments that a clock sets: a run starts when it is due, ends by a time of day, and we can see it."""

from __future__ import annotations

from typing import Any

from flowtell.events import RuleData
from flowtell.rules.statement import due_line, span, state


def late(
    after: str | float | None = None,
    *,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """A run starts within `after` of the time for which it is due.

    Reference: the due time, as the deployment's schedule or the source says it. Never the time at which somebody put the
    run into a queue. Each due time is judged for itself, once the log is known to be complete up to the end of its grace.
    It resolves when the run for that due time starts, or when nothing owes one any more.

    Args:
        after: the grace, such as `"15m"`; default: the schedule's own `grace`, else a minute.
    """
    arguments = {} if after is None else {"after": span("after", after)}
    return state("late", arguments, severity, labels, runbook)


def deadline(
    at: str,
    tz: str = "UTC",
    *,
    days: str = "*",
    severity: str = "error",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """By a time of day a run of that day has ended well.

    Reference: the clock on the wall of the zone `tz`. It says nothing of when the run was due or took its start.

    Args:
        at: a time of day such as `"06:30"`.
        tz: a zone such as `"Europe/Berlin"`; its changes of the clock are followed as by cron.
        days: the days of the week for which it holds, as a cron line has them: `"mon-fri"`, `"1,3"`.
    """
    arguments: dict[str, Any] = {"at": _time_of_day(at), "tz": tz, "days": days}
    due_line("at", at, tz, days)
    return state("deadline", arguments, severity, labels, runbook)


def _time_of_day(at: str) -> str:
    hour, colon, minute = str(at).strip().partition(":")
    if not colon or not (hour.isdigit() and minute.isdigit()) or int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"at: {at!r} is no time of day; write it as '06:30'")
    return f"{int(hour):02}:{int(minute):02}"


def blind(
    after: str | float = "5m",
    *,
    severity: str = "error",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """Whoever reports the runs was heard of within `after`: otherwise nobody knows whether they are late.

    Reference: the moment up to which the log is known to be complete. While it is older than `after`, what would be late
    is unknown, and told as one incident about the writer or source instead.
    """
    return state("blind", {"after": span("after", after, least=1.0)}, severity, labels, runbook)
