"""OpenLineage events as events of flowtell. Each fact has the same id whenever, however and however often it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import msgspec

from flowtell import events as e
from flowtell.events import Event, UpstreamAsset
from flowtell.ids import derived_id
from flowtell_lineage.jobs import Job, flow_of
from flowtell_lineage.openlineage.receiving.assets import (
    asset_of,
    checks,
    descriptions,
    facts_of,
    facts_of_part,
    is_made,
)
from flowtell_lineage.openlineage.receiving.documents import Dataset, Document
from flowtell_lineage.openlineage.receiving.facets import (
    OURS,
    Exact,
    exact_of_dataset,
    exact_of_entry,
    facet,
    failure,
    key_in,
    known_edges,
    owners,
    parts,
    tags,
    text,
)
from flowtell_lineage.openlineage.receiving.runs import SOURCE, End, Identity, RunParts, Runs, due_of, identity

_ENDS: Final = {"COMPLETE": "completed", "FAIL": "failed", "ABORT": "cancelled"}
_OUTCOMES: Final[dict[str, type[Event]]] = {
    "materialized": e.AssetMaterialized,
    "cached": e.AssetCached,
    "failed": e.AssetFailed,
    "observed": e.AssetObserved,
}
_NONE: Final[Mapping[str, UpstreamAsset]] = {}
_ENDLESS: Final = frozenset({"STREAMING", "SERVICE"})
_UNCHECKED: Final = frozenset({"START", "ABORT"})
"""No check has been made yet, or none at all: `dbt-ol` tells a test that was skipped as one that failed."""


class Translation:
    """Makes events of documents, one at a time, and remembers the parts of runs between them. For one thread."""

    def __init__(self, runs: Runs | None = None) -> None:
        self._runs = runs or Runs()

    def events(self, document: Document, digest: str) -> list[Event]:
        """All that a document says.

        Args:
            document: read and checked.
            digest: of its content, which tells it from others of the same moment.
        """
        ids = _Ids(document.time, digest)
        document = _without_what_is_not_made(document)
        if document.run is not None:
            return list(self._of_run(document, ids))
        return list(_of_job(document, ids) if document.job is not None else _of_dataset(document, ids))

    def _of_run(self, document: Document, ids: _Ids) -> Iterator[Event]:
        who = identity(document)
        known = self._runs.of(who)
        before = len(known.inputs)
        common: dict[str, Any] = {**who.common, "due": due_of(document)}
        yield from _flow_declared(document, who, ids)
        yield from _state(document, who, known, ids, common)
        for dataset in document.inputs or ():
            known.inputs[asset_of(dataset)] = None
            yield e.AssetObserved(role="read", asset=asset_of(dataset), **facts_of(dataset), **ids.next(), **common)
            yield from _about(dataset, document, ids, common)
        _gather(document, known)
        for dataset in document.outputs or ():
            yield from _about(dataset, document, ids, common)
        yield from _told(document, who, known, ids, common, fresh=len(known.inputs) > before)


class _Ids:
    """`id` and `time` of one document's events, in their order."""

    def __init__(self, time: int, digest: str) -> None:
        self.time, self._digest, self._count = time, digest, 0

    def next(self) -> dict[str, Any]:
        self._count += 1
        return {"id": derived_id(self.time, SOURCE, self._digest, str(self._count)), "time": self.time}


def digest_of(value: Any) -> str:
    """The same for the same content, in whatever order its keys came."""
    return blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=16).hexdigest()


# --- the run itself ---------------------------------------------------------------------------------------------------


def _state(document: Document, who: Identity, known: RunParts, ids: _Ids, common: dict[str, Any]) -> Iterator[Event]:
    if document.kind == "START":
        known.started = min(document.time, known.started if known.started is not None else document.time)
        yield _started(document, who, {**ids.next(), **common})
    elif document.kind in _ENDS:
        end = End(document.time, _ENDS[document.kind])
        known.end = end if known.end is None else min(known.end, end)
        yield _finished(document, who, known, {**ids.next(), **common})
        yield from _measures(document, ids, common)


def _started(document: Document, who: Identity, fields: dict[str, Any]) -> Event:
    assert document.run is not None and document.job is not None  # noqa: PT018
    told = tags(document.run.facets)
    if who.task_run:
        return e.TaskRunStarted(tags=told, **fields)
    return e.FlowRunStarted(tags=told, version=text(facet(document.job.facets, "sourceCodeLocation"), "version"), **fields)


