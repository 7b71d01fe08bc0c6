"""Reads what stands around runs, tells what changed of it, and why runs that are late do not start."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from flowtell import events as e
from flowtell.events import CapacityObserved, Event, Holder, WaitsOn
from flowtell.source import OpenRun
from flowtell_sources.prefect import surroundings
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.directory import Directory
from flowtell_sources.prefect.documents import Message
from flowtell_sources.prefect.identity import digest, fact_id, moment, run_id

_ACQUIRED: Final = "prefect.concurrency-limit.acquired"
_RELEASED: Final = "prefect.concurrency-limit.released"
_LIMIT: Final = "prefect.concurrency-limit."
_TOLD_BY: Final[dict[str, tuple[str, ...]]] = {
    "declarations": ("prefect.flow.", "prefect.deployment."),
    "pools": ("prefect.work-pool.", "prefect.work-queue.", "prefect.worker.", "prefect.flow-run.Late"),
}
"""What the messages begin with that tell of a change; those of limits tell by the limit's name which sort it is."""
PARTS: Final = ("declarations", "pools", "limits", "tag limits")
"""What is read here."""
_OF_TAG: Final = "tag:"
"""What the name of a limit on task runs of one tag begins with."""

_WORKER_GONE: Final = 90_000_000
"""µs without a heartbeat after which a worker counts as gone; Prefect's workers send one each half minute."""


