"""`pause_flow_run`: the flow's function stands still until somebody answers.

While it waits it holds its thread, or on a loop nothing, and looks at the size of a file. No event, connection or database
is needed for the answer to arrive; where the server is elsewhere, that is asked too.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload

from flowtell.bus import emit
from flowtell.engine import due
from flowtell.engine.capture import captured
from flowtell.engine.context import current
from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.letters import Letters
from flowtell.engine.logs import record
from flowtell.engine.questions import Question
from flowtell.errors import BadAnswer, BadQuestion, FlowPauseTimeout, PauseOutsideFlow
from flowtell.events import FlowRunPaused, FlowRunResumed
from flowtell.ids import new_id
from flowtell.rules import seconds

if TYPE_CHECKING:
    from flowtell.answers.box import Line

T = TypeVar("T")

Span = float | timedelta | str | None
POLL_SECONDS: Final = 0.5
_LONGEST_KEY: Final = 200
_LOGGER: Final = "flowtell.pause"


@overload
def pause_flow_run(
    wait_for_input: None = None, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> None: ...
@overload
def pause_flow_run(
    wait_for_input: type[T], timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> T: ...
@overload
def pause_flow_run(
    wait_for_input: Any, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Any: ...
def pause_flow_run(
    wait_for_input: Any = None, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Any:
    """Wait until somebody says that the flow run around the caller may go on, and return what he answered.

    Answers come by `flowtell resume`, `POST /api/runs/{id}/resume` or the run's page. One that does not fit is told so, and
    the run waits on. In the function of an async flow this gives a coroutine: await it, or use `apause_flow_run`.

    Args:
        wait_for_input: a `RunInput`, another pydantic model, or a type such as `bool`, `str` or `Literal["a", "b"]`, of
            which a value is returned. None asks for no value.
        timeout: how long to wait: seconds, a timedelta, or text as in `"3d"`. None waits for ever.
        poll_interval: seconds between two looks for an answer.
        key: names the pause within its run, by default by its number, from 1. One that was answered is not asked again:
            not at a retry of the flow, nor where a served run is begun again after its process died.

    Raises:
        PauseOutsideFlow: no flow run is around the caller, or a task is.
        FlowPauseTimeout: nobody answered in time.
        BadQuestion: an argument makes no sense.
    """
    pause = _pause(wait_for_input, timeout, poll_interval, key)
    return pause.answered() if pause.run.work.colour.startswith("async") else pause.wait()


@overload
def apause_flow_run(
    wait_for_input: None = None, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Coroutine[Any, Any, None]: ...
@overload
def apause_flow_run(
    wait_for_input: type[T], timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Coroutine[Any, Any, T]: ...
@overload
def apause_flow_run(
    wait_for_input: Any, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Coroutine[Any, Any, Any]: ...
def apause_flow_run(
    wait_for_input: Any = None, timeout: Span = 3600, poll_interval: float = POLL_SECONDS, key: str | None = None
) -> Coroutine[Any, Any, Any]:
    """As `pause_flow_run`, for `await` in async flows; the loop does other things meanwhile."""
    return _pause(wait_for_input, timeout, poll_interval, key).answered()


def _pause(wait_for_input: Any, timeout: Span, poll_interval: float, key: str | None) -> Pause:
    run = current.get()
    if not isinstance(run, FlowRun):
        raise PauseOutsideFlow("" if run is None else run.task)
    if not 0.01 <= poll_interval <= 3600:
        raise BadQuestion("poll_interval", f"{poll_interval!r} is not between 0.01 and 3600 seconds")
    if run.letters is None or run.letters.attempt != run.attempt:
        run.letters = Letters.of(run)
    terms = _Terms(_key(key, run.letters), _span(timeout), poll_interval)
    return Pause(run, run.letters, Question(wait_for_input), terms)


def _key(given: str | None, letters: Letters) -> str:
    number = letters.next_number()
    if given is None:
        return str(number)
    if not given or len(given) > _LONGEST_KEY:
        raise BadQuestion("key", f"{given[:20]!r} is not of 1 to {_LONGEST_KEY} letters")
    return given


def _span(timeout: Span) -> float | None:
    if timeout is None:
        return None
    try:
        return timeout.total_seconds() if isinstance(timeout, timedelta) else seconds(timeout)
    except ValueError as error:
        raise BadQuestion("timeout", str(error)) from None


class _Terms(NamedTuple):
    key: str
    timeout: float | None
    poll: float


class Pause:
    """One question of one flow run, from the moment it is asked until it was answered or given up."""

    def __init__(self, run: FlowRun, letters: Letters, question: Question, terms: _Terms) -> None:
        self.run, self._letters, self._question = run, letters, question
        self.key, self._timeout, self._poll = terms
        wanted = None if terms.timeout is None else _now() + int(terms.timeout * 1e6)
        self.until = letters.until(terms.key, wanted)
        self._schema = question.schema

    def wait(self) -> Any:
        """On the thread of a plain function."""
        answer = self._kept()
        if answer is not None:
            return answer.value
        with self._paused():
            while (answer := self._look()) is None:
                between_looks(self._wait_seconds())
        return answer.value

    async def answered(self) -> Any:
        """On a loop."""
        answer = self._kept()
        if answer is not None:
            return answer.value
        with self._paused():
            while (answer := await self._look_aside()) is None:
                await between_looks_async(self._wait_seconds())
        return answer.value

    async def _look_aside(self) -> _Answer | None:
        """A loop waits for no network."""
        import asyncio

        return await asyncio.to_thread(self._look) if self._letters.is_far else self._look()

    # --- looking for an answer

    def _kept(self) -> _Answer | None:
        """The answer that was taken before, by an earlier attempt or process."""
        for line in self._letters.taken(self.key):
            try:
                value = self._question.value(self.key, line.answer)
            except BadAnswer as error:  # the model is another one now
                record(self.run, "WARNING", _LOGGER, f"An earlier answer is not used again. {error}")
                continue
            record(self.run, "INFO", _LOGGER, f"Pause '{self.key}' was answered before: the same answer is used again.")
            return _Answer(value)
        return None

    def _look(self) -> _Answer | None:
        """The first answer that fits; what does not is refused, and said so."""
        for line in self._letters.given(self.key):
            try:
                value = self._question.value(self.key, line.answer)
            except BadAnswer as error:
                self._letters.refuse(line, error)
                record(self.run, "WARNING", _LOGGER, str(error))
            else:
                self._letters.take(line)
                self._say_resumed(line)
                return _Answer(value)
        return None

    def _wait_seconds(self) -> float:
        """Until the next look.

        Raises:
            FlowPauseTimeout: the time is up.
        """
        if self.until is None:
            return self._poll
        left = (self.until - _now()) / 1e6
        if left <= 0:
            self._say(FlowRunResumed, actor="timeout")  # the flow may catch it, and goes on
            raise FlowPauseTimeout(self.run.work.name, self.run.id, self.key, self._timeout)
        return min(self._poll, left)

    # --- the state of the run

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """The run is paused as long as one of its questions is open."""
        open_ones = self._letters.open
        open_ones.append(self)
        self._letters.ask(self.key, self.until)
        self.say_paused()
        due.say_paused(self._may_be_begun_again())
        try:
            yield
        finally:
            open_ones.remove(self)
            if due.is_left_paused:
                self.run.leave_open()
            else:
                due.say_paused(False)
                self._go_on()

    def _may_be_begun_again(self) -> bool:
        """Whether nothing but this waits in the process: it can be left, and the run begun again where it is served."""
        return not self.run.parent_run and not self.run.scope.open and len(self._letters.open) == 1

    def _go_on(self) -> None:
        if not self._letters.open:
            self.run.state = "running"
        else:
            self._letters.open[-1].say_paused()

    def say_paused(self) -> None:
        self.run.state = "paused"
        self._say(FlowRunPaused, schema=self._schema, until=self.until)

    def _say_resumed(self, line: Line) -> None:
        answer = captured({"answer": line.answer})["answer"]
        self._say(FlowRunResumed, answer=answer, actor=line.actor)

    def _say(self, kind: type[FlowRunPaused | FlowRunResumed], **more: Any) -> None:
        run, now = self.run, _now()
        emit(
            kind(
                id=new_id(now), time=now, run=run.id, root_run=run.scope.root_run, flow=run.scope.flow,
                deployment=run.deployment, due=run.due, key=self.key, **more,
            )
        )  # fmt: skip


class _Answer:
    """Tells a value of None from no answer yet."""

    def __init__(self, value: Any) -> None:
        self.value = value


def between_looks(seconds: float) -> None:
    """Wait before the next look for an answer. In a test's harness answers stand ready, or a clock is moved."""
    time.sleep(seconds)


async def between_looks_async(seconds: float) -> None:
    """As `between_looks`, without holding up the loop."""
    import asyncio

    await asyncio.sleep(seconds)


def _now() -> int:
    return time.time_ns() // 1000


__all__ = ["apause_flow_run", "pause_flow_run"]
