"""Runs that have started and not ended: their starts and attempts, in memory, and from the tables after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, select, tuple_

from flowtell.decoders import decoder
from flowtell.events import Event, Failure, FlowRunStarted, TaskRunStarted, UpstreamRun, encode_value
from flowtell.store.tables import runs, task_runs
from flowtell_exporters.otel.tables import attempts as kept_attempts

_MOST: Final = 200_000
"""Starts in memory, some 500 B each; others are read back at their end."""
_KEYS_A_QUERY: Final = 400


class Attempt(Struct):
    """One try. What is not known is None."""

    number: int
    start: int | None = None
    end: int | None = None
    error: Failure | None = None

    def row(self, run: str, seen: int) -> dict[str, Any]:
        error = encode_value(self.error).decode() if self.error else ""
        return {"run": run, "number": self.number, "start": self.start, "end": self.end, "error": error, "seen": seen}


class Start(Struct):
    """What a run's end needs of its start."""

    time: int | None
    name: str = ""
    tags: tuple[str, ...] = ()
    parent_run: str = ""
    parent_task_run: str = ""
    upstream: tuple[UpstreamRun, ...] = ()
    map_index: int | None = None
    version: str = ""
    cause: str = ""
    pid: int | None = None
    machine: str = ""


def run_of(event: Event) -> str:
    """The run that an event is about: the task run, where it names one."""
    return event.task_run or event.run


class OpenRuns:
    """Taking an event twice changes nothing, so a batch that has to wait can be given again."""

    def __init__(self, read: Callable[[Any], Iterable[Any]]) -> None:
        self._read = read
        self._starts: dict[str, Start] = {}
        self._attempts: dict[str, dict[int, Attempt]] = {}

    def started(self, event: Any) -> bool:
        """An attempt began. Whether its attempts are worth keeping: there is more than one."""
        run = run_of(event)
        if event.attempt == 1:
            self._remember(run, start_of(event))
            return False
        self._attempt(run, event.attempt).start = event.time
        return True

    def failed(self, event: Any) -> None:
        """An attempt failed, and another is to follow."""
        run = run_of(event)
        attempt = self._attempt(run, event.attempt)
        attempt.end, attempt.error = event.time, event.error
        if attempt.start is None and event.attempt == 1 and run in self._starts:
            attempt.start = self._starts[run].time

    def _attempt(self, run: str, number: int) -> Attempt:
        self._look_up_attempts([run])
        return self._attempts.setdefault(run, {}).setdefault(number, Attempt(number))

    def _remember(self, run: str, start: Start) -> None:
        if len(self._starts) >= _MOST:
            self._starts.pop(next(iter(self._starts)))
        self._starts[run] = start

    def look_up(self, ends: Sequence[Any]) -> None:
        """Read of the tables what is not in memory for these ends."""
        missing = [event for event in ends if run_of(event) not in self._starts]
        tasks = sorted({(event.run, event.task_run) for event in missing if event.task_run})
        flows = sorted({event.run for event in missing if not event.task_run})
        for part in _parts(tasks):
            for row in self._rows(task_runs, tuple_(task_runs.c.run, task_runs.c.id).in_(part)):
                self._remember(row.id, _start_of_task(row))
        for ids in _parts(flows):
            for row in self._rows(runs, runs.c.id.in_(ids)):
                self._remember(row.id, _start_of_flow(row))
        self._look_up_attempts(sorted({run_of(event) for event in ends if event.attempts > 1}))

    def _look_up_attempts(self, wanted: Sequence[str]) -> None:
        """What a run's first attempts were, before anything is added to them."""
        for ids in _parts([run for run in wanted if run not in self._attempts]):
            for row in self._rows(kept_attempts, kept_attempts.c.run.in_(ids)):
                error = decoder(Failure)(row.error) if row.error else None
                self._attempts.setdefault(row.run, {})[row.number] = Attempt(row.number, row.start, row.end, error)

    def _rows(self, table: Any, where: ColumnElement[bool]) -> Iterable[Any]:
        return self._read(select(table).where(where))

    def start(self, run: str) -> Start:
        """Of one that nobody has seen start nothing is known."""
        return self._starts.get(run) or Start(None)

    def attempts(self, run: str) -> list[Attempt]:
        """By their numbers; empty for one that was never retried."""
        known = self._attempts.get(run, {})
        return [known[number] for number in sorted(known)]

    def ended(self, run: str) -> None:
        self._starts.pop(run, None)
        self._attempts.pop(run, None)


def start_of(event: FlowRunStarted | TaskRunStarted) -> Start:
    if isinstance(event, TaskRunStarted):
        return Start(
            event.time, event.name, event.tags, upstream=event.upstream, map_index=event.map_index, machine=event.machine
        )
    return Start(
        event.time,
        event.name,
        event.tags,
        event.parent_run,
        event.parent_task_run,
        version=event.version,
        cause=event.cause,
        pid=event.pid,
        machine=event.machine,
    )


def _start_of_task(row: Any) -> Start:
    upstream = decoder(tuple[UpstreamRun, ...])(row.upstream) if row.upstream else ()
    return Start(row.started, row.name or "", _tags(row), upstream=upstream, map_index=row.map_index)


def _start_of_flow(row: Any) -> Start:
    return Start(
        row.started,
        row.name or "",
        _tags(row),
        row.parent_run or "",
        row.parent_task_run or "",
        version=row.version or "",
        cause=row.cause or "",
        pid=row.pid,
        machine=row.machine or "",
    )


def _tags(row: Any) -> tuple[str, ...]:
    return decoder(tuple[str, ...])(row.tags) if row.tags else ()


def _parts(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + _KEYS_A_QUERY] for start in range(0, len(keys), _KEYS_A_QUERY))
