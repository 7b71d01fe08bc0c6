"""The text of a metrics page: a line for each sample, made when its row changes and kept until it changes again.

Rendering all samples anew costs the client library 11 µs a sample, half a second for a company's page, all of it taken
from the threads that handle events; here a scrape joins ready text. Grammar: Prometheus text format 0.0.4 and
OpenMetrics 1.0, which differ in what leads a counter, in the last line, and in exemplars, which the first has not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from flowtell.decoders import decoder
from flowtell_exporters import families
from flowtell_exporters.exemplars import Exemplar, exemplar_text
from flowtell_exporters.families import Family
from flowtell_exporters.histogram import Histogram
from flowtell_exporters.subjects import clean_label
from flowtell_exporters.totals import (
    AssetTotals,
    CapacityTotals,
    DeploymentTotals,
    FlowTotals,
    IncidentTotals,
    MeasureTotals,
    NotificationTotals,
    OwnTotals,
    TaskTotals,
)

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Lines = Callable[[str, Any], str]
"""Makes a family's lines from ready label text and totals."""


def label_text(names: Sequence[str], values: Iterable[str]) -> str:
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
    """A sample for each entry of a mapping, its key under `label`; with the run that raised it last, where one is known."""
    name, exemplars = family.name, family.exemplars

    def lines(labels: str, totals: Any) -> str:
        lead = f'{name}{{{labels},{label}="' if labels else f'{name}{{{label}="'
        examples = totals.exemplars if exemplars else None
        if not examples:
            return "".join([f'{lead}{key}"}} {number}\n' for key, number in numbers(totals).items()])
        return "".join(
            [f'{lead}{key}"}} {number}{exemplar_text(examples.get(key))}\n' for key, number in numbers(totals).items()]
        )

    return family, lines


def _moment(family: Family, moment: Callable[[Any], int]) -> tuple[Family, Lines]:
    """A sample in seconds; none while it has not been."""

    def lines(labels: str, totals: Any) -> str:
        time = moment(totals)
        return sample(family.name, labels, time / 1e6) if time else ""

    return family, lines


def buckets(name: str, labels: str, histogram: Histogram, total: int, examples: Mapping[int, Exemplar]) -> str:
    """The cumulative buckets of a histogram; `total` is the last one's."""
    counts = [*accumulate(histogram.counts[:-1] or [0] * len(histogram.bounds)), total]
    bounds = [*map(repr, map(float, histogram.bounds)), "+Inf"]
    lead = f'{name}_bucket{{{labels},le="'
    return "".join(
        [
            f'{lead}{bound}"}} {number}{exemplar_text(examples.get(at))}\n'
            for at, (bound, number) in enumerate(zip(bounds, counts, strict=True))
        ]
    )


def _distribution(name: str, labels: str, histogram: Histogram, exemplars: Mapping[str, Exemplar], lead: str) -> str:
    total, places = sum(histogram.counts), range(len(histogram.bounds) + 1)
    examples = {at: exemplars[f"{lead}{at}"] for at in places if f"{lead}{at}" in exemplars} if exemplars else {}
    lines = buckets(name, labels, histogram, total, examples)
    return lines + sample(f"{name}_sum", labels, histogram.seconds) + sample(f"{name}_count", labels, total)


def _flow_duration(labels: str, flow: FlowTotals) -> str:
    return _distribution(families.FLOW_DURATION.name, labels, flow.duration, flow.exemplars, "le")


def _start_delay(labels: str, flow: FlowTotals) -> str:
    if not flow.delay.counts:
        return ""
    return _distribution(families.START_DELAY.name, labels, flow.delay, flow.exemplars, "delay")


def _task_duration(labels: str, task: TaskTotals) -> str:
    name = families.TASK_DURATION.name
    sums = f"{name}_sum{{{labels}}} {task.seconds!r}\n{name}_count{{{labels}}} {task.timed}\n"
    return sums if task.histogram is None else buckets(name, labels, task.histogram, task.timed, {}) + sums


def _task_retries(labels: str, task: TaskTotals) -> str:
    return sample(families.TASK_RETRIES.name, labels, task.retries) if task.retries else ""


def _flow_info(labels: str, flow: FlowTotals) -> str:
    if not flow.declared:
        return ""
    facts = label_text(("owner", "source", "version"), map(clean_label, (flow.owner, flow.source, flow.version)))
    return sample(families.FLOW_INFO.name, f"{labels},{facts}", 1)


