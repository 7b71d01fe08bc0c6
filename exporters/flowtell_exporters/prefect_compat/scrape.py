"""The page `/metrics/prefect`, made of committed rows at each scrape."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import select

from flowtell.decoders import decoder
from flowtell.plugin import Context
from flowtell_exporters.exposition import label_text, page, sample
from flowtell_exporters.families import Family
from flowtell_exporters.prefect_compat import families
from flowtell_exporters.prefect_compat.kept_run import REMOVED, state_name
from flowtell_exporters.prefect_compat.ledger import TYPES
from flowtell_exporters.prefect_compat.settings import Settings
from flowtell_exporters.prefect_compat.tables import runs, things
from flowtell_exporters.prefect_compat.things import Capacity, Deployment, RunTime, Thing, Total
from flowtell_exporters.subjects import OVERFLOW_LABEL

Labels = tuple[str, ...]
Values = Mapping[Labels, float]

NULL: Final = "null"
"""What that exporter writes where there is no value."""

_FAILED: Final = ("failed", "timed_out", "crashed")
_MINUTE: Final = 60_000_000


class Scrape:
    """Not thread-safe: one at a time."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._context, self._settings = context, settings

    def text(self, openmetrics: bool = False) -> str:
        """The page as it is committed now."""
        found = _Found(self._context.read, self._settings, self._context.clock())
        left_out = Counter(found.total.left_out)
        texts = {}
        for family, values in found.values():
            kept, beyond = bounded(family, values, self._settings.max_series)
            texts[family.name] = [sample(family.name, label_text(family.labels, key), kept[key]) for key in kept]
            if beyond:
                left_out[family.name] = beyond
        texts[families.LEFT_OUT.name] = [
            sample(families.LEFT_OUT.name, label_text(("what",), (what,)), left_out[what]) for what in sorted(left_out)
        ]
        return page(texts, openmetrics=openmetrics, registry=families.FAMILIES)


def bounded(family: Family, values: Values, limit: int) -> tuple[Values, int]:
    """The samples with the highest values up to `limit`, and how many are not among them; counts are summed up instead."""
    order = sorted(values, key=lambda key: (-values[key], key))
    kept, beyond = {key: values[key] for key in order[:limit]}, order[limit:]
    if beyond and family is families.INFO_FLOW_RUNS:
        kept[(OVERFLOW_LABEL,) * len(family.labels)] = sum(values[key] for key in beyond)
    return kept, len(beyond)


class _Found:
    """What the tables hold at one moment."""

    def __init__(self, read: Callable[[Any], Sequence[Any]], settings: Settings, now: int) -> None:
        self._settings, self._now = settings, now
        self.total = Total(left_out={})
        self._things: dict[str, dict[Labels, Any]] = defaultdict(dict)
        for row in read(select(things)):
            self._put(row.kind, tuple(msgspec.json.decode(row.name)), row.data)
        self._runs = [row for row in read(select(runs)) if row.state != REMOVED]

    def _put(self, kind: str, names: Labels, data: str) -> None:
        if kind == "total":
            self.total = decoder(Total)(data)
            return
        thing: Thing = decoder(TYPES[kind])(data)
        before = self._things[kind].get(names[1:])
        if not thing.removed and (before is None or thing.age > before.age):
            self._things[kind][names[1:]] = thing

    def values(self) -> Iterable[tuple[Family, Values]]:
        """Each family with its samples."""
        queues = self._queues()
        return (
            (families.DEPLOYMENTS, self._count("deployment")),
            (families.INFO_DEPLOYMENT, self._deployments()),
            (families.FLOWS, self._count("flow")),
            (families.INFO_FLOWS, dict.fromkeys(self._things["flow"], 1.0)),
            (families.FLOW_RUNS, {(): self.total.runs}),
            (families.RUN_TIME, self._run_times()),
            (families.ONGOING, self._ongoing()),
            (families.INFO_FLOW_RUNS, self._states()),
            (families.FAILED_RUNS, self._failed()),
            (families.POOLS, self._count("pool")),
            (families.INFO_POOLS, self._pools()),
            (families.QUEUES, self._count("queue")),
            (families.INFO_QUEUES, {labels: float(not queue.paused) for labels, (queue, _) in queues.items()}),
            (families.LATE_RUNS, {labels: late for labels, (_, late) in queues.items()}),
        )

    def _count(self, kind: str) -> Values:
        return {(): len(self._things[kind])}

    # --- what exists ----------------------------------------------------------------------------------------------

    def _deployments(self) -> Values:
        return {_deployment_labels(flow, name, each): 1 for (flow, name), each in self._things["deployment"].items()}

    def _pools(self) -> Values:
        pools: dict[Labels, Capacity] = self._things["pool"]
        return {
            (str(pool.paused), name, pool.type or NULL, pool.status or NULL): float(not pool.paused)
            for (name,), pool in pools.items()
        }

    def _queues(self) -> dict[Labels, tuple[Capacity, int]]:
        """Each queue with its late runs, by the labels of both of its families."""
        late = Counter((run.pool, run.queue) for run in self._runs if run.state == "late")
        queues: dict[Labels, Capacity] = self._things["queue"]
        return {
            (str(each.paused), name, NULL, NULL, pool or NULL, each.status or NULL, NULL, NULL, NULL): (
                each,
                late[pool, name],
            )
            for (pool, name), each in queues.items()
        }

    def _run_times(self) -> Values:
        times: dict[Labels, RunTime] = self._things["run_time"]
        return {(flow, name or NULL): each.seconds for (flow, name), each in times.items()}

    # --- runs -----------------------------------------------------------------------------------------------------

    def _states(self) -> Values:
        """A run counts under its state until it ends, and for a while under the one in which it ended."""
        since = self._now - int(self._settings.offset_minutes * _MINUTE)
        counted = [run for run in self._runs if run.ended is None or run.ended >= since]
        return Counter((run.deployment or NULL, run.flow, _name(run), run.queue or NULL) for run in counted)

    def _ongoing(self) -> Values:
        running = [run for run in self._runs if run.ended is None and run.started is not None]
        return {
            (run.deployment or NULL, run.flow, _name(run), run.external_id or run.run): max(self._now - run.started, 0) / 1e6
            for run in running
        }

    def _failed(self) -> Values:
        since = self._now - int(self._settings.failed_runs_offset_minutes * _MINUTE)
        of: dict[Labels, list[Any]] = defaultdict(list)
        for run in sorted(self._runs, key=lambda run: (run.ended or 0, run.run), reverse=True):
            if run.state in _FAILED and run.ended >= since:
                of[run.deployment or NULL, run.flow, _name(run)].append(run)
        return {
            (deployment, flow, run.external_id or run.run, state): 1
            for (deployment, flow, state), found in of.items()
            for run in found[: self._settings.failed_runs_limit]
        }


def _name(run: Any) -> str:
    return state_name(run.state, run.native_state if run.ended is not None else "")


def _deployment_labels(flow: str, name: str, each: Deployment) -> Labels:
    status = {True: "READY", False: "NOT_READY", None: NULL}[each.ready]
    return (
        flow,
        str(not each.paused),
        name,
        NULL,
        str(each.paused),
        each.pool or NULL,
        each.queue or NULL,
        status,
        each.tags,
    )
