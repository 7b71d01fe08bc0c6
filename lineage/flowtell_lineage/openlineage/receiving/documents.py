"""OpenLineage's three kinds of event as structs (its spec/OpenLineage.json, 2-0-2), read as leniently as they are sent.

Wanted is what no reader can do without: a time, a run's id, names. All else may be missing, null or of another kind; a
facet is looked into where it is used.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from flowtell.decoders import convert
from flowtell_lineage.openlineage.receiving.errors import OpenLineageMalformed


class Dataset(Struct, frozen=True, rename="camel", gc=False):
    """One that a run read or made, or that an event is about."""

    namespace: str
    name: str
    facets: Any = None
    input_facets: Any = None
    output_facets: Any = None


class JobNamed(Struct, frozen=True, gc=False):
    namespace: str
    name: str
    facets: Any = None


class RunNamed(Struct, frozen=True, rename="camel", gc=False):
    run_id: str
    facets: Any = None


class Document(Struct, frozen=True, rename="camel", gc=False):
    """One event: of a run where it has one, else of a job, else of a dataset."""

    event_time: str
    event_type: str | None = None
    run: RunNamed | None = None
    job: JobNamed | None = None
    dataset: Dataset | None = None
    inputs: tuple[Dataset, ...] | None = None
    outputs: tuple[Dataset, ...] | None = None

    @property
    def time(self) -> int:
        """Its moment in µs."""
        return moment(self.event_time) or 0

    @property
    def kind(self) -> str:
        """Its type in capitals; RUNNING where it says none, as Marquez has it."""
        return (self.event_type or "RUNNING").upper()


def read_document(value: Any) -> Document:
    """A decoded event.

    Raises:
        OpenLineageMalformed: with the JSON path of what is wrong.
    """
    try:
        document = convert(value, Document)
    except (msgspec.ValidationError, RecursionError) as error:
        problem, _, path = str(error)[:300].partition(" - at ")
        raise OpenLineageMalformed(path.strip("`") or "$", problem) from error
    _check(document)
    return document


def _check(document: Document) -> None:
    if moment(document.event_time) is None:
        raise OpenLineageMalformed("$.eventTime", "is no time of ISO 8601")
    if document.run is None and document.job is None and document.dataset is None:
        raise OpenLineageMalformed("$", "has neither run, job nor dataset")
    if document.run is not None and document.job is None:
        raise OpenLineageMalformed("$.job", "is missing from a run's event")
    if document.run is not None and not document.run.run_id:
        raise OpenLineageMalformed("$.run.runId", "is empty")
    if document.job is not None and not document.job.name:
        raise OpenLineageMalformed("$.job.name", "is empty")


_FINER: Final = re.compile(r"(\.\d{6})\d+")
_ZONE_NAME: Final = re.compile(r"\[[^\]]*\]$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: Any) -> int | None:
    """µs since the epoch of an ISO 8601 time, which is UTC where it names no zone; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(_ZONE_NAME.sub("", _FINER.sub(r"\1", text.strip())))
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
