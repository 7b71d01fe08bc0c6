"""One deployment being served: which due times it answers, which runs wait, which go on. Driven by the loop, at a time.

Its order of writing makes a run begin once whatever is killed when: first the ledger, in one write the due time as answered
and the run as claimed; then the process, which begins only under the run's mark and while the ledger claims it. Events carry
ids derived from the run, so that what is said again after a kill is the same fact.
"""

from __future__ import annotations

import signal
from collections.abc import Collection

from flowtell.bus import emit, settings
from flowtell.engine.assignments import Assignment, run_of
from flowtell.engine.deployments import Deployment
from flowtell.engine.serving import mark, policy, run_process
from flowtell.engine.serving.entrance import Entrance
from flowtell.engine.serving.ledger import Card, Claim, Ledger
from flowtell.engine.serving.run_process import Order, RunProcess
from flowtell.errors import ParameterError
from flowtell.events import (
    Failure,
    FlowRunCancelling,
    FlowRunFinished,
    FlowRunScheduled,
    FlowRunWaiting,
    Schedule,
    WaitsOn,
)
from flowtell.ids import crash_id, derived_id, new_id
from flowtell.schedules import next_due, start_of
from flowtell.wanted_runs import WantedRun, Wants, Word

_DAY = 86_400_000_000
RETRY_AFTER = 1_000_000
"""µs after which a process that could not be had is asked for again."""


