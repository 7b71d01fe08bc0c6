"""Rules about runs: how they end, how long they take, what they measure, how many of them may fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from flowtell.events import RuleData
from flowtell.rules.statement import count, span, state, texts

MOST_IN_A_ROW: Final = 100
DURATIONS_KEPT: Final = 128
"""Runs of which a learned bound is made, at most: the newest."""
MEASURES_KEPT: Final = 40
"""Values that make the history of a measure, at most: the newest."""
LONGEST_WINDOW: Final = 90 * 86_400.0
_MOST_WINDOWS: Final = 4
_SHORTEST_WINDOW: Final = 300.0
FOLDS: Final = ("last", "sum", "min", "max")


def failed(
    *,
    consecutive: int = 1,
    every: bool = False,
    only: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    recovery: int = 1,
    severity: str = "error",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """Runs of the flow end well: `failed`, `timed_out` and `crashed` open an incident, `completed` and `cached` resolve it.

    Reference: the ends of runs, in the order of their time. A run that is retried has not ended; a cancelled or skipped
    one says nothing, and neither does a back-fill. An incident grows with each further bad end. One that was over before
    anybody looked is kept as opened and resolved, unless that was over an hour ago; of what is over nobody is told.

    Args:
        consecutive: how many runs in a row must end badly before it opens, at most 100.
        every: each bad end is an incident of its own; a good end resolves them all.
        only: which bad ends count: types of the exception such as `"TimeoutError"` or `"*Timeout*"`, or states such as
            `"crashed"`; all, when empty. Others say nothing: they neither open nor resolve, nor break a row.
        ignore: which bad ends do not count, in the same words.
        recovery: how many runs in a row must end well before it resolves, at most 100.
    """
    arguments: dict[str, Any] = {"consecutive": count("consecutive", consecutive, 1, MOST_IN_A_ROW)}
    if every and consecutive > 1:
        raise ValueError("every run's own incident needs no row: leave out consecutive, or every")
    if every:
        arguments["every"] = True
    if named := texts("only", only):
        arguments["only"] = named
    if named := texts("ignore", ignore):
        arguments["ignore"] = named
    if count("recovery", recovery, 1, MOST_IN_A_ROW) > 1:
        arguments["recovery"] = recovery
    return state("failed", arguments, severity, labels, runbook)


def too_long(
    bound: str | float | None = None,
    *,
    quantile: float | None = None,
    factor: float | None = None,
    min_runs: int | None = None,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """A run of the flow ends within `bound` of its start, or within what its like have taken so far.

    Reference: the start of the run by its writer's clock; while it is paused the clock stands still. The incident opens
    two seconds after the bound, as the end may be on its way, lists every run of the flow that is past it, and resolves
    when none is, however they ended: how a run ended is the business of `failed`. A run that was too long and ended before
    anybody looked is kept as opened and resolved, unless that was over an hour ago; of what is over nobody is told.

    Args:
        bound: such as `"30m"`. Leave it out to have it learned.
        quantile: learn the bound: this quantile (0.95) of the newest 128 completed runs of the same flow, environment and
            deployment, times `factor`. Cached runs and back-fills teach nothing.
        factor: 1.5, where the bound is learned.
        min_runs: 20, where the bound is learned: with fewer completed runs the rule is silent.

    Raises:
        ValueError: neither a bound nor a quantile, or both.
    """
    learned = {"quantile": quantile, "factor": factor, "min_runs": min_runs}
    if bound is not None:
        given = [name for name, value in learned.items() if value is not None]
        if given:
            raise ValueError(f"a bound of its own leaves nothing to learn: leave out {', '.join(given)}, or the bound")
        return state("too_long", {"bound": span("bound", bound)}, severity, labels, runbook)
    if quantile is None:
        raise ValueError("write a bound such as '30m', or quantile=0.95 to have it learned")
    arguments = {
        "quantile": number("quantile", quantile, 0.5, 0.99),
        "factor": number("factor", 1.5 if factor is None else factor, 1.0, 100.0),
        "min_runs": count("min_runs", 20 if min_runs is None else min_runs, 5, DURATIONS_KEPT),
    }
    return state("too_long", arguments, severity, labels, runbook)


def measured(
    name: str,
    *,
    below: float | None = None,
    above: float | None = None,
    outside: float | None = None,
    min_runs: int | None = None,
    task: str = "",
    fold: str = "last",
    missing: bool = True,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """A number that runs state by `measure(name, …)` is neither below, nor above, nor outside its own history.

    Reference: the run that ended well last. Its number is looked at when it has ended, and a run that failed, was
    cancelled or came from a cache says nothing, nor does a back-fill. It resolves with the next one that is as it should be.

    Args:
        below: it is told of a number below this one.
        above: it is told of a number above this one.
        outside: it is told of a number farther from the median of the newest 40 than this many typical deviations (1.4826
            times the median deviation, and no less than a hundredth of the median). 5 is a good one.
        min_runs: 20: with fewer runs before it, there is no history to be outside of.
        task: of this task; else whatever the flow and its tasks state under the name.
        fold: which of several in one run counts: the `last`, their `sum`, `min` or `max`.
        missing: whether it is told that a run ended well without the number, where one had it before.

    Raises:
        ValueError: no bound at all, or one that cannot be.
    """
    if not str(name):
        raise ValueError(f"a measure is known by its name, such as 'rows', not {name!r}")
    if fold not in FOLDS:
        raise ValueError(f"fold: {fold!r} is none of {', '.join(FOLDS)}")
    bounds = {"below": below, "above": above, "outside": outside}
    given = {each: number(each, value) for each, value in bounds.items() if value is not None}
    _check_bounds(given, min_runs)
    arguments: dict[str, Any] = {"name": name, **given}
    if outside is not None:
        arguments["min_runs"] = count("min_runs", 20 if min_runs is None else min_runs, 5, MEASURES_KEPT)
    optional = {"task": task, "fold": "" if fold == "last" else fold}
    arguments |= {each: value for each, value in optional.items() if value}
    if not missing:
        arguments["missing"] = False
    return state("measured", arguments, severity, labels, runbook)


def _check_bounds(given: dict[str, float], min_runs: int | None) -> None:
    if not given:
        raise ValueError("say what is wrong with a number: below=, above= or outside=")
    if "below" in given and "above" in given and given["below"] > given["above"]:
        raise ValueError(f"every number is below {given['below']:g} or above {given['above']:g}")
    if given.get("outside", 1.0) <= 0:
        raise ValueError("outside counts typical deviations: more than none, such as 5")
    if min_runs is not None and "outside" not in given:
        raise ValueError("min_runs is the least history for outside=; a fixed bound needs none")


def budget(
    success: float | str = 0.99,
    *,
    windows: str | float | Sequence[str | float] = ("1d", "28d"),
    min_runs: int = 20,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """Of the runs that ended in a window, at least the share `success` ended well.

    Reference: the window up to now, whose far edge moves by hundredths of it. Counted in runs, not in time, so that a flow
    with thirty runs a month has a budget too. Only a bad end opens it: that a good run falls out of the window never does.
    Cancelled, skipped and back-filled runs are not counted.

    Args:
        success: such as 0.99 or `"99%"`.
        windows: up to four spans from five minutes to 90 days. Each is judged for itself, one that is spent suffices.
        min_runs: a window with fewer runs is silent.
    """
    given = [windows] if isinstance(windows, str | int | float) else list(windows)
    if not 1 <= len(given) <= _MOST_WINDOWS:
        raise ValueError(f"windows: from one to {_MOST_WINDOWS} spans, such as ('1d', '28d')")
    spans = {span("windows", each, least=_SHORTEST_WINDOW, most=LONGEST_WINDOW) for each in given}
    arguments = {
        "success": _share(success),
        "windows": sorted(spans),
        "min_runs": count("min_runs", min_runs, 1, 1_000_000),
    }
    return state("budget", arguments, severity, labels, runbook)


def _share(success: float | str) -> float:
    problem = ValueError(f"success: {success!r} is no share of runs between 0 and 1; write 0.99 or '99%'")
    try:
        found = float(success[:-1]) / 100 if isinstance(success, str) and success.endswith("%") else float(success)
    except ValueError:
        raise problem from None
    if isinstance(success, bool) or not 0 < found < 1:
        raise problem
    return round(found, 9)


def number(name: str, value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number within its range.

    Raises:
        ValueError: it is none, or out of range; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is a number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name}: {value!r} is not between {least:g} and {most:g}")
    return float(value)