def _measure(labels: str, measure: MeasureTotals) -> str:
    return sample(families.MEASURE.name, labels, measure.value)


def _capacity(family: Family, number: Callable[[CapacityTotals], int | None]) -> tuple[Family, Lines]:
    def lines(labels: str, capacity: CapacityTotals) -> str:
        known = number(capacity)
        return "" if known is None else sample(family.name, labels, known)

    return family, lines


def _incidents(labels: str, incidents: IncidentTotals) -> str:
    example = exemplar_text(incidents.exemplars.get(""))
    return f"{families.INCIDENTS.name}{{{labels}}} {incidents.opened}{example}\n"


def _incidents_open(labels: str, incidents: IncidentTotals) -> str:
    return sample(families.INCIDENTS_OPEN.name, labels, len(incidents.open))


def _source_up(labels: str, own: OwnTotals) -> str:
    family = families.SOURCE_UP
    return "".join([sample(family.name, label_text(family.labels, (name,)), up) for name, (_, up) in own.sources.items()])


def _corrections(labels: str, own: OwnTotals) -> str:
    return sample(families.CORRECTIONS.name, labels, own.corrections)


class Kind:
    """How the rows of one kind become text: their labels, their totals, and the families they have samples in."""

    def __init__(self, labels: tuple[str, ...], totals: type[Any], *parts: tuple[Family, Lines]) -> None:
        self.labels, self.totals, self.parts = labels, totals, parts
        self.lines = [lines for _, lines in parts]
        self.decode: Callable[[str], Any] = decoder(totals)
        self.has_exemplars = "exemplars" in totals.__struct_fields__


_FLOW: Final = ("flow", "environment")
_TASK: Final = ("flow", "task", "environment")

KINDS: Final = {
    "flow": Kind(
        _FLOW,
        FlowTotals,
        _by(families.FLOW_RUNS, "state", lambda flow: flow.ends),
        (families.FLOW_DURATION, _flow_duration),
        (families.START_DELAY, _start_delay),
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
        DeploymentTotals,
        _by(families.DEPLOYMENT_RUNS, "state", lambda deployment: deployment.ends),
    ),
    "measure": Kind((*_TASK, "name"), MeasureTotals, (families.MEASURE, _measure)),
    "capacity": Kind(
        families.CAPACITY_USED.labels,
        CapacityTotals,
        _capacity(families.CAPACITY_LIMIT, lambda capacity: capacity.limit),
        _capacity(families.CAPACITY_USED, lambda capacity: capacity.used),
        _moment(families.CAPACITY_LAST_SEEN, lambda capacity: capacity.last_seen),
    ),
    "asset": Kind(
        families.LAST_MATERIALIZATION.labels,
        AssetTotals,
        _by(families.MATERIALIZATIONS, "state", lambda asset: asset.ends),
        _moment(families.LAST_MATERIALIZATION, lambda asset: asset.last),
    ),
    "incident": Kind(
        families.INCIDENTS.labels,
        IncidentTotals,
        (families.INCIDENTS_OPEN, _incidents_open),
        (families.INCIDENTS, _incidents),
    ),
    "channel": Kind(
        ("channel",),
        NotificationTotals,
        _by(families.NOTIFICATIONS, "outcome", lambda channel: channel.outcomes),
    ),
    "own": Kind(
        (),
        OwnTotals,
        _by(families.EVENTS, "type", lambda own: own.events),
        (families.CORRECTIONS, _corrections),
        _by(families.OVERFLOW, "metric", lambda own: own.overflow),
        (families.SOURCE_UP, _source_up),
    ),
}


def page(
    texts: Mapping[str, Iterable[str]],
    *,
    openmetrics: bool,
    histograms: Collection[str] = (),
    registry: Iterable[Family] = families.FAMILIES,
) -> str:
    """The families in the order of the registry, each with its lines of `texts`; one without any is left out.

    Those named in `histograms` are shown as such.
    """
    parts: list[str] = []
    for family in registry:
        lines = "".join(texts.get(family.name, ()))
        if lines:
            shown = family._replace(type="histogram") if family.name in histograms else family
            parts += (heading(shown, openmetrics=openmetrics), lines)
    return "".join(parts) + ("# EOF\n" if openmetrics else "")
