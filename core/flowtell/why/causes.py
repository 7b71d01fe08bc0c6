"""Why a run stands as it does: named causes, each from facts of the log. What no fact tells is left unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowtell.errors import RunNotFound
from flowtell.moments import lasting
from flowtell.store.reading import Run, TaskRun
from flowtell.why.answer import Fact
from flowtell.why.facts import BAD, Facts, RunFacts, Writer
from flowtell.why.history import usual_seconds

_SECOND: Final = 1_000_000
_NAMED: Final = 5
"""Holders that a text names."""
_SLOW: Final = 1.5
"""A task is slow from so many times its usual duration on, and a second more than it."""
_DEEP: Final = 8
"""Links of a chain."""


class Chain:
    """Follows one cause to the next."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._seen: set[str] = set()
        self.missing: list[str] = []

    def of(self, run: str) -> tuple[Fact, ...]:
        return tuple(self._of_run(run))

    def _of_run(self, run: str) -> Iterator[Fact]:
        if run in self._seen or len(self._seen) >= _DEEP:
            yield Fact(cause="circle", text=f"run {short(run)} is in this chain already", run=run)
            return
        self._seen.add(run)
        try:
            facts = self._facts.run(run)
        except RunNotFound:
            self.missing.append(f"run {short(run)}: the log has it no more")
            return
        if facts.run.ended is not None:
            yield from self._ended(facts)
        elif facts.is_ahead:
            yield from self._ahead(facts)
        else:
            yield from self._open(facts)

    # --- ended --------------------------------------------------------------------------------------------------------

    def _ended(self, facts: RunFacts) -> Iterator[Fact]:
        run = facts.run
        told = facts.last("flow_run.finished", "flow_run.removed")
        evidence = (told.id,) if told is not None else ()

        def ended(cause: str, text: str, detail: str = "") -> Fact:
            return Fact(cause=cause, text=text, detail=detail, since=run.ended, run=run.id, events=evidence)

        match run.state:
            case "completed" | "cached":
                yield ended("completed", f"it ended well{_took(run)}")
            case "removed":
                yield ended("removed", _removed(told))
            case "cancelled":
                yield self._cancelled(facts, evidence)
            case "skipped":
                yield ended("skipped", "it was skipped", _message(run))
            case "timed_out":
                yield ended("timed_out", "it took longer than it may", _message(run))
                yield from self._slow_tasks(facts)
            case "crashed":
                yield _crash(run, evidence)
                yield from self._last_open(facts)
            case _:
                yield from self._failed(facts, evidence)

    def _cancelled(self, facts: RunFacts, evidence: tuple[str, ...]) -> Fact:
        run, asked = facts.run, facts.last("flow_run.cancelling")
        who = _asked_by(asked) if asked is not None else "the log does not tell by whom"
        events = (asked.id, *evidence) if asked is not None else evidence
        return Fact(
            cause="cancelled",
            text=f"it was cancelled: {who}",
            detail=_message(run),
            since=run.ended,
            run=run.id,
            events=events,
        )

    def _failed(self, facts: RunFacts, evidence: tuple[str, ...]) -> Iterator[Fact]:
        """The first task or flow inside that ended by the same error; else its own code."""
        run = facts.run
        tries = f" in {run.attempts} attempts" if run.attempts > 1 else ""
        child = next((one for one in self._facts.children(run) if _same_error(one, run)), None)
        if child is not None:
            text = f"the flow {child.flow} that it called {child.state}"
            yield Fact(cause="subflow", text=text, since=child.ended, run=run.id, runs=(child.id,), events=evidence)
            yield from self._of_run(child.id)
            return
        task = next((task for task in self._facts.failed_tasks(run.id) if _same_error(task, run)), None)
        if task is None:
            text = f"its own code failed{tries}{_type(run)}"
            yield Fact(cause="failed", text=text, detail=_message(run), since=run.ended, run=run.id, events=evidence)
            return
        yield _task_failed(run, task, evidence)

    def _last_open(self, facts: RunFacts) -> Iterator[Fact]:
        """What a process that died was about: its task runs were closed with it."""
        run = facts.run
        for task in self._facts.failed_tasks(run.id):
            if task.state == "crashed" and task.started is not None:
                text = f"task {task.task} was open, for {_between(task.started, run.ended)}"
                yield Fact(cause="task_open", text=text, since=task.started, run=run.id, task_run=task.id)
                return

    # --- not begun ----------------------------------------------------------------------------------------------------

    def _ahead(self, facts: RunFacts) -> Iterator[Fact]:
        """Whoever would start it may be gone, whatever the run waited for while that one was there."""
        run, teller = facts.run, self._facts.teller(facts)
        if teller is not None and teller.ended is not None and teller.ended <= self._facts.at:
            yield self._gone(run, teller, *_ids(facts.told[-1].event))
            return
        waits = facts.last("flow_run.waiting")
        if waits is not None:
            yield from self._waits(facts, waits)
        else:
            self.missing.append("why nothing has started it: no event tells what it waits for")

    def of_none(self, last: RunFacts, due: int) -> tuple[Fact, ...]:
        """Of a due time for which there is no run; `last` is the deployment's run before it."""
        teller, run = self._facts.teller(last, "flow_run.scheduled"), last.run
        if teller is None or teller.ended is None or teller.ended > self._facts.at:
            self.missing.append(f"why no run has begun for what was due at {_clock(due)}: no event tells of one")
            return ()
        return (self._gone(run, teller),)

    def _gone(self, run: Run, teller: Writer, *events: str) -> Fact:
        ago = lasting((self._facts.at - (teller.ended or 0)) / _SECOND)
        text = f"the process that serves {_deployment(run)} ended {ago} ago on {teller.machine or 'its machine'}"
        return Fact(cause="serving_gone", text=text, since=teller.ended, run=run.id, events=events)

    def _waits(self, facts: RunFacts, waits: Any) -> Iterator[Fact]:
        run = facts.run
        task = f"task {waits.task} " if waits.task_run else ""
        for on in waits.on or (None,):
            cause = _cause_of_wait(waits.reason, on)
            held = on.runs if on is not None else ()
            text = f"{task}{_in_words(cause, waits.reason, on)}{self._holders(held)}"
            yield Fact(
                cause=cause, text=text, since=waits.time, run=run.id, task_run=waits.task_run, runs=held, events=_ids(waits)
            )
        for held in [other for on in waits.on for other in on.runs if other != run.id][:1]:
            yield from self._of_run(held)

    def _holders(self, held: tuple[str, ...]) -> str:
        if not held:
            return ""
        named = [self._holder(each) for each in held[:_NAMED]]
        more = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
        return f": held by {', '.join(named)}{more}"

    def _holder(self, run: str) -> str:
        try:
            found = self._facts.run(run).run
        except RunNotFound:
            return f"run {short(run)}, of which the log has nothing"
        since = f", {found.state} for {_between(found.started, self._facts.at)}" if found.started else f", {found.state}"
        return f"{found.flow} {short(run)}{since}"

    # --- going on -----------------------------------------------------------------------------------------------------

    def _open(self, facts: RunFacts) -> Iterator[Fact]:
        run = facts.run
        if run.state == "cancelling" and (asked := facts.last("flow_run.cancelling")) is not None:
            text = f"it is being cancelled: {_asked_by(asked)}"
            yield Fact(cause="cancelling", text=text, since=asked.time, run=run.id, events=_ids(asked))
        if run.state == "paused" and (paused := facts.last("flow_run.paused")) is not None:
            yield _paused(run, paused)
            return
        if (again := facts.last("flow_run.retrying")) is not None and run.state == "retrying":
            yield _retry(run, again, "the flow")
            return
        yield from self._silent(facts)
        yield from self._inside(facts)

    def _silent(self, facts: RunFacts) -> Iterator[Fact]:
        """A machine elsewhere that has not been heard of: what stands here may be old."""
        teller = self._facts.teller(facts)
        if teller is None or teller.heard is None or teller.ended is not None:
            return
        silent = (self._facts.at - teller.heard) / _SECOND
        if silent > 60:
            who = teller.machine or teller.name
            text = f"{who} has not been heard of for {lasting(silent)}: what it did since is not known"
            yield Fact(cause="source_silent", text=text, since=teller.heard, run=facts.run.id)

    def _inside(self, facts: RunFacts) -> Iterator[Fact]:
        run = facts.run
        tasks = self._facts.open_tasks(run.id)
        for task in tasks:
            again = facts.last("task_run.retrying", task_run=task.id)
            if again is not None and task.state == "retrying":
                yield _retry(run, again, f"task {task.task}", task)
                return
        for task in tasks:
            waits = facts.last("task_run.waiting", task_run=task.id)
            if waits is not None and (task.started is None or task.started > self._facts.at):
                yield from self._waits(facts, waits)
                return
        child = next((one for one in reversed(self._facts.children(run)) if one.ended is None), None)
        if child is not None:
            text = f"the flow {child.flow} that it called is {child.state}"
            yield Fact(cause="subflow", text=text, since=child.started, run=run.id, runs=(child.id,))
            yield from self._of_run(child.id)
            return
        yield from self._tasks(facts, [task for task in tasks if task.started is not None])

    def _tasks(self, facts: RunFacts, tasks: list[TaskRun]) -> Iterator[Fact]:
        run = facts.run
        if not tasks:
            yield self._own_code(facts)
            return
        task = min(tasks, key=lambda each: each.started or 0)
        others = f", and {len(tasks) - 1} others" if len(tasks) > 1 else ""
        taken = (self._facts.at - (task.started or 0)) / _SECOND
        usual = usual_seconds(self._facts, run, task.task)
        text = f"task {task.task} goes on for {lasting(taken)}{others}"
        figures: dict[str, Any] = {"seconds": round(taken, 3)}
        cause = "task_open"
        if usual is not None:
            figures |= {"usual_seconds": round(usual.median, 3), "runs": usual.runs}
            text += f"; it usually takes {lasting(usual.median)}"
            cause = "task_slow" if taken > _SLOW * usual.median and taken > usual.median + 1 else cause
        else:
            self.missing.append(f"how long task {task.task} usually takes: too few runs that ended well")
        yield Fact(cause=cause, text=text, since=task.started, run=run.id, task_run=task.id, figures=figures)

    def _own_code(self, facts: RunFacts) -> Fact:
        run = facts.run
        last = self._facts.last_task(run.id)
        since = last.ended if last is not None else run.started
        after = f" since task {last.task} ended" if last is not None else ", and has called no task yet"
        text = f"it is in its own code for {_between(since, self._facts.at)}{after}"
        return Fact(cause="own_code", text=text, since=since, run=run.id)

    def _slow_tasks(self, facts: RunFacts) -> Iterator[Fact]:
        """Which of its tasks had the most of its time."""
        task = self._facts.longest_task(facts.run.id)
        if task is not None:
            text = f"task {task.task} took {lasting(task.duration or 0)} of it"
            yield Fact(cause="task_slow", text=text, since=task.started, run=facts.run.id, task_run=task.id)


