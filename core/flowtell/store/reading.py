"""What pages, commands and plugins ask of the store: runs, task runs, logs, flows, and how large it all is.

Each function takes a `read` that runs one SELECT over committed rows, so that a server's page, a command and a plugin's
`context.read` get the same answers. Every answer is bounded; nothing here sorts a whole table.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, literal_column, or_, select, text, tuple_

from flowtell.decoders import convert, decoder
from flowtell.errors import MalformedEvent, RunNotFound
from flowtell.events import Event, Failure, RuleData, UpstreamRun, decode
from flowtell.store.packing import COLUMNS, unpack
from flowtell.store.tables import (
    RUN_SPAN,
    SELDOM,
    counters,
    cursors,
    dead_events,
    events,
    flows,
    rejected,
    runs,
    task_runs,
    writers,
)

Read = Callable[[Select[Any]], Sequence[Row[Any]]]
"""Runs one SELECT: `Store.read`, `Context.read`, or a function around a connection."""

Place = tuple[int | None, str]
"""Where a run stands in the list of runs, to go on after it."""

COUNTED: Final = 1_000_000
"""Rows of one table that `store_stats` counts; beyond that it says so."""

TASK_RUNS_COUNTED: Final = 1000
"""Task runs of one run that `count_task_runs` counts."""

SHORTEST: Final = 4
"""Digits of an id that must be given to look for it: fewer name half of the store."""


# --- what is read -------------------------------------------------------------------------------------------------


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row. What is unknown is None, or empty for text; moments are µs since the epoch."""


class Run(_Record, frozen=True):
    """A flow run as far as the log tells."""

    id: str
    flow: str
    state: str
    changed: int
    environment: str = ""
    source: str = ""
    deployment: str = ""
    name: str = ""
    native_state: str = ""
    due: int | None = None
    started: int | None = None
    ended: int | None = None
    duration: float | None = None
    attempts: int = 1
    cause: str = ""
    parent_run: str = ""
    parent_task_run: str = ""
    root_run: str = ""
    trace: str = ""
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    version: str = ""
    error: Failure | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    signal: str = ""
    machine: str = ""
    pid: int | None = None
    url: str = ""
    external_id: str = ""
    corrections: int = 0

    @property
    def place(self) -> Place:
        """Give it as `before` to `list_runs` for the runs that come after this one in the list."""
        return self.started, self.id


class TaskRun(_Record, frozen=True):
    """A task run as far as the log tells; `run` is empty for a task that ran outside a flow."""

    run: str
    id: str
    flow: str
    task: str
    state: str
    changed: int
    name: str = ""
    dynamic_key: str = ""
    map_index: int | None = None
    native_state: str = ""
    started: int | None = None
    ended: int | None = None
    duration: float | None = None
    attempts: int = 1
    upstream: tuple[UpstreamRun, ...] = ()
    tags: tuple[str, ...] = ()
    error: Failure | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    url: str = ""
    corrections: int = 0


class TaskRunCount(_Record, frozen=True):
    """How many task runs a run has, and how many of them have ended; at most `TASK_RUNS_COUNTED` are counted."""

    total: int = 0
    ended: int = 0


class LogLine(_Record, frozen=True):
    """One captured log record."""

    seq: int
    time: int
    message: str
    run: str = ""
    task_run: str = ""
    task: str = ""
    level: str = "INFO"
    logger: str = ""
    file: str = ""
    line: int = 0


class Flow(_Record, frozen=True):
    """A flow as it was last declared in one environment."""

    flow: str
    environment: str
    declared: int | None = None
    version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    rules: tuple[RuleData, ...] = ()
    code: dict[str, Any] = {}
    source: str = ""


class Cursor(_Record, frozen=True):
    """How far in the log one plugin has got."""

    plugin: str
    seq: int
    lag_events: int
    moved: int
    dead_events: int = 0


