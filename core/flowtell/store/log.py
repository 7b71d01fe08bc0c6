"""The event log: appends batches in commit order, each event once, and folds them into runs in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr
from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import IntegrityError

from flowtell.errors import MalformedEvent
from flowtell.events import Event, decode, encode, encode_value
from flowtell.store.many import ManyRows
from flowtell.store.packing import pack, unpack
from flowtell.store.prepared import Prepared
from flowtell.store.runs import RunTables
from flowtell.store.statements import EVENT_COLUMNS, FLOW_COLUMNS, insert_for, replace_flow
from flowtell.store.tables import counters, cursors, events, flows, writers

if TYPE_CHECKING:
    from flowtell.store.store import Store, Transaction

_LAST_SEQ: Final = "last_seq"
LATE_CORRECTIONS: Final = "late_corrections"
_IDS_A_QUERY: Final = 500
_decode_fields: Final = msgspec.json.Decoder(dict[str, Any]).decode
_INSERT: Final = ManyRows(f"INSERT INTO events ({', '.join(EVENT_COLUMNS)})", len(EVENT_COLUMNS))


class Writer(NamedTuple):
    """Who wrote an event, by the row of `writers`; its constants stand in for what its lines leave out."""

    id: int
    name: str
    environment: str = ""
    source: str = ""


class Line(Struct, frozen=True, gc=False):
    """One event on its way into the log: `body` is its line as written, `n` its place at the writer."""

    event: Event
    body: bytes
    n: int


class AlreadyThere(Exception):
    """The log has one of the events that were said to be new."""


class EventLog:
    """Append needs the write transaction, reading does not. `seq` order is commit order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0
        self._writers: dict[int, Writer] = {}
        self._statements: dict[str, Prepared] = {}
        self._runs = RunTables()
        if not store.read_only:
            store.window.head = self.head()

    # --- appending ------------------------------------------------------------------------------------------------

    def append(
        self, transaction: Transaction, writer: Writer, lines: Sequence[Line], received: int, *, new: bool = False
    ) -> Sequence[Event]:
        """Add the events that the log does not have, give each its place, and fold them into runs.

        Returns those added, as plugins will see them. An id that the log has already is skipped: redelivery adds nothing.
        `new` is the caller's word that the log has none of them, which saves 3 µs a task run.

        Raises:
            AlreadyThere: `new` was not so. The transaction is to be rolled back and made again without it.
        """
        lines = _once(lines)
        if not new:
            return self._append(transaction, writer, self._without_known(transaction.connection, lines), received)
        try:
            return self._append(transaction, writer, lines, received)
        except IntegrityError as error:
            raise AlreadyThere from error

    def _append(self, transaction: Transaction, writer: Writer, lines: Sequence[Line], received: int) -> Sequence[Event]:
        if not lines:
            return ()
        connection = transaction.connection
        for seq, line in enumerate(lines, self._take(connection, len(lines))):
            _stamp(line, seq, received, writer)
        added = [line.event for line in lines]
        folded = self._runs.fold(connection, added, writer.id)
        _INSERT.execute(connection, [_event_row(line, writer.id, received) for line in lines])
        self._runs.merge(connection, folded)
        self._declare_flows(connection, added)
        if folded.corrections:
            self._add(connection, LATE_CORRECTIONS, folded.corrections)
        transaction.appended.append(added)
        return added

    def append_events(
        self, transaction: Transaction, writer: Writer, new: Sequence[Event], received: int, n: int = 0
    ) -> Sequence[Event]:
        """Add events made here rather than read from a journal; `n` counts the writer's."""
        return self.append(
            transaction, writer, [Line(event, encode(event), n + at) for at, event in enumerate(new)], received
        )

    def _without_known(self, connection: Connection, lines: Sequence[Line]) -> Sequence[Line]:
        known = self._known(connection, [line.event.id for line in lines])
        return [line for line in lines if line.event.id not in known]

    def _known(self, connection: Connection, ids: list[str]) -> set[str]:
        known: set[str] = set()
        for start in range(0, len(ids), _IDS_A_QUERY):
            part = ids[start : start + _IDS_A_QUERY]
            marks = ",".join("?" * len(part))
            rows = connection.exec_driver_sql(f"SELECT id FROM events WHERE id IN ({marks})", tuple(part))
            known.update(row[0] for row in rows)
        return known

    def _take(self, connection: Connection, count: int) -> int:
        if not self._next:
            self._next = 1 + self._highest(connection)
        first = self._next
        self._next += count
        return first

    def forget_uncommitted(self) -> None:
        """After a rollback the numbers drawn are drawn again, so that `seq` has no holes."""
        self._next = 0

    def _highest(self, connection: Connection) -> int:
        # the log may have been pruned empty: its numbers still go on
        newest = connection.execute(select(func.max(events.c.seq))).scalar() or 0
        noted = connection.execute(select(counters.c.value).where(counters.c.name == _LAST_SEQ)).scalar() or 0
        read = connection.execute(select(func.max(cursors.c.seq))).scalar() or 0
        return int(max(newest, noted, read))

    def note_highest(self, transaction: Transaction) -> None:
        """Remember the highest `seq` before old events are deleted."""
        highest = self._highest(transaction.connection)
        self._set(transaction.connection, _LAST_SEQ, highest)

    def _declare_flows(self, connection: Connection, added: Iterable[Event]) -> None:
        rows = [_flow_row(event) for event in added if event.type == "flow.declared"]
        if rows:
            self._prepared("flow", replace_flow(connection.dialect), FLOW_COLUMNS, connection).execute(connection, rows)

    def _prepared(self, name: str, statement: Any, columns: Sequence[str], connection: Connection) -> Prepared:
        found = self._statements.get(name)
        if found is None:
            found = self._statements[name] = Prepared(statement, frozenset(columns), connection)
        return found

    # --- counters of the log itself -------------------------------------------------------------------------------

    def _add(self, connection: Connection, name: str, amount: int) -> None:
        statement = insert_for(connection.dialect, counters).values(name=name, value=amount)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + amount})
        )

    def _set(self, connection: Connection, name: str, value: int) -> None:
        statement = insert_for(connection.dialect, counters).values(name=name, value=value)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    # --- writers --------------------------------------------------------------------------------------------------

    def writer(self, transaction: Transaction, name: str, kind: str, **facts: Any) -> Writer:
        """The writer of that name, made when it is new."""
        connection = transaction.connection
        row = connection.execute(select(writers).where(writers.c.name == name)).first()
        if row is None:
            connection.execute(writers.insert().values(name=name, kind=kind, **facts))
            row = connection.execute(select(writers).where(writers.c.name == name)).one()
        return Writer(row.id, row.name, row.environment, row.source)

    def move_writer(self, transaction: Transaction, writer: Writer, **facts: Any) -> None:
        """Note how far a writer has been read, and what was found."""
        transaction.connection.execute(update(writers).where(writers.c.id == writer.id).values(**facts))

    # --- reading --------------------------------------------------------------------------------------------------

    def head(self) -> int:
        """`seq` of the newest event; 0 for an empty log."""
        with self._store.reading() as connection:
            return int(connection.execute(select(func.max(events.c.seq))).scalar() or 0)

    def read(self, after: int, limit: int = 1000, types: Iterable[str] = ()) -> list[Event]:
        """Up to `limit` events with `seq > after`, in log order, decoded."""
        with self._store.reading() as connection:
            rows = connection.execute(_page(after, limit, types)).all()
            self._learn_writers(connection, {row.writer for row in rows})
        return [_event_of(row, self._writers[row.writer]) for row in rows]

    def read_lines(self, after: int, limit: int = 1000, types: Iterable[str] = ()) -> list[tuple[int, bytes]]:
        """The same as JSON lines with what the log adds, each with its `seq`: fields unknown here pass through."""
        with self._store.reading() as connection:
            rows = connection.execute(_page(after, limit, types)).all()
            self._learn_writers(connection, {row.writer for row in rows})
        return [(row.seq, _line_of(row, self._writers[row.writer])) for row in rows]

    def _learn_writers(self, connection: Connection, wanted: set[int]) -> None:
        if wanted <= self._writers.keys():
            return
        for row in connection.execute(select(writers).where(writers.c.id.in_(wanted))):
            self._writers[row.id] = Writer(row.id, row.name, row.environment, row.source)


