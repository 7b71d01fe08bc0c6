"""Check-ins become runs: each is written into a journal of the server's own, and answered once its lines are there.

A start and the success or failure after it are one run: by the run that the client names, else by the latest start of that
flow and deployment. What is remembered of open runs is read back from the log after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
from sqlalchemy import ColumnElement, or_, select

from flowtell.check_file import Check, read_checks
from flowtell.config import Config
from flowtell.events import (
    DeploymentDeclared,
    DeploymentRemoved,
    Event,
    Failure,
    FlowRunFinished,
    FlowRunStarted,
    LogRecorded,
)
from flowtell.ids import derived_id, moment_of, new_id
from flowtell.schedules import answered_due
from flowtell.server.known_checks import KnownChecks
from flowtell.server.pings import Ping
from flowtell.source.writing import SourceJournal
from flowtell.store.store import Store
from flowtell.store.tables import events, runs

SOURCE: Final = "ping"
_DAY: Final = 86_400_000_000
_REMEMBERED: Final = 20_000
"""Open runs, and check-ins with an id of the client's own, that are held in memory; the log knows the others."""
_CATCH_UP_SECONDS: Final = 2.0
_MESSAGE_LETTERS: Final = 1_000

logger = logging.getLogger("flowtell.server")

Key = tuple[str, str, str]
"""Environment, flow, deployment."""


