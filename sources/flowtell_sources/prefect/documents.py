"""Prefect's documents as far as they are read here: a field that a version lacks is at its default, others pass by.

Shapes: the OpenAPI document of a Prefect 3 server, `/api/openapi.json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flowtell.decoders import convert


class Details(Struct, frozen=True):
    """`state_details` of a state."""

    scheduled_time: str | None = None
    pause_timeout: str | None = None
    pause_key: str | None = None
    child_flow_run_id: str | None = None
    cache_key: str | None = None


class State(Struct, frozen=True):
    """One state of a run, the one it is in or one that it was in."""

    type: str
    name: str | None = None
    id: str = ""
    timestamp: str = ""
    message: str | None = None
    state_details: Details = Details()

    @property
    def title(self) -> str:
        """Its name there: `Late` where the type is SCHEDULED."""
        return self.name or self.type.capitalize()


class FlowRun(Struct, frozen=True):
    id: str
    name: str = ""
    flow_id: str = ""
    state: State | None = None
    deployment_id: str | None = None
    work_queue_name: str | None = None
    work_pool_name: str | None = None
    flow_version: str | None = None
    parameters: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    labels: dict[str, Any] = {}
    parent_task_run_id: str | None = None
    run_count: int = 0
    auto_scheduled: bool = False
    expected_start_time: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    infrastructure_pid: str | None = None


class TaskRun(Struct, frozen=True):
    id: str = ""
    name: str = ""
    flow_run_id: str | None = None
    task_key: str = ""
    dynamic_key: str = ""
    state: State | None = None
    tags: tuple[str, ...] = ()
    task_inputs: dict[str, Any] = {}
    run_count: int = 0
    start_time: str | None = None
    end_time: str | None = None
    cache_key: str | None = None


class Message(Struct, frozen=True):
    """One event of Prefect's own, from the websocket or from `/events/filter`."""

    id: str
    event: str
    occurred: str
    resource: dict[str, Any] = {}
    related: tuple[dict[str, Any], ...] = ()
    payload: dict[str, Any] = {}

    def related_id(self, role: str) -> str:
        """Prefect's id of the resource in that role, without what leads it; empty where there is none."""
        found = self._in_role(role)
        return str(found.get("prefect.resource.id", "")).removeprefix(f"prefect.{role}.") if found else ""

    def related_name(self, role: str) -> str:
        found = self._in_role(role)
        return str(found.get("prefect.resource.name", "")) if found else ""

    def related_ids(self, role: str) -> tuple[str, ...]:
        """Ids of all resources in that role, as they are."""
        return tuple(str(each.get("prefect.resource.id", "")) for each in self.related if _role(each) == role)

    @property
    def subject(self) -> str:
        """Id of what the event is about, as it is."""
        return str(self.resource.get("prefect.resource.id", ""))

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(each.removeprefix("prefect.tag.") for each in self.related_ids("tag"))

    def _in_role(self, role: str) -> dict[str, Any] | None:
        return next((each for each in self.related if _role(each) == role), None)


def _role(resource: dict[str, Any]) -> str:
    return str(resource.get("prefect.resource.role", ""))


_Kind = TypeVar("_Kind", bound=Struct)


def read_document(value: Any, kind: type[_Kind]) -> _Kind | None:
    """The document as its struct; None where it is none."""
    try:
        return convert(value, kind, strict=False)
    except (msgspec.ValidationError, RecursionError):
        return None


def read_documents(values: Any, kind: type[_Kind]) -> list[_Kind]:
    """Those of a page that are what they should be."""
    found: Iterable[_Kind | None] = (read_document(value, kind) for value in values)
    return [document for document in found if document is not None]
