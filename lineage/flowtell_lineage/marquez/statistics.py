"""Counts over the last day by hours, or the last week by days, and the last events: what Marquez's first page shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import func, select

from flowtell.store.tables import events, runs
from flowtell_lineage.jobs import job_of
from flowtell_lineage.marquez.shapes import iso, uuid
from flowtell_lineage.reading import Read

_HOUR: Final = 3_600_000_000
_PERIODS: Final = {"DAY": (24, _HOUR), "WEEK": (7, 24 * _HOUR)}
_MOST: Final = 100_000
_KINDS: Final = {"completed": "complete", "cached": "complete", "skipped": "complete", "cancelled": "abort"}
_TYPES: Final = ("flow_run.started", "flow_run.finished", "task_run.started", "task_run.finished")
_ENDS: Final = {"complete": "COMPLETE", "abort": "ABORT", "fail": "FAIL"}


def intervals(period: str, now: int) -> list[tuple[int, int]]:
    """Begin and end of each part of a period, the last of which is not over."""
    count, each = _PERIODS.get(period.upper(), _PERIODS["DAY"])
    end = (now // each + 1) * each
    return [(end - (count - n) * each, end - (count - n - 1) * each) for n in range(count)]


def run_counts(read: Read, period: str, now: int) -> list[dict[str, Any]]:
    """Flow runs that began, and how those ended that began in the period."""
    told = intervals(period, now)
    rows = read(select(runs.c.started, runs.c.ended, runs.c.state).where(runs.c.started >= told[0][0]).limit(_MOST))
    counts = [{"fail": 0, "start": 0, "complete": 0, "abort": 0} for _ in told]
    begin, each = told[0][0], told[0][1] - told[0][0]
    for row in rows:
        _count(counts, (row.started - begin) // each, "start")
        if row.ended is not None:
            _count(counts, (row.ended - begin) // each, _KINDS.get(row.state, "fail"))
    return [{**_interval(*part), **count} for part, count in zip(told, counts, strict=True)]


def _count(counts: list[dict[str, int]], at: int, kind: str) -> None:
    if 0 <= at < len(counts):
        counts[at][kind] += 1


def totals(first_seen: Iterable[int], period: str, now: int) -> list[dict[str, Any]]:
    """How many were known at the end of each interval."""
    moments = list(first_seen)
    return [
        {**_interval(begin, end), "count": sum(moment < end for moment in moments)} for begin, end in intervals(period, now)
    ]


def _interval(begin: int, end: int) -> dict[str, Any]:
    return {"startInterval": iso(begin), "endInterval": iso(end)}


def last_events(read: Read, limit: int, offset: int, *, ascending: bool) -> dict[str, Any]:
    """Beginnings and ends of runs as OpenLineage events, the last first. What was received is not kept as it came."""
    order = events.c.seq.asc() if ascending else events.c.seq.desc()
    wanted = select(events).where(events.c.type.in_(_TYPES))
    count = read(select(func.count()).select_from(wanted.with_only_columns(events.c.seq).limit(_MOST).subquery()))
    return {
        "events": [_event(row) for row in read(wanted.order_by(order).limit(limit).offset(offset))],
        "totalCount": count[0][0],
    }


def _event(row: Any) -> dict[str, Any]:
    job = job_of(row.flow or "", row.task or "")
    return {
        "eventType": "START" if row.type.endswith("started") else _end(row.data),
        "eventTime": iso(row.time),
        "run": {"runId": uuid(row.task_run or row.run or ""), "facets": {}},
        "job": {"namespace": job.namespace, "name": job.name, "facets": {}},
        "inputs": [],
        "outputs": [],
        "producer": "https://github.com/OpenLineage/OpenLineage",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def _end(data: bytes) -> str:
    """Absent is the state `completed`."""
    try:
        state = msgspec.json.decode(data).get("state", "completed")
    except (msgspec.MsgspecError, AttributeError):
        state = "completed"
    return _ENDS[_KINDS.get(state, "fail")]