class Service:
    """A deployment with its ledger. Of one thread. `now` is the wall clock in µs."""

    def __init__(self, deployment: Deployment, entrance: Entrance, ledger: Ledger, environment: str, now: int) -> None:
        self.deployment, self._entrance, self._ledger, self._environment = deployment, entrance, ledger, environment
        self._schedules = () if deployment.paused else tuple(one for one in deployment.schedules if one.active)
        self._room = policy.room(self._schedules, deployment.limit)
        self._going: dict[str, RunProcess] = {}
        self._told: dict[str, tuple[str, ...]] = {}
        self._asked: set[str] = set()
        """Runs that were asked to end: what becomes of them counts as that, however their process ends."""
        self._wants = Wants(settings().home, environment, deployment.full_name)
        self._take_up(now)
        deployment.declare()

    def _take_up(self, now: int) -> None:
        """Go on where the ledger stands. A schedule that is new, or was paused, is answered from now on."""
        known = self._ledger.answered
        answered = {one.id: _plausible(known.get(one.id, now), now) for one in self._schedules}
        known.clear()
        known.update(answered)
        self._ledger.describe(self._card())
        self._ledger.save()
        for run in self._ledger.claims:
            path = self._ledger.mark_path(run)
            if mark.standing(path) != "new":
                self._going[run] = RunProcess(path)

    def _card(self) -> Card:
        deployment = self.deployment
        return Card(
            flow=deployment.flow.name,
            deployment=deployment.name,
            environment=self._environment,
            schedules=deployment.schedules,
            paused=deployment.paused,
        )

    # --- a step

    def step(self, now: int) -> int | None:
        """Do what is to be done now; the moment at which something is next, None where that is only a run's end."""
        self._see_ends(now)
        for schedule in self._schedules:
            self._answer(schedule, now)
        self._take_wanted(now)
        later = [] if self.deployment.paused else self._start_waiting(now)
        ahead = [next_due(schedule, now) for schedule in self._schedules]
        return min((moment for moment in (*ahead, *later) if moment is not None), default=None)

    def next_due(self, now: int) -> int | None:
        ahead = [next_due(schedule, now) for schedule in self._schedules]
        return min((moment for moment in ahead if moment is not None), default=None)

    def _see_ends(self, now: int) -> None:
        for run, process in list(self._going.items()):
            if process.has_ended():
                standing = mark.standing(process.path)
                if standing == "paused":
                    self._begin_again(run)
                    continue
                if standing != "ended":
                    self._say_died(run, process, now)
                self._close(run)

    def _begin_again(self, run: str) -> None:
        """It waits to be started, as if it had not begun: what it was answered is still in its box."""
        del self._going[run]
        mark.remove(self._ledger.mark_path(run))

    def _close(self, run: str) -> None:
        """First the ledger: a process that comes too late asks it whether the run is still wanted."""
        self._going.pop(run, None)
        self._told.pop(run, None)
        del self._ledger.claims[run]
        self._ledger.save()
        mark.remove(self._ledger.mark_path(run))

    def _answer(self, schedule: Schedule, now: int) -> None:
        answered = self._ledger.answered
        since = answered[schedule.id]
        found = policy.to_answer(schedule, since, now)
        if not found:
            return
        for due, missed in found:
            self._decide(schedule, due, missed, now)
        answered[schedule.id] = max(found[-1].due, since)
        self._ledger.save()

    def _decide(self, schedule: Schedule, due: int, missed: bool, now: int) -> None:
        claims = self._ledger.claims
        run = run_of(self._environment, self.deployment.flow.name, self.deployment.name, due)
        if run in claims or self._is_answered_by_another(schedule, due):
            return
        self._say_scheduled(run, Claim(due=due, start=due), now)
        waiting = len(claims) - len(self._going)
        fate = policy.fate(schedule.overlap, missed=missed, open_runs=len(claims), waiting=waiting, room=self._room)
        if fate == "take":
            claims[run] = Claim(due=due, start=start_of(schedule, run, due), missed=missed)
        else:
            self._say_skipped(run, due, now, fate)

    def _take_wanted(self, now: int) -> None:
        """Claim what others want, and say so; a kill in between leaves the want, which then is found to be claimed."""
        claims = self._ledger.claims
        for wanted in self._wants.asked():
            problem = "" if wanted.run in claims else self._refusal(wanted, now)
            if not problem and wanted.run not in claims:
                claims[wanted.run] = Claim(
                    due=None, start=wanted.time, parameters=wanted.parameters, cause=wanted.cause,
                    caused_by=wanted.caused_by, hops=wanted.hops,
                )  # fmt: skip
                self._ledger.save()
                self._say_scheduled(wanted.run, claims[wanted.run], now)
            self._wants.say(wanted.run, Word(problem=problem))

    def _refusal(self, wanted: WantedRun, now: int) -> str:
        """Why a run that is wanted is not begun; empty where it is."""
        name = self.deployment.full_name
        if now > wanted.until:
            return f"{name} was served too late."
        if self.deployment.paused:
            return f"{name} is paused."
        if len(self._ledger.claims) - len(self._going) >= policy.MOST_WAITING:
            return f"{policy.MOST_WAITING} runs of {name} wait already."
        try:
            self.deployment.flow.parameters.fit((), {**self.deployment.parameters, **wanted.parameters})
        except ParameterError as error:
            return str(error)
        return ""

    def _is_answered_by_another(self, schedule: Schedule, due: int) -> bool:
        """Whether another schedule of the deployment has the same due time, and its turn was before."""
        return any(
            next_due(other, due - 1) == due and self._ledger.answered[other.id] >= due
            for other in self._schedules
            if other.id != schedule.id
        )

    def _start_waiting(self, now: int) -> list[int]:
        """Start what may start, in order of time; the moments at which others are to."""
        later = []
        claims = self._ledger.claims
        waiting = sorted((claim.start, claim.moment, run) for run, claim in claims.items() if run not in self._going)
        for start, _, run in waiting:
            if start > now:
                later.append(start)
            elif len(self._going) >= self._room:
                self._say_waiting(run, now)
            elif not self._start(run):
                later.append(now + RETRY_AFTER)
        return later

    def _start(self, run: str) -> bool:
        order = Order(
            assignment=self._assignment(run),
            entrance=self._entrance,
            parameters={**self.deployment.parameters, **self._ledger.claims[run].parameters},
            mark=self._ledger.mark_path(run),
            ledger=self._ledger.path,
        )
        try:
            self._going[run] = run_process.start(order)
        except OSError:
            return False
        return True

    def _assignment(self, run: str) -> Assignment:
        claim = self._ledger.claims[run]
        return Assignment(
            run=run,
            flow=self.deployment.flow.name,
            deployment=self.deployment.name,
            due=claim.due,
            cause=claim.cause or ("catch-up" if claim.missed else "schedule"),
            tags=self.deployment.tags,
            caused_by=claim.caused_by,
            hops=claim.hops,
        )

    # --- ending

    @property
    def going(self) -> Collection[str]:
        """Runs whose processes live."""
        return self._going.keys()

    @property
    def has_adopted(self) -> bool:
        """Whether a run goes on that an earlier serving process began, whose end no signal tells."""
        return any(process.is_adopted for process in self._going.values())

    def interrupt(self, now: int, reason: str) -> None:
        """Ask every run that goes on to clean up and end. One that is paused ends its process, and stays claimed."""
        for run, process in self._going.items():
            if not mark.read(process.path).paused:
                if mark.standing(process.path) == "running":
                    self._say_cancelling(run, now, reason)
                self._asked.add(run)
            process.send(signal.SIGTERM)

    def kill(self) -> None:
        """What was asked to end and did not."""
        for run, process in self._going.items():
            if not mark.read(process.path).paused:
                self._asked.add(run)
            process.send(signal.SIGKILL)

    def reap(self, now: int) -> None:
        """See which runs have ended, and start nothing. One that had not begun stays claimed for the next who serves."""
        for run, process in list(self._going.items()):
            if process.has_ended() and mark.standing(process.path) == "new":
                del self._going[run]
        self._see_ends(now)

    def cancel(self, run: str, now: int) -> bool:
        """Cancel a run that waits. False for one that is none of these."""
        claim = self._ledger.claims.get(run)
        if claim is None or run in self._going:
            return False
        self._say_end(run, claim, now, "cancelled", None)
        self._close(run)
        return True

    def close(self) -> None:
        """Let another process serve the deployment. What waits goes on waiting in the ledger."""
        self._ledger.close()

    # --- what is said

    def _say_scheduled(self, run: str, claim: Claim, now: int) -> None:
        emit(
            FlowRunScheduled(
                id=derived_id(claim.moment, "scheduled", run), time=now, run=run, flow=self.deployment.flow.name,
                deployment=self.deployment.name, due=claim.due, tags=self.deployment.tags, caused_by=claim.caused_by,
                hops=claim.hops,
            )
        )  # fmt: skip

    def _say_cancelling(self, run: str, now: int, reason: str) -> None:
        emit(
            FlowRunCancelling(
                id=new_id(now), time=now, run=run, flow=self.deployment.flow.name, deployment=self.deployment.name,
                due=self._ledger.claims[run].due, actor="serve", reason=reason,
            )
        )  # fmt: skip

    def _say_waiting(self, run: str, now: int) -> None:
        """Whom it waits for, again when those are others."""
        holders = tuple(sorted(self._going))
        if self._told.get(run) == holders:
            return
        self._told[run] = holders
        reason = "overlap" if self.deployment.limit is None else "limit"
        emit(
            FlowRunWaiting(
                id=new_id(now), time=now, run=run, flow=self.deployment.flow.name, deployment=self.deployment.name,
                due=self._ledger.claims[run].due, reason=reason,
                on=(WaitsOn(kind="deployment", name=self.deployment.full_name, runs=holders),),
            )
        )  # fmt: skip

    def _say_skipped(self, run: str, due: int, now: int, fate: policy.Fate) -> None:
        others = ", ".join(sorted(self._ledger.claims)[:3])
        why = {
            "skip_overlap": f"Run {others} of this deployment had not ended, and overlap is skip.",
            "skip_full": f"{policy.MOST_WAITING} runs of this deployment wait already.",
        }[fate]
        self._say_end(run, Claim(due=due, start=due), now, "skipped", Failure(type="Overlap", message=why))

    def _say_died(self, run: str, process: RunProcess, now: int) -> None:
        """Under the id that whoever reads the dead process's journal gives its crash, where it had one: one fact."""
        writer = mark.read(process.path).writer
        claim = self._ledger.claims[run]
        if run in self._asked:
            error = Failure(type="Cancelled", message="It did not end when it was asked to, and was killed.")
            state = "cancelled"
        else:
            how = f"was ended by {process.signal}" if process.signal else "ended without finishing it"
            state, error = "crashed", Failure(type="Crashed", message=f"The process of this run {how}.")
        self._say_end(run, claim, now, state, error, id=crash_id(run, writer or "never-began"), signal=process.signal)

    def _say_end(
        self, run: str, claim: Claim, now: int, state: str, error: Failure | None, *, id: str = "", signal: str = ""
    ) -> None:
        emit(
            FlowRunFinished(
                id=id or derived_id(claim.moment, state, run), time=now, run=run, flow=self.deployment.flow.name,
                deployment=self.deployment.name, due=claim.due, state=state, error=error, signal=signal,
                caused_by=claim.caused_by, hops=claim.hops,
            )
        )  # fmt: skip


def _plausible(answered: int, now: int) -> int:
    """A clock that was set back answers nothing twice; one that once stood in the far future is not waited for."""
    return answered if answered <= now + _DAY else now
