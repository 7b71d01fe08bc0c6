"""What Prefect's REST API says, and what the log says, in the same words."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from sqlalchemy import select

from flowtell.store.tables import runs, task_runs
from flowtell_sources.prefect.identity import moment, run_id

DAY = 86_400_000_000
NATIVE = {
    "running": "Running",
    "late": "Late",
    "scheduled": "Scheduled",
    "pending": "Pending",
    "retrying": "AwaitingRetry",
    "paused": "Paused",
    "cancelling": "Cancelling",
}


def there(server: Any) -> dict[str, Any]:
    """The truth: what the server's REST API says."""
    flows = {flow["id"]: flow["name"] for flow in server.all("flows")}
    now = time.time_ns() // 1000
    found = [run for run in server.all("flow_runs") if not _far(run, now)]
    names = {run["id"]: flows[run["flow_id"]] for run in found}
    tasks = server.all("task_runs")
    around = {task["id"]: task["flow_run_id"] for task in tasks}
    events = _events(server, "prefect.asset.materialization.")
    return {
        "flow runs": Counter((names[run["id"]], run["state_name"]) for run in found),
        "task runs": Counter((names.get(task["flow_run_id"], ""), task["state_name"]) for task in tasks),
        "flow attempts": sum(max(run["run_count"], 1) for run in found),
        "task attempts": sum(max(task["run_count"], 1) for task in tasks),
        "edges": sorted(edge for task in tasks for edge in _edges(task)),
        "subflows": sorted(
            (run_id(run["id"]), run_id(around[run["parent_task_run_id"]])) for run in found if run["parent_task_run_id"]
        ),
        "due": sorted(moment(run["expected_start_time"]) for run in found if run["deployment_id"]),
        "assets": sorted(
            (moment(event["occurred"]), event["resource"]["prefect.resource.id"], event["event"].rpartition(".")[2])
            for event in events
        ),
        "own events": sorted((moment(event["occurred"]),) for event in _events(server, "acme.")),
        "deployments": sorted(
            (flows[each["flow_id"]], each["name"], sorted(each["tags"])) for each in server.all("deployments")
        ),
        "pools": sorted((each["name"], each["concurrency_limit"], each["is_paused"]) for each in server.all("work_pools")),
        "queues": sorted((each["name"], each["concurrency_limit"]) for each in server.all("work_queues")),
        "limits": sorted(
            (each["name"], each["limit"], each["active_slots"]) for each in server.all("v2/concurrency_limits")
        ),
    }


def _far(run: dict[str, Any], now: int) -> bool:
    """Due later than in a day: it comes over when it is nearer."""
    return run["state_type"] == "SCHEDULED" and (moment(run["expected_start_time"]) or 0) > now + DAY


def _edges(task: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (run_id(task["id"]), argument, run_id(each["id"]))
        for argument, inputs in task["task_inputs"].items()
        if argument != "__parents__"
        for each in inputs
        if each["input_type"] == "task_run"
    ]


def _events(server: Any, prefix: str) -> list[Any]:
    return all_events(server, {"event": {"prefix": [prefix]}})


def all_events(server: Any, wanted: Any = None) -> list[Any]:
    """Those of its events that a filter lets pass, in the order in which they occurred."""
    page = server.ask("/events/filter", {"filter": {"order": "ASC", **(wanted or {})}, "limit": 50})
    found = page["events"]
    while page["next_page"]:
        page = server.get(page["next_page"])
        found += page["events"]
    return found


def here(store: Any) -> dict[str, Any]:
    """What the log has."""
    flow_runs = store.read(select(runs).where(runs.c.source == "prefect", runs.c.state != "removed"))
    tasks = store.read(select(task_runs))
    flow_of = {run.id: run.flow for run in flow_runs}
    events = store.log.read(0, 1_000_000)
    named = {(event.kind, event.name): event for event in events if event.type == "capacity.observed"}
    deployments = {event.external_id: event for event in events if event.type == "deployment.declared"}
    edges = {
        (event.task_run, each.argument, each.task_run)
        for event in events
        if event.type == "task_run.started"
        for each in event.upstream
    }
    ended = {"asset.materialized": "succeeded", "asset.failed": "failed"}
    over = {run.id for run in flow_runs if run.ended is not None}
    return {
        "left open": sum(task.ended is None and task.run in over for task in tasks),
        "flow runs": Counter((run.flow, _native(run)) for run in flow_runs),
        "task runs": Counter((flow_of.get(task.run, ""), _native(task)) for task in tasks),
        "flow attempts": sum(run.attempts for run in flow_runs),
        "task attempts": sum(task.attempts for task in tasks),
        "edges": sorted(edges),
        "subflows": sorted((run.id, run.parent_run) for run in flow_runs if run.parent_run),
        "due": sorted(run.due for run in flow_runs if run.due is not None),
        "assets": sorted((event.time, event.asset, ended[event.type]) for event in events if event.type in ended),
        "own events": sorted((event.time,) for event in events if event.type == "acme.scored"),
        "deployments": sorted((each.flow, each.deployment, sorted(each.tags)) for each in deployments.values()),
        "pools": sorted((name, each.limit, each.paused) for (kind, name), each in named.items() if kind == "pool"),
        "queues": sorted((name, each.limit) for (kind, name), each in named.items() if kind == "queue"),
        "limits": sorted((name, each.limit, each.used) for (kind, name), each in named.items() if kind == "limit"),
    }


def _native(run: Any) -> str:
    return run.native_state if run.ended is not None else NATIVE.get(run.state, run.state)


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The parts that differ, each as both have it."""
    return {part: (one[part], other[part]) for part in one if one[part] != other[part]}
