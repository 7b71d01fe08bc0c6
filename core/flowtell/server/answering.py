"""Answers to paused runs that come over HTTP, and the runs elsewhere that ask for theirs: boxes in the server's home."""

from __future__ import annotations

import threading
from typing import Any

from flowtell.actions import action_on
from flowtell.answers.asked import Asked, open_questions, question
from flowtell.answers.box import Box
from flowtell.answers.remote import Asking, Brought
from flowtell.answers.resuming import Outcome, follow, give
from flowtell.config import Config
from flowtell.events import ActionDone, ActionRequested, Event, Failure
from flowtell.source.writing import SourceJournal
from flowtell.store.reading import Run, get_run
from flowtell.store.store import Store

FOLLOW_SECONDS = 3.0
"""How long a request is held for the run's own word on its answer."""


class Answering:
    """Of the server that leads. From any thread."""

    def __init__(self, config: Config, store: Store) -> None:
        self._home, self._store = config.home, store
        self._journal = SourceJournal(config.home, "", config["environment"])
        self._writing = threading.Lock()

    def questions(self, wanted: str) -> tuple[Run, list[Asked]]:
        """What the run asks now.

        Raises:
            RunNotFound
        """
        run = get_run(self._store.read, wanted)
        return run, open_questions(self._store.read, run.id) if run.state == "paused" else []

    def resume(self, wanted: str, key: str | None, answer: Any, actor: str) -> tuple[Run, Asked, Outcome]:
        """Give a run an answer, and wait a moment for its word.

        Raises:
            RunNotFound, RunNotPaused, BadAnswer: nothing was written, or the run has refused it.
            BoxFull, JournalUnwritable, OSError: it could not be written.
        """
        run = get_run(self._store.read, wanted)
        asked = question(self._store.read, run, key)
        arguments = {"key": asked.key}
        self._say(action_on(run, ActionRequested, "resume", actor, arguments))
        try:
            outcome = follow(self._home, give(self._home, run, asked, answer, actor), self._store.read, FOLLOW_SECONDS)
        except Exception as error:
            told = Failure(type=type(error).__name__, message=str(error))
            self._say(action_on(run, ActionDone, "resume", actor, arguments, outcome="failed", error=told))
            raise
        self._say(action_on(run, ActionDone, "resume", actor, arguments, outcome=outcome))
        return run, asked, outcome

    def ask(self, asking: Asking) -> Brought:
        """What a run elsewhere was given, once it has said what it made of what it got before: that is forgotten here.

        Raises:
            BoxFull, OSError: its word could not be written.
        """
        box = Box(self._home, asking.run)
        for line in asking.said:
            if line.kind in ("taken", "refused") and box.exists():
                box.add(line)
        if asking.said and box.is_settled:
            box.remove()
        lines, place = box.read(asking.place)
        return Brought(tuple(line for line in lines if line.kind == "given"), place)

    def _say(self, event: Event) -> None:
        with self._writing:
            self._journal.write([event])

    def close(self) -> None:
        with self._writing:
            self._journal.close()
