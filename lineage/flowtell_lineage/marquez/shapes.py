"""Assets, jobs and runs as the objects of Marquez's API (its spec/openapi.yml)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from flowtell.ids import is_id
from flowtell_lineage.jobs import Job
from flowtell_lineage.names import Name, split
from flowtell_lineage.reading import Asset, Materialization

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STREAMS: Final = frozenset({"kafka", "pubsub"})
_STATES: Final = {
    **dict.fromkeys(("completed", "cached", "skipped"), "COMPLETED"),
    **dict.fromkeys(("failed", "timed_out", "crashed"), "FAILED"),
    "cancelled": "ABORTED",
    **dict.fromkeys(("scheduled", "pending", "late", "waiting"), "NEW"),
}


class KnownJob(Struct, frozen=True):
    """A flow or task, with what it was seen to read and make."""

    id: int
    job: Job
    flow: str
    task: str
    first_seen: int
    last_seen: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def iso(moment: int | None) -> str | None:
    """A moment in µs as ISO 8601 in UTC."""
    if moment is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=moment)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return None


def pair(name: Name | Job) -> dict[str, str]:
    return {"namespace": name.namespace, "name": name.name}


def dataset_node(asset: str) -> str:
    return "dataset:{}:{}".format(*split(asset))


def job_node(job: Job) -> str:
    return f"job:{job.namespace}:{job.name}"


def uuid(identifier: str) -> str:
    """With dashes, as its clients expect."""
    return str(UUID(identifier)) if is_id(identifier) else identifier


def dataset(asset: Asset) -> dict[str, Any]:
    name, made = split(asset.asset), asset.made
    scheme = name.namespace.partition(":")[0]
    return {
        "id": pair(name),
        "type": "STREAM" if scheme in _STREAMS else "DB_TABLE",
        "name": name.name,
        "physicalName": name.name,
        "createdAt": iso(asset.first_seen),
        "updatedAt": iso(asset.last_seen),
        "namespace": name.namespace,
        "sourceName": name.namespace,
        "fields": fields(made),
        "tags": list(asset.tags),
        "lastModifiedAt": iso(made.time) if made else None,
        "lastLifecycleState": "",
        "description": asset.description or None,
        "currentVersion": uuid(made.id) if made else None,
        "columnLineage": None,
        "facets": _facets(asset),
        "deleted": False,
    }


def _facets(asset: Asset) -> dict[str, Any]:
    owners = {"ownership": {"owners": [{"name": owner} for owner in asset.owners]}} if asset.owners else {}
    words = {"documentation": {"description": asset.description}} if asset.description else {}
    return {**owners, **words}


def fields(made: Materialization | None) -> list[dict[str, Any]]:
    found = made.columns if made else ()
    return [{"name": one.name, "type": one.type, "tags": [], "description": None} for one in found]


def version(asset: Asset, made: Materialization, run: dict[str, Any] | None) -> dict[str, Any]:
    """One materialization as a version of its dataset."""
    whole, own = dataset(asset), uuid(made.id)
    kept = ("type", "name", "physicalName", "namespace", "sourceName", "tags", "description", "facets")
    return {
        "id": {**whole["id"], "version": own},
        **{name: whole[name] for name in kept},
        "createdAt": iso(made.time),
        "version": own,
        "externalVersion": made.version or None,
        "fields": fields(made),
        "lifecycleState": "",
        "createdByRun": run,
    }


def job(known: KnownJob, latest: list[dict[str, Any]]) -> dict[str, Any]:
    parent = known.job.name.rpartition(".")[0] if known.task and "/" not in known.task else ""
    return {
        "id": pair(known.job),
        "type": "BATCH",
        "name": known.job.name,
        "simpleName": known.job.name.removeprefix(f"{parent}.") if parent else known.job.name,
        "parentJobName": parent or None,
        "createdAt": iso(known.first_seen),
        "updatedAt": iso(known.last_seen),
        "namespace": known.job.namespace,
        "inputs": [pair(split(asset)) for asset in known.inputs],
        "outputs": [pair(split(asset)) for asset in known.outputs],
        "tags": [],
        "location": None,
        "description": None,
        "latestRun": latest[0] if latest else None,
        "latestRuns": latest,
        "facets": {},
        "labels": [],
        "currentVersion": None,
    }


def run(row: Mapping[str, Any], name: Job) -> dict[str, Any]:
    """A row of `runs` or `task_runs`."""
    started, ended = row["started"], row["ended"]
    return {
        "id": uuid(row["id"]),
        "createdAt": iso(started if started is not None else row["changed"]),
        "updatedAt": iso(row["changed"]),
        "nominalStartTime": iso(row.get("due")),
        "nominalEndTime": None,
        "state": _STATES.get(row["state"], "RUNNING"),
        "startedAt": iso(started),
        "endedAt": iso(ended),
        "durationMs": max(ended - started, 0) // 1000 if started is not None and ended is not None else None,
        "args": {},
        "namespaceName": name.namespace,
        "jobName": name.name,
        "jobVersion": None,
        "inputDatasetVersions": [],
        "outputDatasetVersions": [],
        "facets": run_facets(row),
    }


def run_facets(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of it that has a facet."""
    due, error = iso(row.get("due")), row["error"]
    nominal = {"nominalTime": {"nominalStartTime": due}} if due else {}
    if not error:
        return nominal
    said = json.loads(error)
    words = {"message": said.get("message", ""), "programmingLanguage": "", "stackTrace": said.get("traceback", "")}
    return {**nominal, "errorMessage": words}
