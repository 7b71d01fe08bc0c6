"""The sender's own tables: what each channel is told of each incident, and when it may be told more.

One letter for each incident (or digest, or test) and channel. It says what the channel is to know and what it knows; an
event that comes while the letter waits changes the letter and adds none, so a channel that was away hears the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import asdict
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from flowtell.plugin import Context
from flowtell_alerts._replacing import Replacing
from flowtell_alerts.letters import Letter, LetterKey
from flowtell_alerts.silences import silence_table

metadata: Final = MetaData()

letters: Final = Table(
    "notifications_letters",
    metadata,
    Column("topic", String, primary_key=True),  # id of the incident, of the digest, or of the request for a test
    Column("channel", String, primary_key=True),
    Column("about", String, nullable=False),  # incident, digest, change or test
    Column("state", String, nullable=False),  # see flowtell_alerts.letters
    Column("kind", String, nullable=False),  # what the channel is to be told now
    Column("told", String, nullable=False),  # what it was told last; empty for nothing
    Column("message", String, nullable=False),  # id of the message that says `kind`
    Column("first", String, nullable=False),  # id of the message that says that it opened
    Column("line", LargeBinary, nullable=False),  # the newest event; empty once there is nothing more to say
    Column("rule_kind", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("acknowledged_by", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),  # since when it is to be told what it is to be told now
    Column("attempts", Integer, nullable=False),  # at `kind`
    Column("next_attempt", BigInteger, nullable=False),
    Column("claim", String, nullable=False),  # of the attempt under way
    Column("told_at", BigInteger, nullable=False),
    Column("repeat_at", BigInteger, nullable=False),  # 0 for never
    Column("version", String, nullable=False),  # of a deployment
    Column("version_before", String, nullable=False),  # the one that the channel knows
    Column("digest", String, nullable=False),  # topic of the digest that tells of it
    Column("joined_at", BigInteger, nullable=False),  # when a digest got its newest incident
    Column("receipt", Text, nullable=False),  # JSON, of the first message
    Column("problem", Text, nullable=False),  # of the last attempt, if it failed
    Column("changed", BigInteger, nullable=False),
)
Index(
    "notifications_letters_waiting",
    letters.c.channel,
    letters.c.next_attempt,
    sqlite_where=letters.c.state == "waiting",
    postgresql_where=letters.c.state == "waiting",
)
Index("notifications_letters_state", letters.c.state, letters.c.repeat_at)
Index("notifications_letters_about", letters.c.about, letters.c.state)
Index(
    "notifications_letters_digest",
    letters.c.digest,
    sqlite_where=letters.c.digest != "",
    postgresql_where=letters.c.digest != "",
)

# When a channel, or all that share a key, may be told something again (µs since the epoch): kept, so that a server that
# starts anew neither floods whom it just told nor asks again whom it was told to leave alone.
paces: Final = Table(
    "notifications_paces",
    metadata,
    Column("key", String, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

silences: Final = silence_table("notifications_silences", metadata)

KEPT: Final = 30 * 86_400_000_000
"""µs that the letters of a resolved incident are kept: as long as the log could bring its events again."""

_IDS_A_QUERY: Final = 500
_LETTERS = Replacing(letters)
_PACES = Replacing(paces)
_over = letters.c.state == "over"
_DELETE_OLD = delete(letters).where(_over, letters.c.changed < bindparam("before"))
_MINE = and_(letters.c.topic == bindparam("b_topic"), letters.c.channel == bindparam("b_channel"))
_CLAIM = (
    update(letters)
    .where(_MINE, letters.c.state == "waiting", letters.c.claim == "")
    .values(state="sending", claim=bindparam("b_claim"), attempts=bindparam("b_attempts"), changed=bindparam("b_changed"))
)
_SETTLE = (
    update(letters)
    .where(_MINE, letters.c.claim == bindparam("b_claim"))
    .values({name: bindparam(f"v_{name}") for name in Letter.__struct_fields__ if name not in ("topic", "channel")})
)
_MOMENTS: Final = ("queued", "next_attempt", "told_at", "repeat_at", "joined_at", "changed")
"""Columns that are moments of the sender's clock. 0 in them stands for never."""
_SET_BACK = update(letters).values(
    {name: case((letters.c[name] > 0, letters.c[name] - bindparam("b_ahead")), else_=0) for name in _MOMENTS}
)
_SET_BACK_PACES = update(paces).values(until=paces.c.until - bindparam("b_ahead"))
_is_opening = and_(letters.c.told == "", letters.c.about == "incident", letters.c.attempts == 0)


