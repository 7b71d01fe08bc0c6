"""Facets of runs and jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attr
from openlineage.client.event_v2 import Job as JobElement
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    documentation_job,
    error_message_run,
    job_type_job,
    nominal_time_run,
    ownership_job,
    parent_run,
    processing_engine_run,
    source_code_location_job,
    sql_job,
    tags_job,
    tags_run,
)

from flowtell.events import CodePlace, FlowDeclared, FlowRunFinished, TaskRunFinished
from flowtell.version import VERSION
from flowtell_lineage.jobs import Job
from flowtell_lineage.openlineage.sending.words import PRODUCER, STATES, moment, tag, uuid

INTEGRATION: Final = "FLOWTELL"


@attr.define
class FlowtellRunFacet(RunFacet):
    """`flowtell_run`: what OpenLineage has no facet for."""

    state: str | None = None
    """Ours, which is finer than COMPLETE, FAIL and ABORT."""
    environment: str | None = None
    deployment: str | None = None
    name: str | None = None
    url: str | None = None
    attempts: int | None = None


def parent(run: str, above: Job, root: str, root_job: Job) -> RunFacet:
    """Who started this run, and the outermost one above it."""
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=uuid(run)),
        job=parent_run.Job(namespace=above.namespace, name=above.name),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=uuid(root)),
            job=parent_run.RootJob(namespace=root_job.namespace, name=root_job.name),
        ),
        producer=PRODUCER,
    )


def of_run(event: Any, start: Any = None) -> dict[str, RunFacet]:
    """What an event of a run, and the start of that run where it is known, say of it."""
    own = start if start is not None else event
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=VERSION, name="flowtell", openlineageAdapterVersion=VERSION, producer=PRODUCER
        ),
        "flowtell_run": _rest(event, own),
    }
    due = event.due if event.due is not None else own.due
    if due is not None:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(nominalStartTime=moment(due), producer=PRODUCER)
    if tags := getattr(own, "tags", ()):
        found = [tags_run.TagsRunFacetFields(key=key, value=value, source=INTEGRATION) for key, value in map(tag, tags)]
        facets["tags"] = tags_run.TagsRunFacet(tags=found, producer=PRODUCER)
    return facets


def _rest(event: Any, own: Any) -> FlowtellRunFacet:
    ended = isinstance(event, FlowRunFinished | TaskRunFinished)
    return FlowtellRunFacet(
        state=event.state if ended else None,
        environment=event.environment or None,
        deployment=event.deployment or None,
        name=getattr(own, "name", "") or None,
        url=event.url or None,
        attempts=event.attempts if ended else None,
        producer=PRODUCER,
    )


def failure(end: FlowRunFinished | TaskRunFinished) -> dict[str, RunFacet]:
    """Why it failed. One that was killed has no exception: its state, and the signal where it is known, say why."""
    if STATES[end.state] != "FAIL":
        return {}
    words = f"{end.state.replace('_', ' ')}{f' by signal {end.signal}' if end.signal else ''}"
    error = end.error
    message = ": ".join(word for word in (error.type, error.message) if word) if error else ""
    return {
        "errorMessage": error_message_run.ErrorMessageRunFacet(
            message=message or words,
            programmingLanguage="python",
            stackTrace=(error.traceback or None) if error else None,
            producer=PRODUCER,
        )
    }


def element(job: Job, kind: str, declared: FlowDeclared | None = None, sql: str = "") -> JobElement:
    """A job with what is known of it.

    Args:
        kind: FLOW or TASK.
        declared: what the flow says of itself.
        sql: a statement that it ran.
    """
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration=INTEGRATION, jobType=kind, producer=PRODUCER
        )
    }
    if sql:
        facets["sql"] = sql_job.SQLJobFacet(query=sql, producer=PRODUCER)
    if declared is not None:
        facets.update(_declared(declared))
    return JobElement(namespace=job.namespace, name=job.name, facets=facets)


def _declared(flow: FlowDeclared) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {}
    if flow.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(description=flow.description, producer=PRODUCER)
    if flow.owners:
        owners = [ownership_job.Owner(name=name) for name in flow.owners]
        facets["ownership"] = ownership_job.OwnershipJobFacet(owners=owners, producer=PRODUCER)
    if flow.tags:
        facets["tags"] = _tags(flow.tags)
    if flow.code is not None and flow.code.file:
        facets["sourceCodeLocation"] = _place(flow.code, flow.version)
    return facets


def _tags(tags: Sequence[str]) -> JobFacet:
    found = [tags_job.TagsJobFacetFields(key=key, value=value, source=INTEGRATION) for key, value in map(tag, tags)]
    return tags_job.TagsJobFacet(tags=found, producer=PRODUCER)


def _place(code: CodePlace, version: str) -> JobFacet:
    from pathlib import PurePosixPath
    from urllib.parse import quote

    path = quote(str(PurePosixPath("/") / code.file))
    return source_code_location_job.SourceCodeLocationJobFacet(
        type="file", url=f"file://{path}#L{code.line}", version=version or None, producer=PRODUCER
    )
