"""The run that groups the runs of a back-fill: of a flow of its own, as its hours are none of the flow that is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.engine.assignments import Assignment
from flowtell.engine.drivers import run_to_end
from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.flows import Flow
from flowtell.engine.scope import BACKFILL
from flowtell.errors import BackfillFailed
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.backfill.filling import Ended, Filling


def run_as_parent(flow: Flow[..., Any], name: str, filling: Filling) -> list[Ended]:
    """Fill inside one run, which fails where a run in it did; whoever calls is told by what this gives."""
    ended: list[Ended] = []

    def fill(flow: str, name: str, runs: int) -> None:
        ended.extend(filling.run())
        failed = sum(one.state != "completed" for one in ended)
        if failed:
            raise BackfillFailed(name, failed, runs)

    options = {
        "name": f"{flow.name} backfill",
        "description": f"Groups the runs of a back-fill of {flow.name}.",
        "flow_run_name": lambda: name,
        "owners": flow.owners,
        "validate_parameters": False,
    }
    parent: Flow[..., Any] = Flow(fill, options)
    assignment = Assignment(run=new_id(), flow=parent.name, cause=BACKFILL)
    parameters = {"flow": flow.name, "name": name, "runs": filling.total}
    try:
        run_to_end(FlowRun(parent, (), parameters, assignment), parent.colour)
    except BackfillFailed:
        pass
    return ended
