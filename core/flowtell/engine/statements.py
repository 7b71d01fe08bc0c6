"""What a run states about itself: measures, and events under names of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from time import time_ns
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine.context import current
from flowtell.engine.logs import record
from flowtell.events import RESERVED, TYPES, MeasureRecorded, UserEvent
from flowtell.ids import is_id, new_id

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


def measure(name: str, value: float, unit: str = "") -> None:
    """State a number about the run around the caller, such as rows, tokens or cost.

    Outside a run it does nothing, so that a function can be tested by its `.fn`. What is no finite number is left out,
    with a line in the run's log: a wrong figure is no reason to fail.
    """
    run = current.get()
    if run is None:
        return
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        record(run, "WARNING", "flowtell.measure", f"Measure {name!r} is no finite number and was left out: {value!r:.200}")
        return
    now = time_ns() // 1000
    emit(MeasureRecorded(id=new_id(now), time=now, name=str(name), value=number, unit=unit, **place()))


def emit_event(
    event: str,
    resource: Mapping[str, Any] | str | None = None,
    payload: Mapping[str, Any] | None = None,
    related: Sequence[Mapping[str, Any]] | None = None,
    *,
    occurred: datetime | None = None,
    id: str | UUID | None = None,
    follows: str | None = None,
) -> str:
    """Write an event under a dotted name of your own, with the run around the caller if there is one; returns its id.

    Args:
        occurred: when it happened, as an aware datetime; None for now.
        id: one of your own, such as of what the event tells: one that is there already is not written twice to the log.
        follows: the id of the event that caused it.

    Raises:
        ValueError: the name has no dot, or is one of flowtell's own; `occurred` has no zone; `id` is no UUID.
    """
    if "." not in event.strip("."):
        raise ValueError(f"{event!r} is no name for an event: use a dotted one, such as 'shop.order.refunded'")
    if event in TYPES or event.startswith(RESERVED):
        raise ValueError(f"{event!r} is one of flowtell's own events; choose a name of your own")
    now = time_ns() // 1000 if occurred is None else _moment(occurred)
    identifier = new_id(now) if id is None else _identifier(id)
    named = {"id": resource} if isinstance(resource, str) else dict(resource or {})
    where = place()
    if follows:
        where["caused_by"] = follows
    emit(
        UserEvent(
            type=event, id=identifier, time=now, resource=named, payload=dict(payload or {}),
            related=tuple(dict(one) for one in related or ()), **where,
        )
    )  # fmt: skip
    return identifier


def _moment(occurred: datetime) -> int:
    from flowtell.schedules import microseconds

    if occurred.tzinfo is None:
        raise ValueError(f"occurred={occurred!s} needs a zone, as in datetime.now(UTC)")
    return microseconds(occurred)


def _identifier(given: str | UUID) -> str:
    text = str(given).replace("-", "").lower()
    if not is_id(text):
        raise ValueError(f"id={given!s} is no UUID")
    return text


def place() -> dict[str, Any]:
    """The run that the caller is in, as events carry it."""
    run = current.get()
    if run is None:
        return {}
    scope = run.scope
    return {
        "run": scope.run, "root_run": scope.root_run, "flow": scope.flow, "task_run": run.task_run, "task": run.task,
        "caused_by": scope.caused_by, "hops": scope.hops,
    }  # fmt: skip