class Reporter(_Record, frozen=True):
    """A writer whose journal is shipped here from elsewhere: how its clock stands, and when it was heard of last."""

    name: str
    machine: str
    last_sign: int
    """When it was heard of, or whoever ships for it: what it had written by then is here, less what was on its way. By the
    server's clock, in µs, to about a heartbeat."""
    skew: float = 0.0
    """How far its clock is behind the server's, in seconds, and how long its lines take to get here."""
    ended: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it was given up, rather than to have said that it ends."""
        return self.ended is not None and self.last_sign < self.ended


class Count(_Record, frozen=True):
    """A bounded count of rows: `more` says that there are others."""

    rows: int
    more: bool = False


class StoreStats(_Record, frozen=True):
    """How much the store holds, and how far its readers are."""

    head: int
    """`seq` of the newest event."""
    oldest: int | None = None
    """When the log took the oldest event that it still has, in µs."""
    tables: dict[str, Count] = {}
    writers: int = 0
    """Journals that the log has met; each is one process."""
    live_writers: int = 0
    rejected: int = 0
    dropped: int = 0
    cursors: tuple[Cursor, ...] = ()
    counters: dict[str, int] = {}


# --- writers ------------------------------------------------------------------------------------------------------


def reporters(read: Read, names: Iterable[str]) -> list[Reporter]:
    """Of the writers of these names those that are shipped here; the others write on the server's own machine."""
    columns = (writers.c.name, writers.c.machine, writers.c.last_sign, writers.c.last_read, writers.c.skew, writers.c.ended)
    wanted = select(*columns).where(writers.c.name.in_(tuple(names)), writers.c.shipper.is_not(None))
    return [
        Reporter(
            name=row.name,
            machine=row.machine,
            last_sign=max(row.last_sign or 0, row.last_read if row.ended is None else 0),
            skew=row.skew or 0.0,
            ended=row.ended,
        )
        for row in read(wanted)
    ]


# --- runs ---------------------------------------------------------------------------------------------------------


def list_runs(
    read: Read,
    *,
    flow: str = "",
    state: Iterable[str] = (),
    environment: str = "",
    text: str = "",
    since: int | None = None,
    until: int | None = None,
    limit: int = 100,
    before: Place | None = None,
) -> list[Run]:
    """Up to `limit` runs by their start, newest first; those whose start is unknown come last.

    Walks an index in that order and stops at the limit; a filter that matches next to nothing walks far.

    Args:
        text: part of a flow's or run's name, or the beginning of an id; upper and lower case are the same.
        since: only runs that started at or after it, in µs.
        until: only runs that started before it.
        before: the `place` of the last run of the page before this one.
    """
    wanted = select(*_columns(runs, Run)).where(*_filters(flow, tuple(state), environment, text)).limit(limit)
    found: list[Run] = []
    if before is None or before[0] is not None:
        found = _started(read, wanted, since, until, before)
    if len(found) < limit and since is None and until is None:
        found += _never_started(read, wanted.limit(limit - len(found)), before)
    return found


def _started(read: Read, wanted: Select[Any], since: int | None, until: int | None, before: Place | None) -> list[Run]:
    start = runs.c.started
    wanted = wanted.where(start.is_not(None) if since is None else start >= since)
    if until is not None:
        wanted = wanted.where(start < until)
    if before is not None:
        wanted = wanted.where(tuple_(start, runs.c.id) < before)
    return [_record(Run, row) for row in read(wanted.order_by(start.desc(), runs.c.id.desc()))]


def _never_started(read: Read, wanted: Select[Any], before: Place | None) -> list[Run]:
    wanted = wanted.where(runs.c.started.is_(None))
    if before is not None and before[0] is None:
        wanted = wanted.where(runs.c.id < before[1])
    return [_record(Run, row) for row in read(wanted.order_by(runs.c.id.desc()))]