class Outbox:
    """Reads and writes the tables through the plugin's context.

    A read does not see what the same call wrote. So what was written in a call is left out of `waiting` in that call:
    `begin_call` is for each call's begin.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._touched: set[LetterKey] = set()

    def begin_call(self) -> None:
        self._touched.clear()

    @property
    def was_written(self) -> bool:
        """Whether this call has written letters."""
        return bool(self._touched)

    # --- reading --------------------------------------------------------------------------------------------------

    def of_topics(self, topics: Iterable[str]) -> dict[LetterKey, Letter]:
        """All letters about these incidents by topic and channel."""
        ids = list(topics)
        parts = [ids[at : at + _IDS_A_QUERY] for at in range(0, len(ids), _IDS_A_QUERY)]
        found = [letter for part in parts for letter in self._read(select(letters).where(letters.c.topic.in_(part)))]
        return {letter.key: letter for letter in found}

    def waiting(self, channel: str, now: int, limit: int) -> list[Letter]:
        """Letters that may go to the channel now: what it has not heard of first, then the longest waiting."""
        due = letters.c.state == "waiting", letters.c.channel == channel, letters.c.next_attempt <= now
        order = case((letters.c.told == "", 0), else_=1), letters.c.next_attempt, letters.c.since, letters.c.topic
        wanted = select(letters).where(*due).order_by(*order).limit(limit + len(self._touched))
        return [letter for letter in self._read(wanted) if letter.key not in self._touched][:limit]

    def openings(self, channel: str, limit: int) -> list[Letter]:
        """Incidents that no digest tells of and that were never tried: what was may have arrived under its own key."""
        wanted = select(letters).where(letters.c.state == "waiting", letters.c.channel == channel, _is_opening)
        found = self._read(wanted.order_by(letters.c.queued, letters.c.topic).limit(limit + len(self._touched)))
        return [letter for letter in found if letter.key not in self._touched][:limit]

    def claimed(self, claim: str) -> list[Letter]:
        """Letters whose claim was committed under this name."""
        return self._read(select(letters).where(letters.c.claim == claim, letters.c.state == "sending"))

    def in_state(self, state: str, limit: int, after: LetterKey = ("", "")) -> list[Letter]:
        """Letters in that state in the order of their keys, from beyond `after` on."""
        topic, channel = after
        beyond = or_(letters.c.topic > topic, and_(letters.c.topic == topic, letters.c.channel > channel))
        order = letters.c.topic, letters.c.channel
        return self._read(select(letters).where(letters.c.state == state, beyond).order_by(*order).limit(limit))

    def to_repeat(self, now: int, limit: int) -> list[Letter]:
        """Told, still open, and due to be said again."""
        due = letters.c.state == "told", letters.c.repeat_at > 0, letters.c.repeat_at <= now
        return self._read(select(letters).where(*due).order_by(letters.c.repeat_at).limit(limit))

    def digests(self, channel: str = "", joined_after: int = 0) -> list[Letter]:
        """Digests that are not over, of one channel or of all, and that something joined after that moment."""
        wanted = select(letters).where(letters.c.about == "digest", letters.c.state != "over")
        wanted = wanted.where(letters.c.joined_at >= joined_after)
        return self._read(wanted.where(letters.c.channel == channel) if channel else wanted)

    def one(self, key: LetterKey) -> Letter | None:
        found = self._read(select(letters).where(letters.c.topic == key[0], letters.c.channel == key[1]))
        return found[0] if found else None

    def is_touched(self, key: LetterKey) -> bool:
        return key in self._touched

    def digest_counts(self, topic: str) -> tuple[int, int, int]:
        """Incidents, open ones and subjects of a digest."""
        is_open = func.sum(case((letters.c.state == "joined", 1), else_=0))
        counted: Any = select(func.count(), is_open, func.count(letters.c.subject.distinct())).where(
            letters.c.digest == topic
        )
        row: Any = self._context.read(counted)[0]
        return int(row[0]), int(row[1] or 0), int(row[2])

    def digest_guilty(self, topic: str, limit: int) -> list[tuple[str, int, int]]:
        """Subject, incidents, open ones: the most open first."""
        is_open = func.sum(case((letters.c.state == "joined", 1), else_=0)).label("open")
        by_name: Select[Any] = select(letters.c.subject, func.count().label("all"), is_open).where(letters.c.digest == topic)
        rows: Any = self._context.read(
            by_name.group_by(letters.c.subject).order_by(is_open.desc(), func.count().desc(), letters.c.subject).limit(limit)
        )
        return [(row[0], int(row[1]), int(row[2])) for row in rows]

    def next_moment(self) -> int | None:
        """When the next letter may go or is to be repeated; None where none waits."""
        waits = select(func.min(letters.c.next_attempt)).where(letters.c.state == "waiting")
        repeats = select(func.min(letters.c.repeat_at)).where(letters.c.state == "told", letters.c.repeat_at > 0)
        moments = [self._context.read(wanted)[0][0] for wanted in (waits, repeats)]
        return min((moment for moment in moments if moment is not None), default=None)

    def ahead(self, now: int) -> int:
        """How far the clock was ahead by which the letters were written last, in µs; 0 where it was not.

        The last sender may have run on another machine, or this one's clock was set back: its moments are yet to come.
        """
        newest = self._context.read(select(func.max(letters.c.changed)))[0][0]
        return max((newest or 0) - now, 0)

    def paces(self) -> dict[str, int]:
        return {row.key: row.until for row in self._context.read(select(paces))}

    def _read(self, wanted: Select[Any]) -> list[Letter]:
        return [letter_of(row) for row in self._context.read(wanted)]

    # --- writing --------------------------------------------------------------------------------------------------

    def put(self, changed: Iterable[Letter]) -> None:
        """In the place of those with the same key. Not for a letter that is being sent."""
        rows = [_row(each) for each in changed]
        self._touched.update((row["topic"], row["channel"]) for row in rows)
        _LETTERS.write(self._context, rows)

    def claim(self, wanted: Sequence[Letter], claim: str, now: int) -> None:
        """Take letters for an attempt, where nobody else has: `claimed` tells, in a later call, which were got."""
        self._touched.update(letter.key for letter in wanted)
        rows = [
            {"b_topic": each.topic, "b_channel": each.channel, "b_claim": claim, "b_attempts": each.attempts + 1}
            for each in wanted
        ]
        self._context.write(_CLAIM, [row | {"b_changed": now} for row in rows])

    def settle(self, settled: Letter, claim: str) -> None:
        """Write what became of an attempt, if the claim still holds."""
        self._touched.add(settled.key)
        values = _row(settled)
        row = {f"v_{name}": value for name, value in values.items() if name not in ("topic", "channel")}
        self._context.write(_SETTLE, [{**row, "b_topic": settled.topic, "b_channel": settled.channel, "b_claim": claim}])

    def set_back(self, ahead: int) -> None:
        """Put all moments by a clock that was so far ahead to this one's, their distances as they were."""
        self._context.write(_SET_BACK, [{"b_ahead": ahead}])
        self._context.write(_SET_BACK_PACES, [{"b_ahead": ahead}])

    def put_paces(self, changed: Mapping[str, int]) -> None:
        _PACES.write(self._context, [{"key": key, "until": until} for key, until in changed.items()])

    def clean(self, now: int) -> None:
        """Forget incidents that were resolved long ago."""
        self._context.write(_DELETE_OLD, [{"before": now - KEPT}])


def letter_of(row: Row[Any]) -> Letter:
    return Letter(**row._mapping)


def _row(letter: Letter) -> dict[str, Any]:
    return asdict(letter)


__all__ = ["KEPT", "Outbox", "letter_of", "letters", "metadata", "paces", "silences"]
