"""How a command asks the server's `notifications` to do something, and waits for the answer: both are events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from flowtell.cli.actor import actor
from flowtell.cli.session import Session
from flowtell.events import ActionDone, ActionRequested, Event, NotificationFailed, NotificationSent
from flowtell.ids import new_id
from flowtell.runner import system_clock
from flowtell_alerts.commands.saying import say
from flowtell_alerts.errors import Unanswered

_ANSWERS: Final = ("action.done", "notification.sent", "notification.failed")
_EVERY: Final = 0.1


def ask(session: Session, action: str, target: str) -> tuple[str, int]:
    """Say what is wanted. Its id, and the place in the log from which on the answer comes."""
    now, after = system_clock(), session.store.log.head()
    identifier = new_id(now)
    say(ActionRequested(id=identifier, time=now, action=action, target=target, actor=actor()))
    return identifier, after


def answer(
    session: Session, asked: tuple[str, int], is_it: Callable[[Event], bool], *, what: str, seconds: float
) -> ActionDone | NotificationSent | NotificationFailed:
    """The first event caused by what was asked that `is_it` takes.

    Raises:
        Unanswered: none comes in time.
    """
    identifier, after = asked
    until = time.monotonic() + seconds
    while True:
        session.catch_up()
        for event in session.store.log.read(after, 1000, _ANSWERS):
            assert isinstance(event, ActionDone | NotificationSent | NotificationFailed)
            after = event.seq
            if event.caused_by == identifier and is_it(event):
                return event
        if time.monotonic() > until:
            raise Unanswered(what, seconds)
        time.sleep(_EVERY)


__all__ = ["answer", "ask"]