def _filters(flow: str, state: tuple[str, ...], environment: str, text: str) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if flow:
        filters.append(runs.c.flow == flow)
    if state:
        filters.append(runs.c.state.in_(state))
    if environment:
        filters.append(runs.c.environment == environment)
    if text:
        names = (column.icontains(text, autoescape=True) for column in (runs.c.flow, runs.c.name))
        filters.append(or_(*names, runs.c.id.startswith(text.lower(), autoescape=True)))
    return filters


def count_states(read: Read, since: int) -> dict[str, int]:
    """How many runs that started at or after `since` (µs) are in each state; states that none is in are absent."""
    rows = read(select(runs.c.state, func.count().label("runs")).where(runs.c.started >= since).group_by(runs.c.state))
    return {row.state: row.runs for row in rows}


# --- one run ------------------------------------------------------------------------------------------------------


def get_run(read: Read, wanted: str) -> Run:
    """The run with this id: its own, its span's (the last 16 digits) or its trace's, or what begins just one of them.

    A trace stands for its outermost run. At least four digits; dashes are passed over.

    Raises:
        RunNotFound: none has it, or several begin with it (`found` says how many, two for "two or more").
    """
    digits = wanted.strip().lower().replace("-", "")
    if len(digits) < SHORTEST or digits.strip(string.hexdigits):
        raise RunNotFound(wanted)
    for candidates in (_by_id, _by_span, _by_trace):
        ids = candidates(read, digits)
        if len(ids) > 1:
            raise RunNotFound(wanted, found=len(ids))
        if ids:
            return _record(Run, read(select(*_columns(runs, Run)).where(runs.c.id == ids[0]))[0])
    raise RunNotFound(wanted)


def _by_id(read: Read, digits: str) -> list[str]:
    beyond = digits + "g"  # sorts after every id that begins with these digits
    ids = select(runs.c.id).where(runs.c.id >= digits, runs.c.id < beyond).limit(2)
    return [row.id for row in read(ids)]


def _by_span(read: Read, digits: str) -> list[str]:
    beyond = digits + "g"
    ids = select(runs.c.id).where(digits <= RUN_SPAN, beyond > RUN_SPAN).limit(2)
    return [row.id for row in read(ids)] if len(digits) <= 16 else []


def _by_trace(read: Read, digits: str) -> list[str]:
    """Only a trace that the caller brought gets here: every other one is the id of its outermost run."""
    beyond = digits + "g"
    of_trace = select(runs.c.trace).where(runs.c.trace >= digits, runs.c.trace < beyond).distinct().limit(2)
    traces = [row.trace for row in read(of_trace)]
    if len(traces) != 1:
        return traces
    outermost_first = (runs.c.root_run.is_not(None), runs.c.first_seq)
    first = select(runs.c.id).where(runs.c.trace == traces[0]).order_by(*outermost_first).limit(1)
    return [row.id for row in read(first)]


def list_task_runs(read: Read, run: str, limit: int = 1000, offset: int = 0) -> list[TaskRun]:
    """Up to `limit` task runs that a run made, in the order of their ids after `offset` of them; these by their start."""
    wanted = select(*_columns(task_runs, TaskRun)).where(task_runs.c.run == run).order_by(task_runs.c.id)
    wanted = wanted.limit(limit).offset(offset) if offset else wanted.limit(limit)
    found = [_record(TaskRun, row) for row in read(wanted)]
    return sorted(found, key=lambda task: (task.started is None, task.started))


def find_task_runs(
    read: Read, run: str, *conditions: ColumnElement[bool], order: ColumnElement[Any] = task_runs.c.id, limit: int = 100
) -> list[TaskRun]:
    """Up to `limit` task runs that a run made and for which the conditions on `task_runs` hold, in that order.

    All that the run made are looked at.
    """
    wanted = select(*_columns(task_runs, TaskRun)).where(task_runs.c.run == run, *conditions).order_by(order).limit(limit)
    return [_record(TaskRun, row) for row in read(wanted)]


