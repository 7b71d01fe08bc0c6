"""Who a run is here, and what is known of it so far: a run's events accumulate, in whatever order they come.

OpenLineage's specification of the run cycle: the truth about a run is the union of its events.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import Struct, field

from flowtell.events import Column, UpstreamAsset
from flowtell_lineage.jobs import Job, flow_of, task_of
from flowtell_lineage.openlineage.receiving.documents import Document, moment
from flowtell_lineage.openlineage.receiving.facets import Exact, facet, text

SOURCE: Final = "openlineage"
REMEMBERED: Final = 50_000
"""Runs whose parts are held in memory; of more the one is forgotten that was quiet longest."""

MOST_INFERRED: Final = 10_000
"""Edges that are inferred of one run: inputs times outputs."""


class Identity(NamedTuple):
    """A run as a flow run, or as a task run of its outermost one. The same by each of its events that names its parent."""

    run: str
    task_run: str
    flow: str
    task: str
    external: str

    @property
    def key(self) -> str:
        """Of its own, whichever kind it is."""
        return self.task_run or self.run

    @property
    def common(self) -> dict[str, str]:
        """The fields of each event that belongs to it."""
        named = {"run": self.run, "task_run": self.task_run, "flow": self.flow, "task": self.task}
        return {**named, "external_id": self.external}


def run_id(external: str) -> str:
    """A UUID as 32 hex digits; of any other text a UUIDv5, the same each time."""
    try:
        return UUID(external).hex
    except ValueError:
        return uuid5(NAMESPACE_URL, f"{SOURCE}:{external}").hex


def identity(document: Document) -> Identity:
    """Of a run's event, by its facet `parent`: below whoever stands at the root it is a task."""
    assert document.run is not None and document.job is not None  # noqa: PT018  # documents are checked
    external, own = document.run.run_id, run_id(document.run.run_id)
    job = Job(document.job.namespace, document.job.name)
    above = _outermost(document.run.facets)
    if above is None or above[0] == own:
        return Identity(own, "", flow_of(job), "", external)
    root, root_job = above
    return Identity(root, own, flow_of(root_job), task_of(job, root_job), external)


def _outermost(facets: Any) -> tuple[str, Job] | None:
    parent = facet(facets, "parent") or facet(facets, "parentRun")
    return _named(facet(parent, "root")) or _named(parent)


def _named(holder: dict[str, Any]) -> tuple[str, Job] | None:
    run, job = facet(holder, "run"), facet(holder, "job")
    external, namespace, name = text(run, "runId"), text(job, "namespace"), text(job, "name")
    return (run_id(external), Job(namespace, name)) if external and name else None


def due_of(document: Document) -> int | None:
    """When it was due: its nominal start."""
    assert document.run is not None
    return moment(facet(document.run.facets, "nominalTime").get("nominalStartTime"))


class Output(Struct):
    """One dataset that a run makes, by all events of it so far."""

    exact: dict[str, str] | None = None
    """Evidence by upstream asset, where a facet says what this one is made of."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Fields of its asset event, the latest word for each."""
    told: set[str] = field(default_factory=set)
    """Upstream assets that were told already."""
    known: dict[str, UpstreamAsset] = field(default_factory=dict)
    """Edges of which another flowtell said how it knows them, by upstream asset."""
    state: str = ""
    """What came of it, where its sender says that: a run may fail after it has made something."""
    several: tuple[dict[str, Any], ...] = ()
    """Facts of each, where another flowtell made several of it in this run."""
    ends: set[int] = field(default_factory=set)
    """Moments of the ends at which it was told as made, or as failed."""

    def learn(self, exact: Exact | None) -> None:
        """Add what a facet says it is made of."""
        if exact is None:
            return
        self.exact = {} if self.exact is None else self.exact
        for asset, evidence in exact.upstream.items():
            if self.exact.get(asset) != "explicit":
                self.exact[asset] = evidence
        known = {column.name: column for column in self.facts.get("columns", ())}
        for name, origins in exact.origins.items():
            known[name] = Column(name=name, type=known[name].type if name in known else "", origins=origins)
        if known:
            self.facts["columns"] = tuple(known.values())


class End(NamedTuple):
    """How a run ended."""

    time: int
    state: str


class RunParts(Struct):
    """What the events of one run have named."""

    started: int | None = None
    end: End | None = None
    endless: bool = False
    """It streams: what it makes is there while it runs."""
    inputs: dict[str, None] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)

    def output(self, asset: str) -> Output:
        found = self.outputs.get(asset)
        if found is None:
            found = self.outputs[asset] = Output()
        return found

    @property
    def too_many(self) -> bool:
        """Whether inputs times outputs would say nothing any more, and cost more than its event."""
        return len(self.inputs) * len(self.outputs) > MOST_INFERRED

    def infers(self, asset: str) -> bool:
        """Whether inputs are upstream of an output though no facet says so: it has none, or is the only one and has columns.

        A column is told by the columns it is made of, and not by the tables that a join or a filter looks into.
        """
        exact = self.outputs[asset].exact
        if self.outputs[asset].known:  # another flowtell's word is whole, also where all it knows are columns
            return False
        return exact is None or (len(self.outputs) == 1 and "column" in exact.values() and "explicit" not in exact.values())

    def unfollowed(self, asset: str) -> tuple[str, ...]:
        """What may be upstream of an output and is not told one by one."""
        return (f"{len(self.inputs)} inputs",) if self.too_many and self.infers(asset) else ()

    def upstream(self, asset: str) -> dict[str, str]:
        """Evidence by upstream asset of one output: what facets say, and every input where they leave that open."""
        exact = self.outputs[asset].exact or {}
        if self.too_many or not self.infers(asset):
            return exact
        return {**{source: "product" for source in self.inputs if source != asset}, **exact}


class Runs:
    """The parts of the runs that were heard of lately. For one thread."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._parts: OrderedDict[tuple[str, str, str], RunParts] = OrderedDict()

    def of(self, who: Identity) -> RunParts:
        """By run and job: some give one run's id to several jobs."""
        key = who.key, who.flow, who.task
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = RunParts()
            if len(self._parts) > self._most:
                self._parts.popitem(last=False)
        else:
            self._parts.move_to_end(key)
        return parts
