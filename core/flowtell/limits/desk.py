"""Where a process asks for limits: on its own machine at the book in its home, else at a server's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from flowtell.bus import emit
from flowtell.events import CapacityObserved
from flowtell.ids import new_id
from flowtell.limits import book as rules
from flowtell.limits.book import Answer, Book, Observation, Page, Request
from flowtell.limits.lives import PREFIX as LIFE
from flowtell.limits.lives import Life, lives
from flowtell.limits.shelf import FileShelf
from flowtell.limits.stated import Stated

WRITER: Final = "writer:"
"""Before the owner's name where that is a process elsewhere: its journal's writer."""
UNSEEN_AFTER: Final = 600_000_000
"""µs after which a process elsewhere counts as gone where no server runs that could tell."""


class Desk(Protocol):
    """From any thread of one process."""

    @property
    def owner(self) -> str:
        """What this process is called there.

        Raises:
            OSError: it cannot be made known.
        """
        ...

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    every: float
    """Seconds between two looks of somebody who waits."""
    is_near: bool
    """Whether asking is a matter of a file, and not of a network."""

    def limits(self) -> Mapping[str, int]:
        """The limits that are stated beside the code, by name. Quick: asked at each run."""
        ...

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Ask for each, in order.

        Raises:
            OSError: nobody can be asked now.
        """
        ...

    def leave(self, tickets: Iterable[str]) -> None:
        """Give back what these hold.

        Raises:
            OSError: nobody can be told now. What a process holds is free at the latest when it ends.
        """
        ...

    def may_have_changed(self) -> bool:
        """Whether to ask again is of use."""
        ...

    def forked(self) -> None:
        """This process is a forked child: what the parent holds is the parent's."""
        ...


class LocalDesk:
    """At the book in a home.

    Args:
        configured: limits that the configuration states.
        judge: of owners elsewhere, which only a server can tell of; None where this is none.
        tell: takes what changed in the use of limits.
    """

    is_near = True
    every = 0.02

    def __init__(
        self,
        home: str,
        configured: Mapping[str, int],
        *,
        judge: Callable[[str], bool] | None = None,
        tell: Callable[[Sequence[Observation]], None] | None = None,
    ) -> None:
        self._shelf = FileShelf(home)
        self._stated = Stated(self._shelf.folder)
        self._configured = configured
        self._judge, self._tell = judge, tell or tell_bus
        self._life: Life | None = None
        self._making = threading.Lock()
        self._owed: list[str] = []
        """Tickets to be given back by whoever has the book open now."""

    @property
    def place(self) -> str:
        return self._shelf.folder

    @property
    def stated(self) -> Stated:
        return self._stated

    @property
    def owner(self) -> str:
        if self._life is None:
            with self._making:
                if self._life is None:
                    self._life = Life(self._shelf.folder)
        return self._life.owner

    def limits(self) -> Mapping[str, int]:
        stated = self._stated.limits()
        return {**self._configured, **stated} if stated else self._configured

    def close_until(self, moment: int) -> None:
        """Let nobody in before, in µs."""
        with self._shelf.open() as book:
            book.closed_until = moment

    def ask(self, requests: Sequence[Request], holding: Iterable[Request] = ()) -> list[Answer]:
        """As a desk does; `holding` is what the one who asks holds already, for a book that may not know."""
        now, stated = time.time_ns() // 1000, self.limits()
        with self._shelf.open() as book:
            rules.drop_dead(book, lambda owner: self._lives(book, owner, now), now)
            rules.restore(book, holding, stated, now)
            answers = rules.ask_all(book, requests, stated, now)
            if self._judge is not None:
                rules.note_seen(book, {one.owner for one in requests}, now)
            changed = rules.observe(book, now, stated)
        self._say(changed)
        return answers

    def leave(self, tickets: Iterable[str], owner: str = "") -> None:
        if self._shelf.is_open_here():
            self._owed += tickets
            return
        with self._shelf.open() as book:
            rules.leave(book, tickets, owner)
            changed = rules.observe(book, time.time_ns() // 1000)
        self._say(changed)

    def look(self, seen: Iterable[str] = ()) -> list[tuple[str, Page, int]]:
        """Every limit that is held or stated with how many wait for it, after the dead were dropped.

        `seen` are owners elsewhere that this server knows to live.
        """
        now, stated = time.time_ns() // 1000, self.limits()
        with self._shelf.open() as book:
            rules.note_seen(book, seen, now)
            rules.drop_dead(book, lambda owner: self._lives(book, owner, now), now)
            changed = rules.observe(book, now, stated)
            pages = {**{name: Page(limit=limit) for name, limit in stated.items()}, **book.pages}
            waiting = [name for turn in book.waiting for name in turn.request.limits]
        self._say(changed)
        return [(name, pages[name], waiting.count(name)) for name in sorted(pages)]

    def owners(self) -> set[str]:
        """Processes elsewhere that hold something or wait."""
        with self._shelf.open() as book:
            found = {place.owner for page in book.pages.values() for place in page.holders}
            found |= {turn.request.owner for turn in book.waiting}
        return {owner for owner in found if owner.startswith(WRITER)}

    def _lives(self, book: Book, owner: str, now: int) -> bool:
        if self._life is not None and owner == self._life.owner:
            return True
        if owner.startswith(LIFE):
            return lives(self._shelf.folder, owner)
        if self._judge is not None:
            return self._judge(owner)
        return now - book.seen.get(owner, 0) < UNSEEN_AFTER

    def _say(self, changed: Sequence[Observation]) -> None:
        """At the end of each change: tell of it, and give back what came due in the middle of it."""
        if changed:
            self._tell(changed)
        if self._owed:
            owed, self._owed = self._owed, []
            self.leave(owed)

    def may_have_changed(self) -> bool:
        return self._shelf.changed()

    def forked(self) -> None:
        self._making = threading.Lock()
        if self._life is not None:
            self._life.abandon()
            self._life = None

    def close(self) -> None:
        if self._life is not None:
            self._life.end()
            self._life = None


def tell_bus(changed: Sequence[Observation]) -> None:
    """Say by this process's journal how limits are used."""
    for event in events_of(changed):
        emit(event)


def events_of(changed: Iterable[Observation]) -> list[CapacityObserved]:
    now = time.time_ns() // 1000
    return [
        CapacityObserved(
            id=new_id(now), time=now, kind="limit", name=one.name, limit=one.limit, used=one.used, holders=one.holders,
            last_seen=now,
        )
        for one in changed
    ]  # fmt: skip