def count_task_runs(read: Read, ids: Sequence[str]) -> dict[str, TaskRunCount]:
    """How many task runs each of these runs has; a run that has none is there too."""
    if not ids:
        return {}
    of_run = select(task_runs.c.ended).where(task_runs.c.run == runs.c.id).correlate(runs)
    some = of_run.limit(TASK_RUNS_COUNTED).subquery()
    total = select(func.count()).select_from(some).scalar_subquery().label("total")
    ended = select(func.count(some.c.ended)).scalar_subquery().label("ended")
    rows = read(select(runs.c.id, total, ended).where(runs.c.id.in_(ids)))
    found = {row.id: TaskRunCount(total=row.total, ended=row.ended) for row in rows}
    return dict.fromkeys(ids, TaskRunCount()) | found


def count_all_task_runs(read: Read, run: str, most: int = 100_000) -> TaskRunCount:
    """How many task runs a run has, exactly up to `most`, where `count_task_runs` soon stops."""
    some = select(task_runs.c.ended).where(task_runs.c.run == run).limit(most).subquery()
    columns: tuple[ColumnElement[Any], ...] = (func.count().label("total"), func.count(some.c.ended).label("ended"))
    row = read(select(*columns).select_from(some))[0]
    return TaskRunCount(total=row.total, ended=row.ended)


# --- logs ---------------------------------------------------------------------------------------------------------


class _LogBody(msgspec.Struct, frozen=True):
    """The fields of `log.recorded` that are no columns of the log."""

    message: str = ""
    level: str = "INFO"
    logger: str = ""
    file: str = ""
    line: int = 0


_IS_LOG = events.c.type == literal_column("'log.recorded'")  # a bound value would not match the index's condition
_decode_body = decoder(_LogBody)


