"""The text of a metrics page: a line for each sample, made when its row changes and kept until it changes again.

Rendering all samples anew costs the client library 11 µs a sample, half a second for a company's page, all of it taken
from the threads that handle events; here a scrape joins ready text. Grammar: Prometheus text format 0.0.4 and
OpenMetrics 1.0, which differ only in what leads a counter and in the last line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from flowtell_exporters import families
from flowtell_exporters.families import Family
from flowtell_exporters.totals import FlowTotals, MeasureTotals, OwnTotals, RunEnds, TaskTotals

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Lines = Callable[[str, Any], str]
"""Makes a family's lines from ready label text and totals."""


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """`a="1",b="2"`, escaped."""
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=False)])


def sample(name: str, labels: str, value: float | None) -> str:
    """One line. A value of None is not a number."""
    shown = "NaN" if value is None else repr(value)
    return f"{name}{{{labels}}} {shown}\n" if labels else f"{name} {shown}\n"


def heading(family: Family, *, openmetrics: bool) -> str:
    """What leads a family: OpenMetrics names a counter without its suffix."""
    name = family.name.removesuffix("_total") if openmetrics and family.type == "counter" else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n"


# --- the lines of each family -------------------------------------------------------------------------------------


def _by(family: Family, label: str, numbers: Callable[[Any], Mapping[str, int]]) -> tuple[Family, Lines]:
    """A sample for each entry of a mapping, its key under `label`."""

    def lines(labels: str, totals: Any) -> str:
        lead = f'{family.name}{{{labels}{"," if labels else ""}{label}="'
        return "".join([f'{lead}{key}"}} {number}\n' for key, number in numbers(totals).items()])

    return family, lines


def _moment(family: Family, moment: Callable[[FlowTotals], int]) -> tuple[Family, Lines]:
    """A sample in seconds; none while it has not been."""

    def lines(labels: str, totals: FlowTotals) -> str:
        time = moment(totals)
        return sample(family.name, labels, time / 1e6) if time else ""

    return family, lines


def _flow_duration(labels: str, flow: FlowTotals) -> str:
    name, counts = families.FLOW_DURATION.name, list(accumulate(flow.buckets))
    bounds = [*map(repr, families.FLOW_DURATION.buckets), "+Inf"]
    buckets = [f'{name}_bucket{{{labels},le="{bound}"}} {number}\n' for bound, number in zip(bounds, counts, strict=True)]
    return "".join(buckets) + sample(f"{name}_sum", labels, flow.seconds) + sample(f"{name}_count", labels, counts[-1])


def _task_duration(labels: str, task: TaskTotals) -> str:
    name = families.TASK_DURATION.name
    return sample(f"{name}_sum", labels, task.seconds) + sample(f"{name}_count", labels, task.timed)


def _task_retries(labels: str, task: TaskTotals) -> str:
    return sample(families.TASK_RETRIES.name, labels, task.retries) if task.retries else ""


def _flow_info(labels: str, flow: FlowTotals) -> str:
    if not flow.declared:
        return ""
    facts = label_text(("owner", "source", "version"), (flow.owner, flow.source, flow.version))
    return sample(families.FLOW_INFO.name, f"{labels},{facts}", 1)


def _measure(labels: str, measure: MeasureTotals) -> str:
    return sample(families.MEASURE.name, labels, measure.value)


def _corrections(labels: str, own: OwnTotals) -> str:
    return sample(families.CORRECTIONS.name, labels, own.corrections)


class Kind:
    """How the rows of one kind become text: their labels, their totals, and the families they have samples in."""

    def __init__(self, labels: tuple[str, ...], totals: type[Any], *parts: tuple[Family, Lines]) -> None:
        self.labels, self.totals, self.parts = labels, totals, parts


_FLOW: Final = ("flow", "environment")
_TASK: Final = ("flow", "task", "environment")

KINDS: Final = {
    "flow": Kind(
        _FLOW,
        FlowTotals,
        _by(families.FLOW_RUNS, "state", lambda flow: flow.ends),
        (families.FLOW_DURATION, _flow_duration),
        _by(families.IN_PROGRESS, "state", lambda flow: {"running": 0, **flow.in_progress}),
        _moment(families.LAST_SUCCESS, lambda flow: flow.last_success),
        _moment(families.LAST_COMPLETION, lambda flow: flow.last_completion),
        _moment(families.OLDEST_RUNNING, lambda flow: flow.oldest_start),
        (families.FLOW_INFO, _flow_info),
    ),
    "task": Kind(
        _TASK,
        TaskTotals,
        _by(families.TASK_RUNS, "state", lambda task: task.ends),
        (families.TASK_DURATION, _task_duration),
        (families.TASK_RETRIES, _task_retries),
    ),
    "deployment": Kind(
        ("flow", "deployment", "environment"),
        RunEnds,
        _by(families.DEPLOYMENT_RUNS, "state", lambda deployment: deployment.ends),
    ),
    "measure": Kind((*_TASK, "name"), MeasureTotals, (families.MEASURE, _measure)),
    "own": Kind(
        (),
        OwnTotals,
        _by(families.EVENTS, "type", lambda own: own.events),
        (families.CORRECTIONS, _corrections),
        _by(families.OVERFLOW, "metric", lambda own: own.overflow),
    ),
}


def page(texts: Mapping[str, Iterable[str]], *, openmetrics: bool) -> str:
    """The families in the order of the registry, each with its lines of `texts`; one without any is left out."""
    parts: list[str] = []
    for family in families.FAMILIES:
        lines = "".join(texts.get(family.name, ()))
        if lines:
            parts += (heading(family, openmetrics=openmetrics), lines)
    return "".join(parts) + ("# EOF\n" if openmetrics else "")