def _finished(document: Document, who: Identity, known: RunParts, fields: dict[str, Any]) -> Event:
    assert document.run is not None
    kind = e.TaskRunFinished if who.task_run else e.FlowRunFinished
    began = known.started
    return kind(
        state=_ENDS[document.kind],
        native_state=document.kind,
        error=failure(document.run.facets) if document.kind != "COMPLETE" else None,
        duration=max(document.time - began, 0) / 1e6 if began is not None else None,
        **fields,
    )


def _measures(document: Document, ids: _Ids, common: dict[str, Any]) -> Iterator[Event]:
    """What a run read and wrote in all, where it says so."""
    for prefix, datasets in (("", document.outputs), ("read_", document.inputs)):
        told = [facts_of(dataset) for dataset in datasets or ()]
        for name, unit in (("rows", ""), ("bytes", "By")):
            counts = [facts[name] for facts in told if name in facts]
            if counts:
                yield e.MeasureRecorded(name=prefix + name, value=float(sum(counts)), unit=unit, **ids.next(), **common)


def _flow_declared(document: Document, who: Identity, ids: _Ids) -> Iterator[Event]:
    """What a job says of itself, where it is a flow."""
    assert document.job is not None
    facets = document.job.facets
    said: dict[str, Any] = {
        "description": text(facet(facets, "documentation"), "description"),
        "owners": owners(facets),
        "tags": tags(facets),
        "url": text(facet(facets, "sourceCodeLocation"), "url"),
    }
    said = {name: value for name, value in said.items() if value}
    if said and not who.task_run:
        yield e.FlowDeclared(flow=who.flow, **said, **ids.next())


# --- what it makes ----------------------------------------------------------------------------------------------------


def _without_what_is_not_made(document: Document) -> Document:
    made = tuple(dataset for dataset in document.outputs or () if is_made(dataset))
    return document if len(made) == len(document.outputs or ()) else msgspec.structs.replace(document, outputs=made)


def _about(dataset: Dataset, document: Document, ids: _Ids, common: dict[str, Any]) -> Iterator[Event]:
    checked = () if document.kind in _UNCHECKED else checks(dataset, common)
    for event in (*descriptions(dataset, common), *checked):
        yield msgspec.structs.replace(event, **ids.next())


def _gather(document: Document, known: RunParts) -> None:
    """Add this document's outputs to the run's."""
    assert document.job is not None
    kind = text(facet(document.job.facets, "jobType"), "processingType").upper()
    known.endless = known.endless or kind in _ENDLESS
    entries = _entries(document.job.facets)
    for dataset in document.outputs or ():
        output, exact = known.output(asset_of(dataset)), exact_of_dataset(dataset.facets)
        output.facts.update(facts_of(dataset, exact))
        output.learn(exact)
        output.known.update({up.asset: up for up in known_edges(dataset.facets)})
        ours = facet(dataset.facets, OURS)
        output.state = text(ours, "state") or output.state
        output.several = tuple(parts(ours, "parts")) or output.several
    for asset, exact in entries.items():
        if asset in known.outputs:
            known.outputs[asset].learn(exact)


def _entries(facets: Any) -> dict[str, Exact]:
    """What a job's facet `lineage` says of datasets."""
    found = {}
    for entry in parts(facet(facets, "lineage"), "entries"):
        asset = key_in(entry)
        if asset and entry.get("type", "DATASET") == "DATASET":
            found[asset] = exact_of_entry(entry)
    return found


def _told(
    document: Document, who: Identity, known: RunParts, ids: _Ids, common: dict[str, Any], *, fresh: bool
) -> Iterator[Event]:
    """The run's outputs as far as they are known: being made, made, failed, and of what.

    Args:
        fresh: the document named inputs that the run had not; else it says nothing of outputs that it does not name.
    """
    assert document.job is not None
    common = {**_job_facts(document.job.facets), **common}
    here = {asset_of(dataset): dataset for dataset in document.outputs or ()}
    if known.end is None and not known.endless:
        for asset, dataset in here.items():
            exact = _edges(known.outputs[asset].exact or {})
            yield e.AssetMaterializing(asset=asset, upstream=exact, **facts_of(dataset), **ids.next(), **common)
        return
    end = End(document.time, _ENDS[document.kind]) if document.kind in _ENDS else None
    for asset in here if end is None and not fresh else list(known.outputs):
        output = known.outputs[asset]
        told = end if asset in here and end else None if output.ends else known.end
        if told is not None and told.time not in output.ends:
            output.ends.add(told.time)
            output.told.update(known.upstream(asset))
            yield from _ended(asset, known, who, told, common)
        elif event := _late(asset, known, None if end else here.get(asset), {**ids.next(), **common}):
            yield event


