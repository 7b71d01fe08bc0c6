"""The limits that a server keeps for processes elsewhere, in the book of its home, which processes beside it share.

It alone can tell whether a process elsewhere lives: by the stream that its shipper holds open, or its journal's lock.
"""

from __future__ import annotations

import glob
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from flowtell.config import Config
from flowtell.errors import FlowtellError
from flowtell.events import Holder
from flowtell.journal import FOLDER, SUFFIX
from flowtell.limits.book import Answer, Observation, Request
from flowtell.limits.desk import WRITER, LocalDesk, events_of
from flowtell.limits.names import checked_limit, checked_name
from flowtell.limits.remote import REMIND_SECONDS, Asking
from flowtell.limits.stated import configured
from flowtell.machine import is_locked
from flowtell.server.presence import Presence
from flowtell.source.writing import SourceJournal

_HEAR_SECONDS: Final = 2.5 * REMIND_SECONDS
"""How long a server that took over listens before it lets anybody in."""
_LOOK_SECONDS: Final = 1.0
"""How often the dead are looked for, and what changed is told."""

logger = logging.getLogger("flowtell.server")


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """How one limit stands, for pages and commands."""

    name: str
    limit: int
    used: int
    waiting: int
    holders: tuple[Holder, ...]
    stated: str
    """By whom: `command`, `configuration` or `code`."""


class LimitKeeper:
    """Of the server that leads. From any thread."""

    def __init__(self, config: Config, presence: Presence, *, takes_over: bool = False) -> None:
        self._takes_over = takes_over
        self._home, self._presence = config.home, presence
        self._configured = configured(config.limits)
        self._desk = LocalDesk(config.home, self._configured, judge=self._lives, tell=self._tell)
        self._journal = SourceJournal(config.home, "", config["environment"])
        self._writing = threading.Lock()
        self._journals: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flowtell-limits", daemon=True)

    def start(self) -> None:
        if self._takes_over:
            self._hear_first()
        self._thread.start()

    def _hear_first(self) -> None:
        """Another server kept limits before, in its own home: those who hold them say so before anybody is let in."""
        try:
            self._desk.close_until(time.time_ns() // 1000 + int(_HEAR_SECONDS * 1e6))
        except OSError as error:
            logger.warning("limits cannot be kept: %s", error)

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._thread.join(timeout)
        with self._writing:
            self._journal.close()

    def _watch(self) -> None:
        said = ""
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._desk.look(owner for owner in self._desk.owners() if self._lives(owner))
                said = ""
            except (FlowtellError, OSError) as error:
                if str(error) != said:
                    logger.warning("limits cannot be looked after: %s", error)
                said = str(error)

    # --- what processes elsewhere ask ---------------------------------------------------------------------------------

    def ask(self, writer: str, asking: Asking) -> list[Answer]:
        """Ask for a process by its journal's writer, which thereby lives.

        Raises:
            BadLimit: a name or number that no limit can have.
            OSError: the home takes no file.
        """
        self._presence.heard(writer, writer)
        if asking.left:
            self._desk.leave(asking.left, owner=WRITER + writer)
        requests, holding = (
            [_checked(request, WRITER + writer, asking.configured) for request in those]
            for those in (asking.requests, asking.holding)
        )
        return self._desk.ask(requests, holding)

    def limits(self) -> dict[str, int]:
        """What is stated, by name."""
        return dict(self._desk.limits())

    def _lives(self, owner: str) -> bool:
        writer = owner.removeprefix(WRITER)
        journal = self._journals.get(writer)
        if journal is None:
            found = glob.glob(os.path.join(glob.escape(self._home), FOLDER, f"{glob.escape(writer)}-*{SUFFIX}"))
            journal = found[0] if found else ""
            if journal or self._presence.verdict(writer) == "lives":
                self._journals[writer] = journal
        alive = is_locked(journal) if journal else self._presence.verdict(writer) == "lives"
        if not alive:
            self._journals.pop(writer, None)
        return alive

    # --- for commands and pages ---------------------------------------------------------------------------------------

    def states(self) -> list[LimitState]:
        return states_of(self._desk, self._configured)

    def set(self, name: str, limit: int | None) -> bool:
        """State a limit, or take it back with None; False where there was none.

        Raises:
            BadLimit, OSError
        """
        if limit is None:
            return self._desk.stated.clear(name)
        self._desk.stated.set(name, limit)
        return True

    # --- what is told -------------------------------------------------------------------------------------------------

    def _tell(self, changed: Sequence[Observation]) -> None:
        with self._writing:
            try:
                self._journal.write(events_of(changed))
            except FlowtellError as error:
                logger.warning("the use of limits could not be told: %s", error)


def states_of(desk: LocalDesk, configured: Mapping[str, int]) -> list[LimitState]:
    """Every limit that is stated, or that code names and somebody holds."""
    commands = desk.stated.limits()
    return [
        LimitState(
            name=name,
            limit=page.limit,
            used=page.used,
            waiting=waiting,
            holders=tuple(Holder(run=place.run, since=place.since, task_run=place.task_run) for place in page.holders),
            stated="command" if name in commands else "configuration" if name in configured else "code",
        )
        for name, page, waiting in desk.look()
    ]


def _checked(request: Request, owner: str, fallback: Mapping[str, int]) -> Request:
    limits = {checked_name(name): fallback.get(name, code) for name, code in request.limits.items()}
    for name, limit in limits.items():
        if limit is not None:
            checked_limit(name, limit)
    return msgspec.structs.replace(request, owner=owner, limits=limits)
