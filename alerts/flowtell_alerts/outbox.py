"""The sender's own table: which message went, goes or will not go to which channel.

One row for each incident, kind and channel, so that nothing is said twice. Nobody else reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
)

from flowtell.events import IncidentOpened, IncidentResolved, decode, encode
from flowtell.plugin import Context
from flowtell_alerts._replacing import Replacing

metadata: Final = MetaData()

sent: Final = Table(
    "notifications_sent",
    metadata,
    Column("incident", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("state", String, nullable=False),  # waiting, sent, failed, dropped
    Column("attempts", Integer, nullable=False),
    Column("next_attempt", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("line", LargeBinary, nullable=False),  # the incident's event; empty once there is nothing more to say
)
Index("notifications_sent_waiting", sent.c.channel, sent.c.next_attempt, sqlite_where=sent.c.state == "waiting")

KEPT: Final = 30 * 86_400_000_000
"""µs that the rows of a resolved incident are kept: as long as the log could bring its events again."""

_IDS_A_QUERY: Final = 500
_SENT = Replacing(sent)
_resolved = select(sent.c.incident).where(sent.c.kind == "resolved", sent.c.changed < bindparam("before"))
_DELETE_OLD = delete(sent).where(sent.c.incident.in_(_resolved))

IncidentEvent = IncidentOpened | IncidentResolved

LetterKey = tuple[str, str, str]
"""Incident, kind and channel."""


class Letter(Struct, frozen=True):
    """One message to one channel."""

    incident: str
    kind: str
    channel: str
    state: str
    attempts: int
    next_attempt: int
    changed: int
    since: int
    line: bytes

    @property
    def event(self) -> IncidentEvent:
        event = decode(self.line)
        assert isinstance(event, IncidentOpened | IncidentResolved)
        return event

    @property
    def key(self) -> LetterKey:
        return self.incident, self.kind, self.channel

    def attempted(self) -> Letter:
        return replace(self, attempts=self.attempts + 1)

    def over(self, state: str, now: int) -> Letter:
        """The same, with nothing more to do."""
        return replace(self, state=state, changed=now, line=b"")

    def put_off(self, until: int, now: int) -> Letter:
        return replace(self, next_attempt=until, changed=now)


def letter_about(event: IncidentEvent, channel: str, now: int) -> Letter:
    """A new letter, to go at once."""
    kind = "opened" if isinstance(event, IncidentOpened) else "resolved"
    return Letter(event.incident, kind, channel, "waiting", 0, now, now, event.since or event.time, encode(event))


class Outbox:
    """Reads and writes the table through the plugin's context. A read does not see what the same call wrote."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def of_incidents(self, incidents: Iterable[str]) -> dict[LetterKey, Letter]:
        """All letters about these incidents by incident, kind and channel."""
        ids = list(incidents)
        parts = [ids[at : at + _IDS_A_QUERY] for at in range(0, len(ids), _IDS_A_QUERY)]
        rows = [row for part in parts for row in self._context.read(select(sent).where(sent.c.incident.in_(part)))]
        return {(row.incident, row.kind, row.channel): _letter_of(row) for row in rows}

    def waiting(self, channel: str, now: int, limit: int) -> list[Letter]:
        """Letters that may go to the channel now, the longest waiting first."""
        due = sent.c.state == "waiting", sent.c.channel == channel, sent.c.next_attempt <= now
        rows = self._context.read(select(sent).where(*due).order_by(sent.c.next_attempt, sent.c.since).limit(limit))
        return [_letter_of(row) for row in rows]

    def next_moment(self) -> int | None:
        """When the next letter may go; None where none waits."""
        earliest = select(func.min(sent.c.next_attempt)).where(sent.c.state == "waiting")
        return self._context.read(earliest)[0][0]  # type: ignore[no-any-return]  # a column of whole numbers

    def put(self, letters: Iterable[Letter]) -> None:
        rows: list[dict[str, Any]] = [asdict(each) for each in letters]
        _SENT.write(self._context, rows)

    def clean(self, now: int) -> None:
        """Forget incidents that were resolved long ago."""
        self._context.write(_DELETE_OLD, [{"before": now - KEPT}])


def _letter_of(row: Row[Any]) -> Letter:
    return Letter(**row._mapping)