class OpenRun(msgspec.Struct, frozen=True):
    """A run that has started and not ended, as far as is known."""

    id: str
    started: int | None = None
    due: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client is told."""

    run: str
    state: str = ""
    due: int | None = None
    duplicate: bool = False
    """Whether this check-in had been taken before: it counted then."""


class CheckIns:
    """Of the server that leads. From any thread; one check-in at a time.

    Args:
        caught_up: whether the log has what was written before this server began, so that open runs can be read from it.
    """

    def __init__(
        self, config: Config, store: Store, clock: Callable[[], int], caught_up: Callable[[], bool] = lambda: True
    ) -> None:
        self._config, self._store, self._clock, self._caught_up = config, store, clock, caught_up
        self._environment: str = config["environment"]
        self._journal = SourceJournal(config.home, SOURCE, self._environment)
        self._known = KnownChecks(config.home)
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenRun] = OrderedDict()
        """By run."""
        self._latest: OrderedDict[Key, str | None] = OrderedDict()
        """The run of a deployment that started last and is open; None for no such."""
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def start(self) -> None:
        """Declare what the configuration states, and take back what it stated before.

        Raises:
            JournalUnwritable, OSError: the home takes no file; it is tried again at the next start.
        """
        stated = read_checks(self._config.checks_path, self._environment) if self._config.checks_path else ()
        with self._lock:
            gone = self._known.state(stated)
            self._journal.write([*(self._removed(check) for check in gone), *(self._declared(check) for check in stated)])
            self._known.save()

    def close(self) -> None:
        with self._lock:
            self._journal.close()

    def take(self, ping: Ping) -> Answer:
        """Write what it says, and return which run it was about.

        Raises:
            JournalUnwritable: it was not kept; the client is to come again.
        """
        with self._lock:
            now = self._clock()
            check = self._check_of(ping)
            key = (check.environment, check.flow, check.deployment)
            told, before = self._id_of(ping, key, now)
            if before is not None:
                return msgspec.structs.replace(before, duplicate=True)
            declares = ping.schedule is not None and self._known.is_news(check)
            answer, lines = self._begin(ping, key, told, now) if ping.what == "start" else self._end(ping, key, told, now)
            self._journal.write([*([self._declared(check)] if declares else []), *lines])
            if declares:
                self._remember(check)
            self._note(ping, key, answer, told, now)
            return answer

    # --- which deployment ---------------------------------------------------------------------------------------------

    def _check_of(self, ping: Ping) -> Check:
        """What it is about. With a schedule, a deployment that has no name is named as the flow."""
        environment = ping.environment or self._environment
        deployment = ping.deployment
        if not deployment and (ping.schedule or self._known.find((environment, ping.flow, ping.flow))):
            deployment = ping.flow
        known = self._known.find((environment, ping.flow, deployment))
        if known is not None and ping.schedule is None:
            return known
        schedules = (ping.schedule,) if ping.schedule else ()
        return Check(flow=ping.flow, deployment=deployment, environment=environment, schedules=schedules)

    def _remember(self, check: Check) -> None:
        self._known.remember(check)
        try:
            self._known.save()
        except OSError as error:  # the check-in is written; after a restart the next one declares it again
            logger.warning("the schedule of %s is not kept over a restart: %s", check.flow, error)

    # --- a run begins, a run ends -------------------------------------------------------------------------------------

    def _begin(self, ping: Ping, key: Key, told: str, now: int) -> tuple[Answer, list[Event]]:
        run = _named_run(key, ping.run) or derived_id(moment_of(told), "run", told)
        due = ping.due if ping.due is not None else answered_due(self._schedules(ping, key), now)
        facts = _facts(key, run, due)
        started = FlowRunStarted(id=told, time=now, external_id=ping.run, **facts)
        lines = [*self._replaced(ping, key, run, now), started, *_said(ping, facts, now)]
        return Answer(run=run, state="running", due=due), lines

    def _replaced(self, ping: Ping, key: Key, run: str, now: int) -> list[Event]:
        """The end of a run that started, and whose end could not be told from the new one's: it named no run."""
        before = self._latest_of(key)
        if ping.run or before is None or before.id == run:
            return []
        error = Failure(type="NeverEnded", message="It started again before it had said how this run ended.")
        return [
            FlowRunFinished(
                id=new_id(now), time=now, state="crashed", error=error, **_facts(key, before.id, before.due)
            )
        ]  # fmt: skip

    def _end(self, ping: Ping, key: Key, told: str, now: int) -> tuple[Answer, list[Event]]:
        named = _named_run(key, ping.run)
        found = self._run(named) if named else self._latest_of(key)
        if found is None:  # nothing told of its start: how long it took is unknown
            due = ping.due if ping.due is not None else answered_due(self._schedules(ping, key), now)
            found = OpenRun(named or derived_id(moment_of(told), "run", told), None, due)
        due = ping.due if ping.due is not None else found.due
        facts = _facts(key, found.id, due)
        state = "failed" if ping.fails else "completed"
        finished = FlowRunFinished(
            id=told, time=now, state=state, error=_failure(ping) if ping.fails else None, external_id=ping.run,
            duration=None if found.started is None else max(now - found.started, 0) / 1e6, **facts,
        )  # fmt: skip
        return Answer(run=found.id, state=state, due=due), [*_said(ping, facts, now), finished]

    def _schedules(self, ping: Ping, key: Key) -> Iterable[Any]:
        if ping.schedule is not None:
            return (ping.schedule,)
        known = self._known.find(key)
        return known.schedules if known is not None else ()

    # --- what is remembered -------------------------------------------------------------------------------------------

    def _note(self, ping: Ping, key: Key, answer: Answer, told: str, now: int) -> None:
        if ping.what == "start":
            self._open[answer.run] = OpenRun(answer.run, now, answer.due)
            self._latest[key] = answer.run
        else:
            self._open.pop(answer.run, None)
            if self._latest.get(key) == answer.run:
                self._latest[key] = None
        if ping.id:
            self._answers[told] = answer
        for memory in (self._open, self._latest, self._answers):
            while len(memory) > _REMEMBERED:
                memory.popitem(last=False)

    def _latest_of(self, key: Key) -> OpenRun | None:
        if key in self._latest:
            run = self._latest[key]
            return self._run(run) if run else None
        environment, flow, deployment = key
        of_key = (
            runs.c.flow == flow,
            runs.c.environment == environment,
            runs.c.deployment == deployment if deployment else or_(runs.c.deployment.is_(None), runs.c.deployment == ""),
        )
        found = self._from_log(*of_key, runs.c.ended.is_(None))
        self._latest[key] = found.id if found else None
        return found

    def _run(self, run: str) -> OpenRun | None:
        return self._open.get(run) or self._from_log(runs.c.id == run)

    def _from_log(self, *conditions: ColumnElement[bool]) -> OpenRun | None:
        until = time.monotonic() + _CATCH_UP_SECONDS
        while not self._caught_up() and time.monotonic() < until:
            time.sleep(0.02)
        found = select(runs.c.id, runs.c.started, runs.c.due).where(runs.c.source == SOURCE, *conditions)
        rows = self._store.read(found.order_by(runs.c.started.desc()).limit(1))
        return OpenRun(*rows[0]) if rows else None

    def _id_of(self, ping: Ping, key: Key, now: int) -> tuple[str, Answer | None]:
        """The id of the check-in's fact, and the answer that it was given before.

        The client's id alone is no moment, and the log keeps events by the moment in their ids: so the day makes one, and
        what is sent again on the day after is looked for under the day before.
        """
        if not ping.id:
            return new_id(now), None
        today = now - now % _DAY
        told, yesterday = (derived_id(day, SOURCE, *key, ping.what, ping.id) for day in (today, today - _DAY))
        for each in (told, yesterday):
            if each in self._answers:
                return each, self._answers[each]
        rows = self._store.read(select(events.c.run).where(events.c.id.in_([told, yesterday])))
        return told, Answer(run=rows[0].run) if rows else None

    # --- what is said -------------------------------------------------------------------------------------------------

    def _declared(self, check: Check) -> Event:
        now = self._clock()
        return DeploymentDeclared(
            id=new_id(now), time=now, flow=check.flow, deployment=check.deployment, environment=check.environment,
            description=check.description, schedules=check.schedules, tags=check.tags, owners=check.owners,
        )  # fmt: skip

    def _removed(self, check: Check) -> Event:
        now = self._clock()
        return DeploymentRemoved(
            id=new_id(now), time=now, flow=check.flow, deployment=check.deployment, environment=check.environment
        )


def _named_run(key: Key, name: str) -> str:
    """The id of a run by the client's name for it, the same each time; empty where it has none."""
    return uuid5(NAMESPACE_URL, "\x1f".join((SOURCE, *key, name))).hex if name else ""


def _facts(key: Key, run: str, due: int | None) -> dict[str, Any]:
    environment, flow, deployment = key
    return {"run": run, "flow": flow, "deployment": deployment, "environment": environment, "due": due, "source": SOURCE}


def _said(ping: Ping, facts: dict[str, Any], now: int) -> list[Event]:
    if not ping.text:
        return []
    level = "ERROR" if ping.fails else "INFO"
    return [LogRecorded(id=new_id(now), time=now, level=level, logger=SOURCE, message=ping.text, **facts)]


def _failure(ping: Ping) -> Failure:
    kind = "ExitCode" if ping.exit else "Failed"
    words = [f"exit code {ping.exit}"] if ping.exit else []
    lines = ping.text.splitlines()
    return Failure(type=kind, message=": ".join([*words, *lines[-1:]])[:_MESSAGE_LETTERS])
