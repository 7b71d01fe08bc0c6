"""An answer is given to a paused run: checked, put into the run's box, and followed until the run has said something of it.

The command and the server's route do the same, each on its own reading of the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from flowtell.answers.asked import Asked, open_questions
from flowtell.answers.box import Box, Line
from flowtell.answers.fitting import problems_of
from flowtell.errors import BadAnswer, RunNotPaused
from flowtell.ids import new_id
from flowtell.store.reading import Read, Run, get_run

Outcome = Literal["resumed", "kept"]
"""`kept`: the run has not looked yet."""

_EVERY: Final = 0.05
_LOG_SECONDS: Final = 2.0
"""How long the log may take to tell what became of an answer whose run has ended since."""


class Given(NamedTuple):
    """An answer that is on disk."""

    run: str
    key: str
    id: str
    place: int


def give(home: str, run: Run, asked: Asked, answer: Any, actor: str) -> Given:
    """Check the answer against the schema that the run has stated, and put it where the run looks.

    Raises:
        BadAnswer: it does not fit; nothing was written.
        BoxFull, OSError: it could not be written.
    """
    if problems := problems_of(answer, asked.schema):
        raise BadAnswer(asked.key, problems)
    box, now = Box(home, run.id), time.time_ns() // 1000
    place = box.read().place
    line = Line(kind="given", key=asked.key, id=new_id(now), answer=_bare(answer), actor=actor, time=now)
    box.add(line)
    return Given(run.id, asked.key, line.id, place)


def _bare(answer: Any) -> Any:
    return msgspec.to_builtins(answer)


def follow(home: str, given: Given, read: Read, seconds: float, catch_up: Callable[[], None] = lambda: None) -> Outcome:
    """Wait until the run has said something of the answer, at most `seconds`.

    Args:
        catch_up: called before the log is read for what happened a moment ago.

    Raises:
        BadAnswer: the run has refused it, and waits on.
        RunNotPaused: it had ended just before.
    """
    box, until = Box(home, given.run), time.monotonic() + seconds
    while time.monotonic() < until:
        for line in box.read(given.place).lines:
            if line.id == given.id and line.kind == "refused":
                raise BadAnswer(given.key, line.problems)
            if line.id == given.id and line.kind == "taken":
                return "resumed"
        if not box.exists():  # the run has ended meanwhile
            return _told_by_log(given, read, catch_up)
        time.sleep(_EVERY)
    return _unread(given, box, read, catch_up)


def _unread(given: Given, box: Box, read: Read, catch_up: Callable[[], None]) -> Outcome:
    """A run that ended just before the answer came will never look."""
    catch_up()
    run = get_run(read, given.run)
    if run.ended is not None:
        box.remove()
        raise RunNotPaused(run.id, f"it has ended meanwhile, as {run.state}")
    return "kept"


def _told_by_log(given: Given, read: Read, catch_up: Callable[[], None]) -> Outcome:
    until = time.monotonic() + _LOG_SECONDS
    while time.monotonic() < until:
        catch_up()
        if all(one.key != given.key for one in open_questions(read, given.run)):
            return "resumed"
        time.sleep(_EVERY)
    return "kept"