class Capacity:
    """For one thread. Remembers what it told last: an observation is told when it differs."""

    def __init__(self, api: PrefectApi, directory: Directory, clock: Callable[[], int]) -> None:
        self._api, self._directory, self._clock = api, directory, clock
        self._told: dict[str, str] = {}
        self._deployments: dict[str, tuple[str, str]] = {}
        """Flow and name of those that were told of, by the same key."""
        self._holders: dict[str, dict[str, int]] = {}
        self._now: dict[tuple[str, str, str], CapacityObserved] = {}

    # --- holders of limits, which only messages name --------------------------------------------------------------

    def note(self, messages: Iterable[Message]) -> set[str]:
        """Who took and who freed a slot. Returns the parts of what is read here that have changed there."""
        changed: set[str] = set()
        for message in messages:
            changed.update(part for part, told_by in _TOLD_BY.items() if message.event.startswith(told_by))
            if message.event.startswith(_LIMIT):
                changed.add("tag limits" if _limit_of(message).startswith(_OF_TAG) else "limits")
            if message.event in (_ACQUIRED, _RELEASED):
                self._move(message)
        return changed

    def _move(self, message: Message) -> None:
        holders = self._holders.setdefault(_limit_of(message), {})
        run, at = run_id(message.related_id("flow-run")), moment(message.occurred) or 0
        if message.event == _ACQUIRED:
            holders[run] = at
        else:
            holders.pop(run, None)

    def _holding(self, limit: str, used: int | None) -> tuple[Holder, ...]:
        """Those heard of, newest first, but no more than the API counts: of some the release was missed."""
        held = sorted(self._holders.get(limit, {}).items(), key=lambda pair: -pair[1])
        kept = held if used is None else held[:used]
        self._holders[limit] = dict(kept)
        return tuple(Holder(run=run, since=since) for run, since in kept)

    # --- one reading ----------------------------------------------------------------------------------------------

    def pages(self, parts: Container[str], open_runs: Callable[[], Iterable[OpenRun]]) -> Iterator[list[Event]]:
        """These parts, some requests each: what can run, what limits it, and why what is late waits."""
        if "declarations" in parts:
            yield list(self._declarations())
        if "pools" in parts:
            yield list(self._pools())
            yield list(self._waiting(open_runs()))
        if "limits" in parts:
            yield list(self._limits())
        if "tag limits" in parts:
            yield list(self._tag_limits())

    def _declarations(self) -> Iterator[Event]:
        flows = [flow for page in self._api.pages("flows", {}) for flow in page]
        self._directory.note_flows(flows)
        deployments = [each for page in self._api.pages("deployments", {}) for each in page]
        self._directory.note_deployments(deployments)
        tags: dict[str, set[str]] = {}
        for each in deployments:
            tags.setdefault(str(each.get("flow_id")), set()).update(map(str, each.get("tags") or ()))
        for flow in flows:
            of_deployments = sorted(tags.get(str(flow.get("id")), ()))
            declared = surroundings.flow_declared(flow, surroundings.owners(of_deployments))
            yield from self._if_new(f"flow:{flow.get('id')}", declared)
        for each in deployments:
            made = surroundings.deployment_declared(each, self._directory.flow_name(str(each.get("flow_id"))))
            self._deployments[f"deployment:{each.get('id')}"] = made.flow, made.deployment
            yield from self._if_new(f"deployment:{each.get('id')}", made)
        yield from self._removed({f"deployment:{each.get('id')}" for each in deployments})

    def _if_new(self, key: str, event: Event) -> Iterator[Event]:
        if self._told.get(key) != event.id:
            self._told[key] = event.id
            yield event

    def _removed(self, there: set[str]) -> Iterator[Event]:
        """Deployments that were told of and are gone without a message: it was dropped, or the server sends none."""
        for key in [key for key in self._deployments if key not in there]:
            flow, name = self._deployments.pop(key)
            self._told.pop(key, None)
            external, now = key.partition(":")[2], self._clock()
            if external in self._directory.deleted:
                continue
            what = fact_id(now, key, "removed", str(now))
            yield e.DeploymentRemoved(id=what, time=now, flow=flow, deployment=name, external_id=external)

    def _pools(self) -> Iterator[Event]:
        for pool in (pool for page in self._api.pages("work_pools", {}) for pool in page):
            yield from self._observed(surroundings.pool_observed(pool))
            name = str(pool.get("name", ""))
            for worker in self._api.filter(f"work_pools/{name}/workers", {}):
                yield from self._observed(surroundings.worker_observed(worker, name))
        for queue in (queue for page in self._api.pages("work_queues", {}) for queue in page):
            yield from self._observed(surroundings.queue_observed(queue))

    def _limits(self) -> Iterator[Event]:
        for limit in (limit for page in self._api.pages("v2/concurrency_limits", {}) for limit in page):
            name = str(limit.get("name", ""))
            if name.startswith(_OF_TAG):  # listed with its holders elsewhere
                continue
            yield from self._observed(surroundings.limit_observed(limit, self._holding(name, limit.get("active_slots"))))

    def _tag_limits(self) -> Iterator[Event]:
        for limit in (limit for page in self._api.pages("concurrency_limits", {}) for limit in page):
            yield from self._observed(surroundings.tag_limit_observed(limit))

    def _observed(self, capacity: CapacityObserved) -> Iterator[Event]:
        key = (capacity.kind, capacity.pool, capacity.name)
        self._now[key] = capacity
        content = digest(e.encode(capacity).decode())
        told = "capacity:" + "\x1f".join(key)
        if self._told.get(told) != content:
            self._told[told] = content
            now = self._clock()
            yield replace(capacity, id=fact_id(now, *key, content, str(now)), time=now)

    # --- why what is late does not start --------------------------------------------------------------------------

    def _waiting(self, open_runs: Iterable[OpenRun]) -> Iterator[Event]:
        by_id = {known.id: known for known in self._directory.runs.values()}
        for run in open_runs:
            known = by_id.get(run.id)
            if run.state != "late" or known is None:
                continue
            reason, on = self.reason(known.pool, known.queue)
            if reason:
                at = known.due or run.due or self._clock()
                what = fact_id(at, run.id, "waiting", reason, on.kind, on.name)
                yield e.FlowRunWaiting(id=what, time=at, reason=reason, on=(on,), **known.common)

    def reason(self, pool: str, queue: str) -> tuple[str, WaitsOn]:
        """Why nothing starts in that pool and queue now; empty where nothing here explains it."""
        at = self._now.get(("pool", pool, pool))
        line = self._now.get(("queue", pool, queue))
        if at is None:
            return "", WaitsOn(kind="")
        if at.paused:
            return "worker", WaitsOn(kind="pool", name=pool)
        if line is not None and line.paused:
            return "queue", WaitsOn(kind="queue", name=queue)
        for kind, name, full in (("pool", pool, at), ("queue", queue, line)):
            if full is not None and full.limit is not None and (full.used or 0) >= full.limit:
                return "limit", WaitsOn(kind=kind, name=name, runs=tuple(holder.run for holder in full.holders))
        if not self._has_worker(pool):
            return "worker", WaitsOn(kind="pool", name=pool)
        return "", WaitsOn(kind="")

    def _has_worker(self, pool: str) -> bool:
        now = self._clock()
        workers = [each for (kind, where, _), each in self._now.items() if kind == "worker" and where == pool]
        return any(each.status == "online" and now - (each.last_seen or 0) < _WORKER_GONE for each in workers)


def _limit_of(message: Message) -> str:
    return str(message.resource.get("prefect.resource.name", ""))