def _once(lines: Sequence[Line]) -> Sequence[Line]:
    """The first of each id: a batch may hold a line twice."""
    by_id = {line.event.id: line for line in reversed(lines)}
    return lines if len(by_id) == len(lines) else [line for line in lines if by_id[line.event.id] is line]


def _stamp(line: Line, seq: int, received: int, writer: Writer) -> None:
    """Put on the event what the log adds. It was decoded a moment ago and nobody else has it yet."""
    event = line.event
    force_setattr(event, "seq", seq)
    force_setattr(event, "received", received)
    force_setattr(event, "writer", writer.name)
    force_setattr(event, "n", line.n)
    force_setattr(event, "contrary", False)
    if writer.environment and not event.environment:
        force_setattr(event, "environment", writer.environment)
    if writer.source and not event.source:
        force_setattr(event, "source", writer.source)


def _event_row(line: Line, writer: int, received: int) -> tuple[Any, ...]:
    event = line.event
    return (
        event.seq,
        event.id,
        event.type,
        event.time,
        received,
        writer,
        line.n,
        event.run or None,
        event.task_run or None,
        event.flow or None,
        event.task or None,
        1 if event.contrary else None,
        pack(line.body, event),
    )


def _flow_row(event: Any) -> dict[str, Any]:
    return {
        "flow": event.flow,
        "environment": event.environment,
        "declared": event.time,
        "version": event.version or None,
        "description": event.description or None,
        "tags": encode_value(event.tags).decode(),
        "owners": encode_value(event.owners).decode(),
        "rules": encode_value(event.rules).decode(),
        "code": encode_value(event.code).decode() if event.code else None,
        "source": event.source or None,
        "seq": event.seq,
    }