# --- words ------------------------------------------------------------------------------------------------------------


def short(run: str) -> str:
    """As commands and pages shorten ids."""
    return run[16:24] or run


def _ids(*told: Any) -> tuple[str, ...]:
    return tuple(event.id for event in told)


def _between(since: int | None, until: int | None) -> str:
    return lasting(((until or 0) - (since or 0)) / _SECOND) if since is not None and until is not None else "some time"


def _took(run: Run) -> str:
    return f" after {lasting(run.duration)}" if run.duration is not None else ""


def _deployment(run: Run) -> str:
    return f"{run.flow}/{run.deployment}" if run.deployment else run.flow


def _type(inner: Run | TaskRun) -> str:
    return f": {inner.error.type}" if inner.error is not None else ""


def _message(inner: Run | TaskRun) -> str:
    return inner.error.message if inner.error is not None else ""


def _removed(told: Any) -> str:
    reason = getattr(told, "reason", "")
    return f"it was removed where it came from{f': {reason}' if reason else ''}"


def _asked_by(asked: Any) -> str:
    who = f"by {asked.actor}" if asked.actor else "the log does not tell by whom"
    return f"{who}{f', {asked.reason}' if asked.reason else ''}"


def _crash(run: Run, evidence: tuple[str, ...]) -> Fact:
    memory = f", its peak memory was {run.peak_memory / 1e6:,.0f} MB" if run.peak_memory else ""
    where = f" on {run.machine}" if run.machine else ""
    figures = {"peak_memory": run.peak_memory} if run.peak_memory else {}
    if run.signal:
        text = f"its process{where} was ended by {run.signal}{memory}"
        return Fact(cause="killed", text=text, since=run.ended, run=run.id, events=evidence, figures=figures)
    text = f"its process{where} ended without a word{memory}"
    return Fact(cause="crashed", text=text, since=run.ended, run=run.id, events=evidence, figures=figures)


