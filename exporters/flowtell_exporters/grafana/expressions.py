"""PromQL that several dashboards and rules share, made of the registry's names."""

from __future__ import annotations

from typing import Final

from flowtell_exporters.families import FLOW_RUNS, LAST_COMPLETION, LAST_SUCCESS, LEADER, Family

CHOSEN: Final = 'flow=~"$flow",environment=~"$environment"'
"""What a dashboard's variables have chosen."""

IN_ENVIRONMENT: Final = 'environment=~"$environment"'
BAD: Final = 'state=~"failed|crashed|timed_out"'

LEADING: Final = f"* on (job, instance) group_left () {LEADER.name}"
"""Behind a series that is to be summed: a server and its standby show the same totals, and the one that leads counts."""

RUN_LINK: Final = ("Runs of this flow", "${flowtell}/?flow=${__data.fields.flow}")
SERIES_LINK: Final = ("Runs of this flow", "${flowtell}/?flow=${__field.labels.flow}")


def increase(family: Family, where: str, by: str, window: str = "$__range", suffix: str = "") -> str:
    """How much a counter, or a histogram's part, rose in the window, by the named labels."""
    return f"sum by ({by}) (increase({family.name}{suffix}{{{where}}}[{window}]) {LEADING})"


def total(family: Family, where: str, by: str) -> str:
    """A gauge, summed by the named labels."""
    return f"sum by ({by}) ({family.name}{{{where}}} {LEADING})"


def share_of_bad(where: str, by: str, window: str = "$__range") -> str:
    """Runs that ended badly, of all that ended; nothing where none ended."""
    bad, ended = increase(FLOW_RUNS, f"{where},{BAD}", by, window), increase(FLOW_RUNS, where, by, window)
    return f"{bad} / ({ended} > 0)"


def quantile(q: float, family: Family, where: str, by: str, window: str = "$__range") -> str:
    """Of a histogram, by the named labels; nothing where nothing was observed."""
    buckets = increase(family, where, f"le, {by}", window, "_bucket")
    return f"histogram_quantile({q:g}, {buckets}) >= 0"


def latest_failed(where: str) -> str:
    """1 where a flow's last end was no success, 0 where it was, by the two moments."""
    completion = f"max by (flow, environment) ({LAST_COMPLETION.name}{{{where}}})"
    success = f"max by (flow, environment) ({LAST_SUCCESS.name}{{{where}}})"
    return f"({completion} > bool {success}) or ({completion} > bool 0)"


def age(family: Family, where: str, by: str) -> str:
    """Seconds since the moment."""
    return f"time() - max by ({by}) ({family.name}{{{where}}})"
