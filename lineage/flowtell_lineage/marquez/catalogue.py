"""What Marquez's API is asked about, found in the graph's tables and the log's runs. Every answer is bounded.

A nodeId's colons say nothing of where a namespace ends (`arn:aws:glue:…`, `topic:project:id`), so that each of them is tried
and the one is taken that is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import or_, select

from flowtell.store.tables import runs, task_runs
from flowtell_lineage.identity import number
from flowtell_lineage.jobs import Job, flow_of, job_of, task_of
from flowtell_lineage.marquez import shapes
from flowtell_lineage.marquez.shapes import KnownJob
from flowtell_lineage.names import key_of
from flowtell_lineage.reading import LARGEST, Asset, Read, assets, keys_of
from flowtell_lineage.requests import NotKnown
from flowtell_lineage.tables import assets as nodes
from flowtell_lineage.tables import job_assets, jobs

_IDS_A_QUERY: Final = 500
LATEST_RUNS: Final = 10


def candidates(rest: str) -> Iterator[tuple[str, str]]:
    """Each way to part a text at a colon into namespace and name."""
    places = [at for at, letter in enumerate(rest) if letter == ":"]
    return ((rest[:at], rest[at + 1 :]) for at in places)


def known_asset(read: Read, namespace: str, name: str) -> str:
    """The key of a dataset that is known.

    Raises:
        NotKnown
    """
    found = _known_keys(read, [key_of(namespace, name)])
    if not found:
        raise NotKnown(f"dataset '{name}' in namespace '{namespace}' not found")
    return found[0]


def asset_of_node(read: Read, rest: str) -> str:
    """The key that a nodeId's part after `dataset:` means.

    Raises:
        NotKnown
    """
    found = _known_keys(read, [key_of(*parts) for parts in candidates(rest.partition("#")[0])])
    if not found:
        raise NotKnown(f"dataset:{rest} not found")
    return found[0]


def field_of_node(read: Read, rest: str) -> tuple[str, str]:
    """Key and column that a nodeId's part after `datasetField:` means."""
    whole, _, column = rest.partition("#")[0].rpartition(":")
    return asset_of_node(read, whole), column


def _known_keys(read: Read, keys: list[str]) -> list[str]:
    """Those that are assets, in the order in which they were given."""
    numbers = {number(key): key for key in keys}
    rows = read(select(nodes.c.id).where(nodes.c.id.in_(list(numbers)))) if keys else []
    known = {row.id for row in rows}
    return [key for key in keys if number(key) in known]


# --- jobs -------------------------------------------------------------------------------------------------------------


def known_jobs(read: Read, *which: Any) -> list[KnownJob]:
    """Jobs with what they read and make, by name. One for each flow or task, in however many environments."""
    rows = read(select(jobs).where(*which, jobs.c.flow != "").order_by(jobs.c.flow, jobs.c.task).limit(LARGEST))
    touched = _touched(read, [row.id for row in rows])
    merged: dict[Job, KnownJob] = {}
    for row in rows:
        known = _job(row, touched.get(row.id, {}))
        before = merged.get(known.job)
        merged[known.job] = _merge(before, known) if before else known
    return list(merged.values())


def _job(row: Any, touched: dict[str, list[str]]) -> KnownJob:
    inputs, outputs = (tuple(sorted(touched.get(role, ()))) for role in ("input", "output"))
    return KnownJob(row.id, job_of(row.flow, row.task), row.flow, row.task, row.first_seen, row.last_seen, inputs, outputs)


def _merge(one: KnownJob, other: KnownJob) -> KnownJob:
    first, last = min(one.first_seen, other.first_seen), max(one.last_seen, other.last_seen)
    inputs, outputs = (
        tuple(sorted({*here, *there})) for here, there in ((one.inputs, other.inputs), (one.outputs, other.outputs))
    )
    return KnownJob(one.id, one.job, one.flow, one.task, first, last, inputs, outputs)


def _touched(read: Read, ids: list[int]) -> dict[int, dict[str, list[str]]]:
    """Keys by job and role."""
    rows = [row for part in parts(ids) for row in read(select(job_assets).where(job_assets.c.job.in_(part)).limit(LARGEST))]
    keys = keys_of(read, {row.asset for row in rows})
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.asset in keys:
            found[row.job][row.role].append(keys[row.asset])
    return found


def find_job(read: Read, pairs: Iterable[tuple[str, str]]) -> KnownJob:
    """The first of these names that is a job.

    Raises:
        NotKnown
    """
    wanted = [Job(*pair) for pair in pairs if pair[1]]
    flows = {flow_of(Job(job.namespace, above)) for job in wanted for above in _above(job.name)}
    tasks = {task_of(job, Job("", "")) for job in wanted}
    found = {known.job: known for known in known_jobs(read, or_(jobs.c.flow.in_(flows), jobs.c.task.in_(tasks)))}
    for job in wanted:
        if job in found:
            return found[job]
    raise NotKnown(f"job '{wanted[0].namespace}:{wanted[0].name}' not found" if wanted else "no job is named")


def _above(name: str) -> Iterator[str]:
    """The name, and what may be its flow's: all that a dot ends."""
    yield name
    for at, letter in enumerate(name):
        if letter == ".":
            yield name[:at]


def parts(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _IDS_A_QUERY):
        yield ids[start : start + _IDS_A_QUERY]


# --- runs -------------------------------------------------------------------------------------------------------------


def runs_of(read: Read, known: KnownJob, limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
    """Its runs, the latest first. Of a task, those in the flow's latest runs."""
    latest = select(runs).where(runs.c.flow == known.flow).order_by(runs.c.started.desc(), runs.c.id)
    if not known.task:
        return [shapes.run(dict(row._mapping), known.job) for row in read(latest.limit(limit).offset(offset))]
    inside = latest.with_only_columns(runs.c.id).limit(limit + offset).scalar_subquery()
    wanted = select(task_runs).where(task_runs.c.run.in_(inside), task_runs.c.task == known.task)
    rows = read(wanted.order_by(task_runs.c.started.desc(), task_runs.c.id).limit(limit).offset(offset))
    return [shapes.run(dict(row._mapping), known.job) for row in rows]


def find_run(read: Read, run: str) -> dict[str, Any]:
    """A flow run, or a task run.

    Raises:
        NotKnown
    """
    own = run.replace("-", "").lower()
    for table in (runs, task_runs):
        for row in read(select(table).where(table.c.id == own).limit(1)):
            return shapes.run(dict(row._mapping), job_of(row.flow, getattr(row, "task", "")))
    raise NotKnown(f"run '{run[:64]}' not found")


def whole_job(read: Read, known: KnownJob) -> dict[str, Any]:
    """The job with its latest runs."""
    return shapes.job(known, runs_of(read, known, LATEST_RUNS))


def all_assets(read: Read) -> list[Asset]:
    return assets(read)
