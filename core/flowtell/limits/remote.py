"""The desk of a process whose server is elsewhere: it asks by HTTP, and the server writes into its own book.

A holder is known there by its journal's writer. The server knows that this lives by the stream that its shipper holds open,
whatever the process computes, and that it is gone when the stream is, two heartbeats later at the latest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import FlowtellError, LimitsNotKept, ShippingError
from flowtell.limits.book import Answer, Request
from flowtell.limits.desk import WRITER, LocalDesk
from flowtell.shipping.sender import Sender

PATH: Final = "/api/limits"
ASK: Final = f"{PATH}/ask"
PATIENCE: Final = 10.0
"""Seconds that a silent server is waited for before the limits of this machine take the place of its own."""
_FRESH: Final = 10.0
"""Seconds after which the stated limits are asked for again."""
REMIND_SECONDS: Final = 2.0
"""How often a process says what it holds, where it says nothing else."""
_FIRST_SECONDS: Final = 1.0
"""Seconds that the first run of a process waits to be told them."""


class Asking(msgspec.Struct, frozen=True):
    """The body of a question: requests, and what they fall back to where the server states nothing."""

    requests: tuple[Request, ...] = ()
    holding: tuple[Request, ...] = ()
    """What this process holds: a server that took over knows only what it is told."""
    left: tuple[str, ...] = ()
    """Tickets that are given back, before all else."""
    configured: dict[str, int] = {}


class Told(msgspec.Struct, frozen=True):
    """The answer: one for each request, and the limits that are stated there."""

    answers: tuple[Answer, ...] = ()
    stated: dict[str, int] = {}


_MOST_TOLD: Final = 1_000

_told: Final = decoder(Told)


class RemoteDesk:
    """Thread-safe: one request at a time.

    Args:
        near: the desk of this machine, which serves while the server cannot be reached.
        writer: the writer of this process's journal.
        warn: told once of each kind of trouble.
    """

    is_near = False
    every = 0.25

    def __init__(
        self,
        urls: str,
        token: str,
        configured: Mapping[str, int],
        near: LocalDesk,
        *,
        writer: Callable[[], str],
        warn: Callable[[FlowtellError], None],
    ) -> None:
        self._urls, self._token = urls, token
        self._sender = Sender(urls, token)
        self._configured, self._near, self._writer, self._warn = dict(configured), near, writer, warn
        self._stated: dict[str, int] = {}
        self._fresh_until = 0.0
        self._refreshing = False
        self._silent_since: float | None = None
        self._near_tickets: set[str] = set()
        self._lock = threading.Lock()
        self._noting = threading.Condition()
        self._holding: dict[str, Request] = {}
        self._left: set[str] = set()
        self._courier: threading.Thread | None = None

    @property
    def place(self) -> str:
        """The servers, for messages."""
        return ", ".join(self._sender.urls)

    @property
    def owner(self) -> str:
        return f"{WRITER}{self._writer()}"

    def limits(self) -> Mapping[str, int]:
        """As they were told last; asked for on a thread, as a network may take any time."""
        now = time.monotonic()
        if now >= self._fresh_until and not self._refreshing:
            first, self._refreshing = not self._fresh_until, True
            thread = threading.Thread(target=self._refresh, name="flowtell-limits-stated", daemon=True)
            thread.start()
            if first:
                thread.join(_FIRST_SECONDS)
        return {**self._configured, **self._stated}

    def _refresh(self) -> None:
        try:
            self._exchange(())
        except (ShippingError, OSError):  # a run that needs a limit says so
            self._fresh_until = time.monotonic() + _FRESH
        finally:
            self._refreshing = False

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Ask the server; for `PATIENCE` seconds of silence all wait, then those of this machine count."""
        try:
            answers = self._exchange(tuple(requests))
        except (ShippingError, OSError) as error:
            return self._ask_near(requests, error)
        self._silent_since = None
        self._note_held(requests, answers)
        return answers

    def _note_held(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        with self._noting:
            for request, answer in zip(requests, answers, strict=True):
                if answer.granted:
                    self._holding[request.ticket] = request
            self._send_courier()

    def _send_courier(self) -> None:
        if self._courier is None and (self._holding or self._left):
            self._courier = threading.Thread(target=self._carry, name="flowtell-limits-held", daemon=True)
            self._courier.start()

    def _carry(self) -> None:
        """While something is held, or was given back and the server has not heard of it: say so."""
        failed = False
        while True:
            with self._noting:
                if failed or not self._left:
                    self._noting.wait(REMIND_SECONDS)
                if not self._holding and not self._left:
                    self._courier = None
                    return
            try:
                self._exchange(())
                failed = False
            except (ShippingError, OSError):  # it is said again
                failed = True

    def _exchange(self, requests: tuple[Request, ...]) -> list[Answer]:
        with self._lock:
            with self._noting:
                left, holding = list(self._left)[:_MOST_TOLD], list(self._holding.values())[:_MOST_TOLD]
            body = msgspec.json.encode(Asking(requests, tuple(holding), tuple(left), self._configured))
            told = self._sender.exchange(f"{ASK}?writer={self._writer()}", body, _told)
            with self._noting:
                self._left.difference_update(left)
        self._stated, self._fresh_until = told.stated, time.monotonic() + _FRESH
        return list(told.answers)

    def _ask_near(self, requests: Sequence[Request], error: Exception) -> list[Answer]:
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since < PATIENCE:
            return [Answer(granted=False)] * len(requests)
        instead = "those of this machine alone hold meanwhile"
        self._warn(LimitsNotKept(self.place, str(error).rstrip("."), instead))
        answers = self._near.ask([msgspec.structs.replace(one, owner=self._near.owner) for one in requests])
        self._near_tickets.update(one.ticket for one in requests)
        return answers

    def leave(self, tickets: Iterable[str]) -> None:
        """Told on a thread: the end of a run waits for no network."""
        given = set(tickets)
        near = given & self._near_tickets
        with self._noting:
            for ticket in given:
                self._holding.pop(ticket, None)
            self._left |= given - near
            self._send_courier()
            self._noting.notify()
        if near:
            self._near_tickets -= near
            self._near.leave(near)

    def close(self) -> None:
        with self._lock:
            self._sender.close()

    def may_have_changed(self) -> bool:
        return True

    def forked(self) -> None:
        """The connection is the parent's."""
        self._sender.abandon()
        self._sender = Sender(self._urls, self._token)
        self._lock = threading.Lock()
        self._near.forked()
        self._near_tickets = set()
        self._noting = threading.Condition()
        self._holding, self._left, self._courier = {}, set(), None
        self._refreshing = False