def _page(after: int, limit: int, types: Iterable[str]) -> Any:
    statement = select(events).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
    names = tuple(types)
    return statement.where(events.c.type.in_(names)) if names else statement


def _unpacked(row: Any) -> bytes:
    return unpack(row.type, row.id, row.time, row.run, row.task_run, row.flow, row.task, row.data)


def _event_of(row: Any, writer: Writer) -> Event:
    try:
        event = decode(_unpacked(row))
    except MalformedEvent:  # kept by an earlier version that read it otherwise: it passes by under its name
        event = decode(b'{"type":"unreadable","id":"' + row.id.encode() + b'"}')
    _stamp(Line(event, b"", row.n), row.seq, row.received, writer)
    if row.contrary:
        force_setattr(event, "contrary", True)
    return event


def _line_of(row: Any, writer: Writer) -> bytes:
    added: dict[str, Any] = {"seq": row.seq, "received": row.received, "writer": writer.name, "n": row.n}
    if writer.environment:
        added["environment"] = writer.environment
    if writer.source:
        added["source"] = writer.source
    if row.contrary:
        added["contrary"] = True
    line = _unpacked(row)
    for name in ("environment", "source"):  # an event's own word goes before its journal's
        if name in added and f'"{name}":'.encode() in line and _decode_fields(line).get(name):
            added.pop(name)
    return line[:-1] + b"," + encode_value(added)[1:]


__all__ = ["LATE_CORRECTIONS", "EventLog", "Line", "Writer", "flows"]