def list_logs(read: Read, run: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
    """Up to `limit` log records of a run and its task runs with `seq > after`, in log order."""
    wanted = _logs_of(run).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
    return [_log_line(row) for row in read(wanted)]


def last_logs(read: Read, run: str, limit: int = 20) -> list[LogLine]:
    """The newest `limit` log records of a run, oldest of them first."""
    return [_log_line(row) for row in read(_logs_of(run).order_by(events.c.seq.desc()).limit(limit))][::-1]


def _logs_of(run: str) -> Select[Any]:
    return select(events.c.seq, events.c.time, events.c.run, events.c.task_run, events.c.task, events.c.data).where(
        _IS_LOG, events.c.run == run
    )


def _log_line(row: Row[Any]) -> LogLine:
    fields = {name: value for name, value in row._mapping.items() if value is not None and name != "data"}
    return LogLine(**fields, **msgspec.structs.asdict(_decode_body(row.data)))


# --- what is told of a run ---


class ToldEvent(_Record, frozen=True):
    """One event of a run or of its task runs, whole, with its place in the log."""

    seq: int
    event: Event
    contrary: bool = False
    """It came after the end that the log decided, and changed nothing."""


_LINE_COLUMNS: Final = [events.c[name] for name in (*COLUMNS, "data")]
_TOLD_COLUMNS: Final = [events.c.seq, events.c.contrary, *_LINE_COLUMNS]
_IS_TOLD: Final = and_(events.c.run.is_not(None), text(SELDOM))


def list_told(read: Read, run: str, after: int = 0, limit: int = 1000, types: Sequence[str] = ()) -> list[ToldEvent]:
    """Up to `limit` events of a run and its task runs with `seq > after`, in log order: all but its log lines, its
    heartbeats and the beginnings and ends of its task runs, which `list_logs` and `list_task_runs` tell. One that an
    earlier version kept in a shape that this one cannot read is left out. With `types`, of these alone.
    """
    wanted = select(*_TOLD_COLUMNS).where(_IS_TOLD, events.c.run == run, events.c.seq > after)
    if types:
        wanted = wanted.where(events.c.type.in_(types))
    return [told for row in read(wanted.order_by(events.c.seq).limit(limit)) if (told := _told(row))]


def _told(row: Row[Any]) -> ToldEvent | None:
    try:
        event = decode(unpack(row.type, row.id, row.time, row.run, row.task_run, row.flow, row.task, row.data))
    except MalformedEvent:
        return None
    return ToldEvent(seq=row.seq, event=event, contrary=bool(row.contrary))


# --- flows and the store ------------------------------------------------------------------------------------------


def list_flows(read: Read, limit: int = 1000) -> list[Flow]:
    """Up to `limit` declared flows by name, one for each environment."""
    wanted = select(*_columns(flows, Flow)).order_by(flows.c.flow, flows.c.environment).limit(limit)
    return [_record(Flow, row) for row in read(wanted)]


def store_stats(read: Read) -> StoreStats:
    """How much the store holds. Counts to a million and no further."""
    head = _value(read, select(func.max(events.c.seq))) or 0
    live = func.count().filter(writers.c.ended.is_(None))
    counts = select(func.count().label("all"), live.label("live"), func.sum(writers.c.dropped).label("dropped"))
    met = _row(read, counts.where(writers.c.kind == "journal"))
    return StoreStats(
        head=head,
        oldest=_value(read, select(events.c.received).order_by(events.c.seq).limit(1)),
        tables={table.name: _count(read, table) for table in (events, runs, task_runs, flows)},
        writers=met.all,
        live_writers=met.live,
        dropped=met.dropped or 0,
        rejected=_count(read, rejected).rows,
        cursors=_cursors(read, head),
        counters={row.name: row.value for row in read(select(counters.c.name, counters.c.value).limit(1000))},
    )


_DEAD_BY_PLUGIN = select(dead_events.c.plugin, func.count().label("number")).group_by(dead_events.c.plugin)


def _cursors(read: Read, head: int) -> tuple[Cursor, ...]:
    dead = {row.plugin: row.number for row in read(_DEAD_BY_PLUGIN)}
    rows = read(select(cursors.c.plugin, cursors.c.seq, cursors.c.moved).order_by(cursors.c.plugin))
    return tuple(
        Cursor(**row._mapping, lag_events=max(head - row.seq, 0), dead_events=dead.get(row.plugin, 0)) for row in rows
    )


def _count(read: Read, table: Table) -> Count:
    some = select(literal_column("1")).select_from(table).limit(COUNTED + 1).subquery()
    rows = _value(read, select(func.count()).select_from(some))
    return Count(rows=min(rows, COUNTED), more=rows > COUNTED)


def _row(read: Read, statement: Select[Any, Any, Any]) -> Row[Any]:
    return read(statement)[0]


def _value(read: Read, statement: Select[Any]) -> Any:
    rows = read(statement)
    return rows[0][0] if rows else None


# --- rows as records ----------------------------------------------------------------------------------------------

_Kind = TypeVar("_Kind", bound=_Record)

_JSON_COLUMNS: Final = frozenset({"tags", "parameters", "error", "upstream", "owners", "rules", "code"})
_decode_json = msgspec.json.Decoder().decode


def _columns(table: Table, kind: type[_Record]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in kind.__struct_fields__]


def _record(kind: type[_Kind], row: Row[Any]) -> _Kind:
    """A row as its struct: an unknown value takes the field's default, JSON is decoded."""
    fields = {name: value for name, value in zip(kind.__struct_fields__, row, strict=True) if value is not None}
    for name in _JSON_COLUMNS & fields.keys():
        fields[name] = _decode_json(fields[name])
    return convert(fields, kind)


__all__ = [
    "Count",
    "Cursor",
    "Flow",
    "LogLine",
    "Place",
    "Read",
    "Reporter",
    "Run",
    "StoreStats",
    "TaskRun",
    "TaskRunCount",
    "ToldEvent",
    "count_all_task_runs",
    "count_states",
    "count_task_runs",
    "get_run",
    "last_logs",
    "list_flows",
    "list_logs",
    "list_runs",
    "list_task_runs",
    "list_told",
    "reporters",
    "store_stats",
]
