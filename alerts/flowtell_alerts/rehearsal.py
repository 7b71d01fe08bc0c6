"""What today's rules would have told of the past: history replayed through the evaluator on a clock of its own.

The very plugin that a server runs judges the events of a log again, in a scratch store that is thrown away: nothing is
written to the log, no incident opens there, nobody is told. Rules, schedules and deployments are those of today, for all of
the time.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Row, Select, func, select

from flowtell.events import Event, FlowDeclared
from flowtell.plugin import LogView
from flowtell.store.tables import events
from flowtell.testing import FakeClock, PluginHarness
from flowtell_alerts import reading
from flowtell_alerts.evaluator import DECLARATIONS, Evaluator, create
from flowtell_alerts.incidents import Incident
from flowtell_alerts.muting import muted

if TYPE_CHECKING:
    from flowtell.plugin import Factory

STEP: Final = 60_000_000
"""µs between two looks where anything happens: what would have fired is told to the minute."""

LONGEST_STEP: Final = 3_600_000_000
"""µs between two looks where nothing does."""

_PAGE: Final = 2_000
_TOLD: Final = ("incident.opened", "incident.updated")
_RULES: Final = ("rule.declared", "rule.removed")
_LATER: Final = 2
"""Steps after the end: what is on its way then is judged."""

_FACTORY: Final = cast("Factory", create)  # its class narrows what the contract lets anybody set

Read = Callable[[Select[Any]], Sequence[Row[Any]]]
Advance = Callable[[float, float], None]


class Told:
    """Of which incidents somebody would be told, and when: each once, as soon as nothing mutes it."""

    def __init__(self) -> None:
        self.first: dict[str, Any] = {}
        """The event by which each incident is told, by the incident's id."""
        self.muted: dict[str, str] = {}
        """Why nobody is told of the others, by the incident's id."""
        self.reasons: dict[str, str] = {}
        """Why each opened."""
        self._seq = 0

    def read(self, log: LogView, now: int) -> None:
        """Take what the log holds of incidents since the last time."""
        while found := log.read(self._seq, _PAGE, _TOLD):
            self._seq = found[-1].seq
            for event in found:
                self._take(event, now)

    def _take(self, event: Any, now: int) -> None:
        self.reasons.setdefault(event.incident, event.reason)
        told = event.incident in self.first
        why = muted(event, now, told=told)
        if not told and why:
            self.muted[event.incident] = why
        elif not told:
            self.muted.pop(event.incident, None)
            self.first[event.incident] = event


class Rehearsed(Struct, frozen=True):
    """What came of it. Moments are µs since the epoch."""

    since: int
    until: int
    events: int
    """That the rules were judged by."""
    incidents: tuple[Incident, ...]
    """In order of their opening."""
    told: frozenset[str]
    """Ids of those of which somebody would have been told."""
    muted: dict[str, str]
    """Why nobody would have been told of the others, by id."""
    reasons: dict[str, str]
    """Why each opened, by id."""

    @property
    def quiet(self) -> Counter[str]:
        """How many were muted, by reason."""
        return Counter(self.muted.values())


def rehearse(
    log: LogView, read: Read, *, since: int, until: int, rules_path: str = "", advance: Advance = lambda done, total: None
) -> Rehearsed:
    """Judge what the log took from `since` to `until` by today's rules.

    Args:
        read: runs a SELECT over the store of `log`.
        rules_path: a file whose `[[rules]]` hold, such as one that is being written.
        advance: told how much of the time is through.
    """
    clock, told = FakeClock(since), Told()
    with (
        tempfile.TemporaryDirectory(prefix="flowtell-rehearsal-") as folder,
        PluginHarness(_FACTORY, folder, name="alerts", clock=clock, settings={"rules_path": rules_path}) as stage,
    ):
        stage.append(_as_at(since, _declared(log)))
        stage.tick()
        count, history = 0, _Ahead(_history(log, _first(read, since), until))
        while clock.now < until + _LATER * STEP:
            clock.now = _next_look(stage, clock.now, history.next)
            batch = list(history.before(clock.now))
            stage.append(batch)
            count += len(batch)
            stage.tick()
            told.read(stage.store.log, clock.now)
            advance(clock.now - since, until - since)
        incidents = tuple(reversed(reading.incidents(stage.read, limit=100_000)))
    return Rehearsed(since, until, count, incidents, frozenset(told.first), told.muted, told.reasons)


# --- history ------------------------------------------------------------------------------------------------------


def _declared(log: LogView) -> Iterator[Event]:
    """The newest word about each flow and deployment."""
    words = tuple(kind for kind in DECLARATIONS if kind not in _RULES)
    newest: dict[tuple[str, ...], Event] = {}
    for event in _all(log, 0, words):
        place = () if isinstance(event, FlowDeclared) else (event.deployment, event.external_id)
        newest[event.flow, event.environment, *place] = event
    yield from newest.values()


def _history(log: LogView, after: int, until: int) -> Iterator[Event]:
    """What the evaluator takes, but for declarations, and for what incidents made of it then."""
    types = tuple(
        kind for kind in Evaluator.wants if kind not in DECLARATIONS and not kind.startswith(("incident.", "silence."))
    )
    for event in _all(log, after, types):
        if event.received >= until:
            return
        yield event


def _all(log: LogView, after: int, types: Sequence[str]) -> Iterator[Event]:
    while found := log.read(after, _PAGE, types):
        yield from found
        after = found[-1].seq


def _first(read: Read, since: int) -> int:
    """The place in the log after which everything was taken at `since` or later, found by halving."""
    low, high = 0, int(read(select(func.max(events.c.seq)))[0][0] or 0)
    while low < high:
        middle = (low + high) // 2
        rows = read(select(events.c.received).where(events.c.seq > middle).order_by(events.c.seq).limit(1))
        if rows and rows[0].received < since:
            low = middle + 1
        else:
            high = middle
    return low


class _Ahead:
    """History, handed out up to a moment."""

    def __init__(self, history: Iterator[Event]) -> None:
        self._history = history
        self._first = next(history, None)

    @property
    def next(self) -> int | None:
        """When the next event was taken."""
        return None if self._first is None else self._first.received

    def before(self, moment: int) -> Iterator[Event]:
        while self._first is not None and self._first.received < moment:
            yield _bare(self._first)
            self._first = next(self._history, None)


def _next_look(stage: PluginHarness, now: int, event: int | None) -> int:
    """The end of the step in which something is to be done."""
    evaluator = stage.runner.plugin
    assert isinstance(evaluator, Evaluator)
    moments = [moment for moment in (event, evaluator.idle_until(now)) if moment is not None]
    wanted = min([*moments, now + LONGEST_STEP])
    return now + max((wanted - now) // STEP + 1, 1) * STEP


def _as_at(moment: int, declared: Iterator[Event]) -> list[Event]:
    """As if they had been declared then."""
    return [replace(_bare(event), time=moment) for event in declared]


def _bare(event: Event) -> Event:
    """As its writer wrote it."""
    return replace(event, seq=0, received=0, writer="", n=0, contrary=False)


__all__ = ["Rehearsed", "Told", "rehearse"]
