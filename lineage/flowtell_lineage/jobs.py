"""An OpenLineage job and the flow or task that it is here, both ways.

A job that nobody above it started is a flow, `namespace/name`. One below it is a task: `etl.load` below `etl` is `load`,
any other goes by `namespace/name` too. A flow of flowtell's own is the job of its name in the namespace `flowtell`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

OWN: Final = "flowtell"
"""Namespace of jobs that no OpenLineage event told of."""


class Job(NamedTuple):
    """A job as OpenLineage names it."""

    namespace: str
    name: str


def flow_of(job: Job) -> str:
    """Its name as a flow."""
    if job.namespace == OWN and "/" not in job.name:
        return job.name
    return f"{_escaped(job.namespace)}/{job.name}"


def task_of(job: Job, flow: Job) -> str:
    """Its name as a task of that flow."""
    inside = job.name.removeprefix(f"{flow.name}.")
    same = job.namespace == flow.namespace and inside != job.name
    return inside if same and inside and "/" not in inside else f"{_escaped(job.namespace)}/{job.name}"


def job_of(flow: str, task: str = "") -> Job:
    """The job that a flow, or a task of it, is."""
    above = _read(flow)
    if not task:
        return above
    return _read(task) if "/" in task else Job(above.namespace, f"{above.name}.{task}" if above.name else task)


def _read(text: str) -> Job:
    namespace, slash, name = text.partition("/")
    return Job(_plain(namespace), name) if slash else Job(OWN, text)


def _escaped(namespace: str) -> str:
    return namespace.replace("%", "%25").replace("/", "%2F")


def _plain(text: str) -> str:
    return text.replace("%2F", "/").replace("%25", "%")


__all__ = ["OWN", "Job", "flow_of", "job_of", "task_of"]