def _task_failed(run: Run, task: TaskRun, evidence: tuple[str, ...]) -> Fact:
    tries = f", in the last of {task.attempts} attempts" if task.attempts > 1 else ""
    text = f"task {task.task} {task.state.replace('_', ' ')}{tries}{_type(task)}"
    return Fact(
        cause="task_failed", text=text, detail=_message(task), since=task.ended, run=run.id, task_run=task.id,
        events=evidence,
    )  # fmt: skip


def _same_error(inner: Run | TaskRun, run: Run) -> bool:
    if inner.error is None or run.error is None or inner.state not in BAD:
        return False
    return (inner.error.type, inner.error.message) == (run.error.type, run.error.message)


def _paused(run: Run, paused: Any) -> Fact:
    until = f" until {_clock(paused.until)}" if paused.until else ""
    text = f"it is paused and waits for an answer to '{paused.key}'{until}"
    return Fact(cause="paused", text=text, since=paused.time, run=run.id, events=_ids(paused))


def _retry(run: Run, again: Any, who: str, task: TaskRun | None = None) -> Fact:
    error = f" by {again.error.type}" if again.error is not None else ""
    text = f"{who} failed in attempt {again.attempt}{error}; attempt {again.attempt + 1} comes {lasting(again.delay)} later"
    figures = {"attempt": again.attempt, "delay": again.delay}
    detail, of = again.error.message if again.error is not None else "", task.id if task is not None else ""
    return Fact(
        cause="retrying", text=text, detail=detail, since=again.time, run=run.id, task_run=of, events=_ids(again),
        figures=figures,
    )  # fmt: skip


def _clock(moment: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(moment / _SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _cause_of_wait(reason: str, on: Any) -> str:
    if reason == "overlap":
        return "previous_run"
    if reason == "limit":
        return "previous_run" if on is not None and on.kind == "deployment" else "limit_full"
    return {"worker": "no_worker", "queue": "queue_paused", "input": "paused"}.get(reason, "waits")


def _in_words(cause: str, reason: str, on: Any) -> str:
    named = f"{on.kind} {on.name}".strip() if on is not None else "something"
    match cause:
        case "previous_run":
            return f"waits for earlier runs of {on.name if on is not None else 'the deployment'} to end"
        case "limit_full":
            return f"waits for {named}, which is full"
        case "no_worker":
            return f"waits for a worker of {named}: none takes runs"
        case "queue_paused":
            return f"waits for {named}, which is paused"
        case _:
            return f"waits for {named}{f' ({reason})' if reason else ''}"
