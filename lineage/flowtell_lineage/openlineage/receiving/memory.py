"""The parts of runs read back from the log's last events, so that a restart in the middle of a run costs it no edge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from flowtell import events as e
from flowtell.events import Event
from flowtell.plugin import LogView
from flowtell_lineage.openlineage.receiving.runs import SOURCE, End, Identity, Output, RunParts, Runs

LOOKED_BACK: Final = 50_000
"""Of the log's last events."""
_PAGE: Final = 5_000
_FACTS: Final = ("columns", "rows", "bytes", "version", "facets", "partition", "by", "metadata", "unfollowed")
_TYPES: Final = (
    "flow_run.started", "flow_run.finished", "task_run.started", "task_run.finished",
    "asset.observed", "asset.materializing", "asset.materialized", "asset.failed",
)  # fmt: skip


def read_back(runs: Runs, log: LogView) -> None:
    """Fill `runs` with what the log's last events tell of received runs."""
    head = log.head()
    after = max(head - LOOKED_BACK, 0)
    while after < head:
        page = log.read(after, _PAGE, _TYPES)
        remember(runs, page)
        if len(page) < _PAGE:
            return
        after = page[-1].seq


def remember(runs: Runs, events: Iterable[Event]) -> None:
    """Add what these events, in the order in which they were made, tell of runs."""
    for event in events:
        if event.source == SOURCE and event.run:
            who = Identity(event.run, event.task_run, event.flow, event.task, event.external_id)
            _take(runs.of(who), event)


def _take(known: RunParts, event: Event) -> None:
    match event:
        case e.FlowRunStarted() | e.TaskRunStarted():
            known.started = event.time if known.started is None else min(known.started, event.time)
        case e.FlowRunFinished() | e.TaskRunFinished():
            end = End(event.time, event.state)
            known.end = end if known.end is None else min(known.end, end)
        case e.AssetObserved(role="read"):
            known.inputs[event.asset] = None
        case e.AssetMaterializing():
            _learn(known.output(event.asset), event)
        case e.AssetMaterialized() | e.AssetFailed():
            known.output(event.asset).ends.add(event.time)
            _learn(known.output(event.asset), event)
        case e.AssetObserved():
            _learn(known.output(event.asset), event)
        case _:
            pass


def _learn(output: Output, event: Any) -> None:
    output.facts.update({name: value for name in _FACTS if (value := getattr(event, name)) not in ((), None, "", {})})
    exact = {up.asset: up.evidence for up in event.upstream if up.evidence != "product"}
    if exact:
        output.exact = {**(output.exact or {}), **exact}
    if not isinstance(event, e.AssetMaterializing):
        output.told.update(up.asset for up in event.upstream)
