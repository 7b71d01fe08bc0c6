"""What stands around runs: flows, deployments, pools, queues, workers and limits, from documents of the REST API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from flowtell import events as e
from flowtell.events import CapacityObserved, DeploymentDeclared, FlowDeclared, Holder, Schedule
from flowtell_sources.prefect.identity import digest, fact_id, moment, run_id

OWNER_TAG: Final = "flowtell.owner="

Document = Mapping[str, Any]


def owners(tags: Iterable[str]) -> tuple[str, ...]:
    """Those whom tags such as `flowtell.owner=growth` name."""
    return tuple(tag.removeprefix(OWNER_TAG) for tag in tags if tag.startswith(OWNER_TAG))


def _at(document: Document) -> int:
    return moment(document.get("updated")) or moment(document.get("created")) or 0


# --- what can run -------------------------------------------------------------------------------------------------


def flow_declared(flow: Document, owned_by: tuple[str, ...] = ()) -> FlowDeclared:
    """A flow, without rules: those that tags state hold for a deployment, whose event carries them.

    The same content gives the same event.
    """
    tags = _texts(flow.get("tags"))
    at = _at(flow)
    content = digest([flow.get("name"), tags, owned_by])
    return FlowDeclared(
        id=fact_id(at, "flow", str(flow.get("id")), content),
        time=at,
        flow=str(flow.get("name", "")),
        external_id=str(flow.get("id", "")),
        tags=tags,
        owners=owned_by or owners(tags),
    )


def deployment_declared(deployment: Document, flow: str) -> DeploymentDeclared:
    """A deployment, with the names of its parameters and none of their values. The same content gives the same event."""
    tags, at = _texts(deployment.get("tags")), _at(deployment)
    made = DeploymentDeclared(
        time=at,
        flow=flow,
        deployment=str(deployment.get("name", "")),
        external_id=str(deployment.get("id", "")),
        version=str(deployment.get("version") or ""),
        description=str(deployment.get("description") or ""),
        schedules=tuple(_schedule(each) for each in deployment.get("schedules") or ()),
        parameters=dict.fromkeys(_parameter_names(deployment)),
        tags=tags,
        owners=owners(tags),
        pool=str(deployment.get("work_pool_name") or ""),
        queue=str(deployment.get("work_queue_name") or ""),
        limit=_deployment_limit(deployment),
        paused=bool(deployment.get("paused")),
        ready=deployment["status"] == "READY" if deployment.get("status") else None,
    )
    return replace(made, id=fact_id(at, "deployment", made.external_id, digest(e.encode(made).decode())))


def _parameter_names(deployment: Document) -> list[str]:
    schema = deployment.get("parameter_openapi_schema") or {}
    known = schema.get("properties") if isinstance(schema, dict) else None
    return sorted({*(deployment.get("parameters") or {}), *(known or {})})


def _deployment_limit(deployment: Document) -> int | None:
    """Servers from 3.1 on tell of it as a global limit, earlier ones as a number."""
    own = deployment.get("global_concurrency_limit")
    return own.get("limit") if isinstance(own, dict) else deployment.get("concurrency_limit")


def _schedule(document: Document) -> Schedule:
    schedule = document.get("schedule") or {}
    facts: dict[str, Any] = {"id": str(document.get("id", "")), "active": bool(document.get("active", True))}
    tz = str(schedule.get("timezone") or "")
    if "cron" in schedule:
        return Schedule(kind="cron", expression=str(schedule["cron"]), tz=tz, **facts)
    if "rrule" in schedule:
        return Schedule(kind="rrule", expression=str(schedule["rrule"]), tz=tz, **facts)
    anchor = moment(schedule.get("anchor_date"))
    return Schedule(kind="every", expression=str(schedule.get("interval", "")), tz=tz, anchor=anchor, **facts)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list | tuple) else ()


# --- what limits it -----------------------------------------------------------------------------------------------


def pool_observed(pool: Document, holders: tuple[Holder, ...] = ()) -> CapacityObserved:
    used = pool.get("active_slots")
    return CapacityObserved(
        kind="pool",
        name=str(pool.get("name", "")),
        pool=str(pool.get("name", "")),
        pool_type=str(pool.get("type") or ""),
        limit=pool.get("concurrency_limit"),
        used=len(holders) if used is None else used,
        holders=holders,
        status=_word(pool.get("status")),
        paused=bool(pool.get("is_paused")),
    )


def queue_observed(queue: Document, holders: tuple[Holder, ...] = ()) -> CapacityObserved:
    used = queue.get("active_slots")
    return CapacityObserved(
        kind="queue",
        name=str(queue.get("name", "")),
        pool=str(queue.get("work_pool_name") or ""),
        limit=queue.get("concurrency_limit"),
        used=len(holders) if used is None else used,
        holders=holders,
        last_seen=moment(queue.get("last_polled")),
        status=_word(queue.get("status")),
        paused=bool(queue.get("is_paused")),
    )


def worker_observed(worker: Document, pool: str) -> CapacityObserved:
    return CapacityObserved(
        kind="worker",
        name=str(worker.get("name", "")),
        pool=pool,
        last_seen=moment(worker.get("last_heartbeat_time")),
        status=_word(worker.get("status")),
    )


def limit_observed(limit: Document, holders: tuple[Holder, ...] = ()) -> CapacityObserved:
    """A global concurrency limit. The API tells how many slots are taken, events tell by whom."""
    return CapacityObserved(
        kind="limit",
        name=str(limit.get("name", "")),
        limit=limit.get("limit"),
        used=limit.get("active_slots"),
        holders=holders,
        paused=not limit.get("active", True),
    )


def tag_limit_observed(limit: Document) -> CapacityObserved:
    """A limit on task runs of one tag; the API names the task runs that hold it."""
    slots = _texts(limit.get("active_slots"))
    return CapacityObserved(
        kind="limit",
        name=f"tag:{limit.get('tag', '')}",
        limit=limit.get("concurrency_limit"),
        used=len(slots),
        holders=tuple(Holder(run=run_id(slot)) for slot in slots),
    )


def _word(status: Any) -> str:
    return str(status or "").lower().replace("_", " ")
