"""Runs that are cancelled over HTTP: each on a thread of its own, for as long as the run may take to clean up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Final, Literal

from flowtell.actions import action_on
from flowtell.cancelling.carrying_out import Cancelling, How
from flowtell.config import Config
from flowtell.errors import FlowtellError
from flowtell.events import ActionDone, ActionRequested, Event, Failure
from flowtell.source.writing import SourceJournal
from flowtell.store.reading import Run, get_run
from flowtell.store.store import Store

FOLLOW_SECONDS: Final = 3.0
"""How long a request is held for the run's end."""
MOST: Final = 50
"""Runs that are being ended at a time."""

Outcome = Literal[How, "cancelling"]


class TooManyCancelled(Exception):
    """So many runs are being ended that this one has to wait its turn."""


class ServerStops(Exception):
    """Whoever waited for a run's end waits no longer."""


class CancellingRuns:
    """Of the server that leads. From any thread."""

    def __init__(self, config: Config, store: Store) -> None:
        self.home, self._store = config.home, store
        self._journal = SourceJournal(config.home, "", config["environment"])
        self._writing, self._stopped = threading.Lock(), threading.Event()
        self._under_way: dict[str, tuple[threading.Thread, Future[How]]] = {}
        self._counting = threading.Lock()

    def cancel(self, wanted: str, actor: str, reason: str, grace: float) -> tuple[Run, Outcome]:
        """Ask the run to end, and wait a moment for it. It is killed when `grace` seconds are over.

        Of a run that is being cancelled already nothing more is asked.

        Raises:
            RunNotFound, RunNotCancellable: nothing was done, or it has ended otherwise.
            TooManyCancelled
            JournalUnwritable, OSError: it could not be written down.
        """
        run = get_run(self.read, wanted)
        end = self._begin(run, actor, reason, grace)
        try:
            return run, end.result(FOLLOW_SECONDS)
        except TimeoutError:
            return run, "cancelling"

    def _begin(self, run: Run, actor: str, reason: str, grace: float) -> Future[How]:
        with self._counting:
            if run.id in self._under_way:
                return self._under_way[run.id][1]
            if len(self._under_way) >= MOST:
                raise TooManyCancelled
            end: Future[How] = Future()
            body = lambda: self._carry_out(end, run, actor, reason, grace)  # noqa: E731
            thread = threading.Thread(target=body, name="flowtell-cancel", daemon=True)
            self._under_way[run.id] = thread, end
            thread.start()
        return end

    def _carry_out(self, end: Future[How], run: Run, actor: str, reason: str, grace: float) -> None:
        arguments = {"grace": grace, "reason": reason}
        try:
            cancelling = Cancelling(self, run, actor=actor, reason=reason)
            self.say(action_on(run, ActionRequested, "cancel", actor, arguments))
            how = self._told(cancelling, run, actor, arguments, grace)
        except BaseException as error:  # noqa: BLE001  # it is the request's to tell
            end.set_exception(error)
        else:
            end.set_result(how)
        finally:
            with self._counting:
                self._under_way.pop(run.id, None)

    def _told(self, cancelling: Cancelling, run: Run, actor: str, arguments: dict[str, Any], grace: float) -> How:
        try:
            how = cancelling.carry_out(grace)
        except FlowtellError as error:
            told = Failure(type=type(error).__name__, message=str(error))
            self.say(action_on(run, ActionDone, "cancel", actor, arguments, outcome="failed", error=told))
            raise
        self.say(action_on(run, ActionDone, "cancel", actor, arguments, outcome=how))
        return how

    # --- what surrounds one that is carried out

    def read(self, statement: Any, /) -> Any:
        return self._store.read(statement)

    def say(self, event: Event, /) -> None:
        with self._writing:
            self._journal.write([event])

    def catch_up(self) -> None:
        """The server's own ingest does; once it ends, nothing more comes in."""
        if self._stopped.is_set():
            raise ServerStops("the server stops")

    def close(self, timeout: float) -> None:
        """What was asked to end ends by itself; it is not killed any more."""
        self._stopped.set()
        until = time.monotonic() + timeout
        with self._counting:
            threads = [thread for thread, _ in self._under_way.values()]
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0.0))
        with self._writing:
            self._journal.close()
