"""Ends for runs whose process is gone: events by ids derived from run and journal, so that twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, not_, or_, select

from flowtell.events import AssetFailed, Event, Failure, FlowRunFinished, TaskRunFinished
from flowtell.ids import crash_id
from flowtell.journal import Header
from flowtell.server.begun_assets import begun_assets
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import runs, task_runs, writers

_INGESTER: Final = "ingest"

_IN_LINE: Final = and_(runs.c.state == "waiting", runs.c.due.is_(None))
"""Not begun, and waiting in its own process for a limit. One with a due time is begun by who serves, or by who does next."""

_LEFT_PAUSED: Final = and_(runs.c.state == "paused", runs.c.due.is_not(None))
"""Waits for an answer. Whoever serves begins it again, or says that it crashed where it did more than wait."""


class Gone(NamedTuple):
    """A journal's writer that has ended."""

    writer: int
    """By its row of `writers`."""
    header: Header
    died: int
    """In µs."""


def end_open_runs(store: Store, transaction: Transaction, gone: Iterable[Gone], now: int) -> None:
    """Append the ends of all that these writers started and did not end."""
    ends = _ends(transaction.connection, {one.writer: one for one in gone if not one.header.elsewhere})
    if not ends:
        return
    own = store.log.writer(transaction, _INGESTER, "ingest")
    written = transaction.connection.execute(select(writers.c.place).where(writers.c.id == own.id)).scalar_one()
    store.log.append_events(transaction, own, ends, now, written)
    store.log.move_writer(transaction, own, place=written + len(ends), last_read=now)


def _ends(connection: Connection, gone: dict[int, Gone]) -> Sequence[Event]:
    """Task runs before the runs they belong to. A source's end says nothing of what it watched, which lives elsewhere."""
    if not gone:
        return []
    open_runs = connection.execute(
        select(runs).where(
            runs.c.writer.in_(list(gone)),
            runs.c.ended.is_(None),
            or_(runs.c.started.is_not(None), _IN_LINE),
            not_(_LEFT_PAUSED),
        )
    ).all()
    whose = {run.id: gone[run.writer] for run in open_runs}
    open_tasks = connection.execute(_open_tasks(list(gone), list(whose))).all()
    return [
        *(end for row in open_tasks for end in _task_ends(connection, row, gone.get(row.writer) or whose[row.run])),
        *(_flow_crash(row, gone[row.writer]) for row in open_runs),
    ]


def _task_ends(connection: Connection, row: Any, gone: Gone) -> Iterator[Event]:
    """What it was making, and its own."""
    for fields in begun_assets(connection, row.id, row.started):
        yield AssetFailed(
            **fields,
            time=gone.died,
            environment=gone.header.environment,
            source=gone.header.source,
            state="crashed",
            error=_failure(gone.header),
        )
    yield _task_crash(row, gone)


def _open_tasks(of_writers: Sequence[int], of_runs: Sequence[str]) -> Any:
    """Also those that another process had begun in a run that is over."""
    theirs = task_runs.c.writer.in_(of_writers)
    return select(task_runs).where(
        task_runs.c.ended.is_(None), or_(theirs, task_runs.c.run.in_(of_runs)) if of_runs else theirs
    )


def _failure(header: Header) -> Failure:
    where = f" on {header.machine}" if header.machine else ""
    return Failure(
        type="Crashed",
        message=f"Process {header.pid}{where} ended without finishing this run: "
        "killed, out of memory, or the machine went down.",
    )


_ASKED: Final = Failure(type="Cancelled", message="It was asked to end, and its process ended without finishing it.")
"""As the one says it who asked, and killed what did not listen: whoever is read first, the end is the same."""


def _flow_crash(row: Any, gone: Gone) -> Event:
    asked = row.state == "cancelling"
    return FlowRunFinished(
        id=_id(row.id, gone.header),
        time=gone.died,
        run=row.id,
        flow=row.flow,
        root_run=row.root_run or "",
        deployment=row.deployment or "",
        due=row.due,
        environment=row.environment,
        source=row.source,
        state="cancelled" if asked else "crashed",
        error=_ASKED if asked else _failure(gone.header),
        attempts=row.attempts,
    )


def _task_crash(row: Any, gone: Gone) -> Event:
    return TaskRunFinished(
        id=_id(row.id, gone.header),
        time=gone.died,
        run=row.run,
        task_run=row.id,
        flow=row.flow,
        task=row.task,
        environment=gone.header.environment,
        source=gone.header.source,
        state="crashed",
        error=_failure(gone.header),
        attempts=row.attempts,
    )


def _id(run: str, header: Header) -> str:
    return crash_id(run, header.writer, header.time)