def _ended(asset: str, known: RunParts, who: Identity, end: End, common: dict[str, Any]) -> Iterator[Event]:
    """By an id of run and end, whichever document brought the last part of it."""
    output = known.outputs[asset]
    fields: dict[str, Any] = {
        "time": end.time,
        "upstream": _edges(known.upstream(asset), output.known),
        "unfollowed": known.unfollowed(asset),
        **output.facts,
        **common,
    }
    for part in output.several or ({},):
        own = facts_of_part(part)
        of = (SOURCE, who.key, who.flow, who.task, "made", asset, *((own["partition"],) if "partition" in own else ()))
        yield _outcome(text(part, "state") or output.state, end)(
            asset=asset, id=derived_id(end.time, *of), **{**fields, **own}
        )


def _outcome(state: str, end: End) -> Callable[..., Event]:
    """What an output came to by its sender's word, else by its run's end."""
    kind = _OUTCOMES.get(state) or (e.AssetMaterialized if end.state == "completed" else e.AssetFailed)
    return partial(kind, state=end.state if end.state != "completed" else "failed") if kind is e.AssetFailed else kind


def _late(asset: str, known: RunParts, dataset: Dataset | None, fields: dict[str, Any]) -> Event | None:
    """What a document adds to an output that has been told of, or of a run that has no end."""
    output = known.outputs[asset]
    well = known.end is None or known.end.state == "completed"
    news = {up: evidence for up, evidence in known.upstream(asset).items() if up not in output.told} if well else {}
    if not news and dataset is None:
        return None
    output.told.update(news)
    return e.AssetObserved(asset=asset, upstream=_edges(news), **(output.facts if dataset else {}), **fields)


def _edges(upstream: dict[str, str], known: Mapping[str, UpstreamAsset] = _NONE) -> tuple[UpstreamAsset, ...]:
    return tuple(known.get(asset) or UpstreamAsset(asset=asset, evidence=how) for asset, how in upstream.items())


def _job_facts(facets: Any) -> dict[str, Any]:
    """Its SQL, and its type such as `AIRFLOW TASK`."""
    kind = facet(facets, "jobType")
    words = " ".join(word for word in (text(kind, "integration"), text(kind, "jobType")) if word)
    return {"sql": text(facet(facets, "sql"), "query"), "job_type": words}


# --- without a run ----------------------------------------------------------------------------------------------------


def _of_job(document: Document, ids: _Ids) -> Iterator[Event]:
    """A job that says what it reads and makes, whether it ran or not."""
    assert document.job is not None
    known, flow = RunParts(), flow_of(Job(document.job.namespace, document.job.name))
    yield from _flow_declared(document, Identity("", "", flow, "", ""), ids)
    for dataset in document.inputs or ():
        known.inputs[asset_of(dataset)] = None
        yield e.AssetObserved(role="read", asset=asset_of(dataset), flow=flow, **facts_of(dataset), **ids.next())
    _gather(document, known)
    for dataset in (*(document.inputs or ()), *(document.outputs or ())):
        yield from _about(dataset, document, ids, {"flow": flow})
    for asset, output in known.outputs.items():
        edges = _edges(known.upstream(asset))
        yield e.AssetObserved(asset=asset, flow=flow, upstream=edges, **output.facts, **ids.next())


def _of_dataset(document: Document, ids: _Ids) -> Iterator[Event]:
    """A dataset that is told of by itself."""
    assert document.dataset is not None
    exact = exact_of_dataset(document.dataset.facets)
    edges = _edges(exact.upstream if exact else {})
    facts = facts_of(document.dataset, exact)
    yield e.AssetObserved(asset=asset_of(document.dataset), upstream=edges, **facts, **ids.next())
    yield from _about(document.dataset, document, ids, {})


def translated(translation: Translation, documents: Iterable[tuple[Document, str]]) -> list[Event]:
    """The events of many documents, in their order."""
    return [event for document, digest in documents for event in translation.events(document, digest)]
