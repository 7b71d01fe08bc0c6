"""How OpenLineage writes what we have: moments, ids, jobs, datasets, tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from flowtell.version import VERSION
from flowtell_lineage.jobs import OWN, Job, job_of
from flowtell_lineage.openlineage.receiving.echoes import PRODUCERS
from flowtell_lineage.openlineage.receiving.runs import run_id

PRODUCER: Final = f"{PRODUCERS}{VERSION}"
"""Names who made an event or a facet; each has one."""

STATES: Final = {
    "completed": "COMPLETE",
    "cached": "COMPLETE",
    "failed": "FAIL",
    "timed_out": "FAIL",
    "crashed": "FAIL",
    "cancelled": "ABORT",
    "skipped": "ABORT",
}
"""Its word for each end of a run."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time: int) -> str:
    """ISO 8601 in UTC of µs since the epoch."""
    return (_EPOCH + timedelta(microseconds=time)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def uuid(run: str) -> str:
    """A run's id as OpenLineage wants it; the same each time for one that a source brought and that is no UUID."""
    return str(UUID(run_id(run)))


def job(flow: str, task: str, namespace: str) -> Job:
    """The job that a flow or task is; those of our own in the namespace that was configured."""
    found = job_of(flow or "unknown", task)
    return found._replace(namespace=namespace) if found.namespace == OWN else found


def tag(text: str) -> tuple[str, str]:
    """`team:data` by key and value. The receiver writes them as one word again, whichever it is."""
    key, colon, value = text.partition(":")
    return (key, value) if colon and key and value not in ("", "true") else (text, "true")


def transformations(text: str) -> list[tuple[str, str]]:
    """Type and subtype of each that a column's source names, such as `DIRECT:AGGREGATION,INDIRECT:FILTER`.

    A word of another kind is a subtype of a direct one: OpenLineage has those two types.
    """
    words = (one.partition(":") for one in text.split(",") if one)
    return [(kind, subtype) if kind in ("DIRECT", "INDIRECT") else ("DIRECT", f"{kind}{colon}{subtype}")
            for kind, colon, subtype in words]  # fmt: skip
