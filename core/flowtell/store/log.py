"""The event log: appends batches in commit order, each event once, and folds them into runs in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import force_setattr
from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from flowtell.errors import MalformedEvent
from flowtell.events import OWN_NAMES, TYPES, Event, decode, encode, encode_value
from flowtell.store.line import Line
from flowtell.store.packing import pack, unpack
from flowtell.store.runs import RunTables
from flowtell.store.statements import add_to_counter, replace_flow
from flowtell.store.tables import events, flows, writers

if TYPE_CHECKING:
    from flowtell.store.store import Store, Transaction

LATE_CORRECTIONS: Final = "late_corrections"
_decode_fields: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Writer(NamedTuple):
    """Who wrote an event, by the row of `writers`; its constants stand in for what its lines leave out."""

    id: int
    name: str
    environment: str = ""
    source: str = ""


class AlreadyThere(Exception):
    """The log has one of the events that were said to be new."""


class EventLog:
    """Append needs the write transaction, reading does not. `seq` order is commit order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sql = store.database.log
        self._writers: dict[int, Writer] = {}
        self._replace_flow: Any = None
        self._runs = RunTables(self._sql)
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
        return self.append_all(transaction, [(writer, lines)], received, new=new)

    def append_all(
        self, transaction: Transaction, parts: Sequence[tuple[Writer, Sequence[Line]]], received: int, *, new: bool = False
    ) -> Sequence[Event]:
        """As `append`, for lines of several writers, which saves each its own statements."""
        rows = {writer.name: writer.id for writer, _ in parts}
        lines = _once([line for writer, part in parts for line in _signed(self._sql.storable(part), writer)])
        self._sql.lock(transaction.connection)
        if not new:
            return self._append(transaction, rows, self._without_known(transaction.connection, lines), received)
        try:
            return self._append(transaction, rows, lines, received)
        except IntegrityError as error:
            raise AlreadyThere from error

    def _append(
        self, transaction: Transaction, rows: Mapping[str, int], lines: Sequence[Line], received: int
    ) -> Sequence[Event]:
        """`rows` gives the row of each writer's name."""
        if not lines:
            return ()
        connection = transaction.connection
        for seq, line in enumerate(lines, self._sql.take(connection, len(lines))):
            _stamp(line, seq, received)
        added = [line.event for line in lines]
        folded = self._runs.fold(connection, added, rows)
        self._sql.insert_events(connection, [_event_row(line, rows[line.event.writer], received) for line in lines])
        self._runs.merge(connection, folded)
        self._declare_flows(connection, added)
        if folded.corrections:
            add_to_counter(connection, LATE_CORRECTIONS, folded.corrections)
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
        known = self._sql.known(connection, [line.event.id for line in lines])
        return [line for line in lines if line.event.id not in known]

    def forget_uncommitted(self) -> None:
        """After a rollback the numbers drawn are drawn again, so that `seq` has no holes."""
        self._sql.forget_uncommitted()

    def hold(self, transaction: Transaction) -> None:
        """Until the transaction ends nobody appends."""
        self._sql.lock(transaction.connection)

    def note_highest(self, transaction: Transaction) -> None:
        """Remember the highest `seq` before old events are deleted."""
        self._sql.note_highest(transaction.connection)

    def _declare_flows(self, connection: Connection, added: Iterable[Event]) -> None:
        rows = [_flow_row(event) for event in added if event.type == "flow.declared"]
        if not rows:
            return
        if self._replace_flow is None:
            self._replace_flow = replace_flow(connection.dialect)
        self._store.prepared.get(self._replace_flow, rows[0], connection).execute(connection, rows)

    # --- writers --------------------------------------------------------------------------------------------------

    def writer(self, transaction: Transaction, name: str, kind: str, **facts: Any) -> Writer:
        """The writer of that name, made when it is new."""
        return self.writers(transaction, kind, {name: facts})[name]

    def writers(self, transaction: Transaction, kind: str, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Writer]:
        """The writers of these names; those that are new are made with what is said of them, the same facts of each."""
        connection, wanted = transaction.connection, select(writers).where(writers.c.name.in_(facts))
        found = _writers(connection.execute(wanted))
        new = [{"name": name, "kind": kind, **facts[name]} for name in facts if name not in found]
        if new:
            connection.execute(writers.insert(), new)
            found = _writers(connection.execute(wanted))
        return found

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
        rows = connection.execute(select(writers).where(writers.c.id.in_(wanted)))
        self._writers.update({writer.id: writer for writer in _writers(rows).values()})


def _writers(rows: Iterable[Any]) -> dict[str, Writer]:
    return {row.name: Writer(row.id, row.name, row.environment, row.source) for row in rows}


def _once(lines: Sequence[Line]) -> Sequence[Line]:
    """The first of each id: a batch may hold a line twice."""
    by_id = {line.event.id: line for line in reversed(lines)}
    return lines if len(by_id) == len(lines) else [line for line in lines if by_id[line.event.id] is line]


def _signed(lines: Sequence[Line], writer: Writer) -> Sequence[Line]:
    """Put on the events who wrote them and what that says of them. They were decoded a moment ago: nobody else has them."""
    for line in lines:
        event = line.event
        force_setattr(event, "writer", writer.name)
        if writer.environment and not event.environment:
            force_setattr(event, "environment", writer.environment)
        if writer.source and not event.source:
            force_setattr(event, "source", writer.source)
    return lines


def _stamp(line: Line, seq: int, received: int) -> None:
    """Put on the event what the log adds to any."""
    event = line.event
    force_setattr(event, "seq", seq)
    force_setattr(event, "received", received)
    force_setattr(event, "n", line.n)
    force_setattr(event, "contrary", False)


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
    if not names:
        return statement
    named = events.c.type.in_([name for name in names if name != OWN_NAMES])
    return statement.where(or_(named, events.c.type.not_in(TYPES)) if OWN_NAMES in names else named)


def _unpacked(row: Any) -> bytes:
    return unpack(row.type, row.id, row.time, row.run, row.task_run, row.flow, row.task, row.data)


def _event_of(row: Any, writer: Writer) -> Event:
    try:
        event = decode(_unpacked(row))
    except MalformedEvent:  # kept by an earlier version that read it otherwise: it passes by under its name
        event = decode(b'{"type":"unreadable","id":"' + row.id.encode() + b'"}')
    line = Line(event, b"", row.n)
    _signed([line], writer)
    _stamp(line, row.seq, row.received)
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
