"""A flow stands still until somebody answers: what it says meanwhile, what it takes, and what becomes of it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import BaseModel

from flowtell import RunInput, apause_flow_run, bus, current_run, flow, pause_flow_run, task
from flowtell.answers.box import Box, Line
from flowtell.errors import BadQuestion, FlowPauseTimeout, PauseOutsideFlow
from flowtell.events import FlowRunFinished, FlowRunPaused, FlowRunResumed, FlowRunStarted, LogRecorded
from flowtell.ids import new_id
from flowtell.testing import recorder

QUICK = 0.02


class Review(RunInput):
    """Is it good enough?"""

    score: int
    note: str = ""


@pytest.fixture
def answering(home, monkeypatch):
    """Gives answers, each as soon as its key is asked, from a thread beside the flow; a list by key is given in order."""
    monkeypatch.setenv("FLOWTELL_QUIET", "1")

    @contextmanager
    def start(**answers):
        with recorder() as told:
            thread = threading.Thread(target=_answer, args=(home, told, answers), daemon=True)
            thread.start()
            yield told
            thread.join(5)

    return start


def _answer(home, told, answers):
    until = time.monotonic() + 5
    while answers and time.monotonic() < until:
        for paused in told.of(FlowRunPaused):
            for answer in answers.pop(paused.key.replace("-", "_"), ()):
                line = Line(kind="given", key=paused.key, id=new_id(), answer=answer, actor="ada")
                Box(str(home), paused.run).add(line)
        time.sleep(0.005)


def test_the_flow_gets_what_was_answered(answering):
    @flow
    def reviewed():
        return pause_flow_run(Review, key="review", poll_interval=QUICK)

    with answering(review=[{"score": 4}]) as told:
        assert reviewed() == Review(score=4)
    (paused,), (resumed,) = told.of(FlowRunPaused), told.of(FlowRunResumed)
    assert (paused.key, paused.schema["description"], paused.schema["required"]) == ("review", Review.__doc__, ["score"])
    assert paused.until == pytest.approx(paused.time + 3_600_000_000, abs=5_000_000)
    assert (resumed.key, resumed.answer, resumed.actor) == ("review", {"score": 4}, "ada")


class Plain(BaseModel):
    day: str


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        (bool, False, False),
        (str, "x", "x"),
        (int, 3, 3),
        (list[int], [1, 2], [1, 2]),
        (Literal["yes", "no"], "no", "no"),
        (Plain, {"day": "monday"}, Plain(day="monday")),
        (None, None, None),
        (None, {"what": "ever"}, None),
    ],
)
def test_any_type_can_be_asked_for(answering, kind, answer, value):
    @flow
    def asks():
        return pause_flow_run(wait_for_input=kind, poll_interval=QUICK)

    with answering(**{"1": [answer]}):
        assert asks() == value


def test_what_does_not_fit_is_refused_and_the_run_waits_on(answering, home):
    """The refusal is in the box for whoever answered, and in the run's log."""

    @flow
    def reviewed():
        return pause_flow_run(Review, poll_interval=QUICK).score, Box(str(home), current_run().id).read().lines

    with answering(**{"1": [{"score": "many"}, {"sc": 1}, {"score": 2}]}) as told:
        score, lines = reviewed()
    assert score == 2
    refused = [line for line in lines if line.kind == "refused"]
    assert [problem.field for line in refused for problem in line.problems] == ["score", "score", "sc"]
    assert [line.level for line in told.of(LogRecorded)] == ["WARNING", "WARNING"]
    assert len(told.of(FlowRunPaused)) == len(told.of(FlowRunResumed)) == 1


def test_initial_data_may_be_left_out(answering):
    @flow
    def reviewed():
        asked = Review.with_initial_data(description="Look at **this**.", score=3, note="as before")
        return pause_flow_run(asked, poll_interval=QUICK)

    with answering(**{"1": [{"note": "changed"}]}) as told:
        assert reviewed().model_dump() == {"score": 3, "note": "changed"}
    (paused,) = told.of(FlowRunPaused)
    assert paused.schema["description"] == "Look at **this**."
    assert paused.schema["properties"]["score"]["default"] == 3


def test_initial_data_for_no_field_is_told():
    with pytest.raises(BadQuestion, match="there is no field 'stars'; there are score, note"):
        Review.with_initial_data(stars=3)


def test_nobody_answers_in_time(answering):
    @flow
    def waits():
        pause_flow_run(timeout=timedelta(seconds=0.05), poll_interval=QUICK)

    with (
        answering() as told,
        pytest.raises(FlowPauseTimeout, match=r"Nobody answered pause '1' of flow 'waits' within 0\.05"),
    ):
        waits()
    (end,) = told.of(FlowRunFinished)
    assert (end.state, end.error.type) == ("failed", "flowtell.errors.FlowPauseTimeout")


def test_a_flow_may_go_on_without_an_answer(answering):
    """The log then has it running again, not paused."""

    @flow
    def waits():
        try:
            return pause_flow_run(bool, timeout=0.05, poll_interval=QUICK)
        except FlowPauseTimeout:
            return "no answer"

    with answering() as told:
        assert waits() == "no answer"
    assert [event.actor for event in told.of(FlowRunResumed)] == ["timeout"]


def test_pauses_are_numbered_and_one_key_is_asked_once(answering):
    @flow
    def asks():
        first, second = pause_flow_run(int, poll_interval=QUICK), pause_flow_run(int, poll_interval=QUICK)
        return first, second, pause_flow_run(int, key="1", poll_interval=QUICK)

    with answering(**{"1": [10], "2": [20]}) as told:
        assert asks() == (10, 20, 10)
    assert [event.key for event in told.of(FlowRunPaused)] == ["1", "2"]


def test_a_retry_is_not_asked_again(answering):
    tries = []

    @flow(retries=1)
    def asks():
        tries.append(pause_flow_run(int, poll_interval=QUICK))
        if len(tries) == 1:
            raise ValueError("the first time")
        return tries

    with answering(**{"1": [7]}) as told:
        assert asks() == [7, 7]
    assert len(told.of(FlowRunPaused)) == 1
    assert any("was answered before" in line.message for line in told.of(LogRecorded))


def test_an_async_flow_lets_its_loop_go_on(answering):
    @flow
    async def asks():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        answer = await pause_flow_run(int, poll_interval=QUICK) + await apause_flow_run(int, poll_interval=QUICK)
        ticking.cancel()
        return answer, ticks > 0

    with answering(**{"1": [1], "2": [2]}):
        assert asyncio.run(asks()) == (3, True)


def test_two_questions_at_a_time(answering):
    """The run is paused until the last was answered, and the log has what is still open."""

    @flow
    async def asks():
        return await asyncio.gather(*(apause_flow_run(int, key=key, poll_interval=QUICK) for key in ("left", "right")))

    with answering(left=[1]) as told:

        def later():
            time.sleep(0.15)
            run = told.of(FlowRunStarted)[0].run
            Box(bus.settings().home, run).add(Line(kind="given", key="right", id=new_id(), answer=2))

        threading.Thread(target=later).start()
        assert asyncio.run(asks()) == [1, 2]
    words = [(event.type, event.key) for event in told.events if isinstance(event, FlowRunPaused | FlowRunResumed)]
    assert words == [
        ("flow_run.paused", "left"),
        ("flow_run.paused", "right"),
        ("flow_run.resumed", "left"),
        ("flow_run.paused", "right"),
        ("flow_run.resumed", "right"),
    ]


def test_a_subflow_pauses_by_itself(answering):
    @flow
    def inner():
        return pause_flow_run(int, poll_interval=QUICK)

    @flow
    def outer():
        return inner() + 1

    with answering(**{"1": [1]}) as told:
        assert outer() == 2
    (paused,) = told.of(FlowRunPaused)
    assert (paused.flow, paused.root_run) == ("inner", told.of(FlowRunStarted)[0].run)


def test_secrets_in_an_answer_are_not_in_the_log(answering):
    @flow
    def asks():
        return pause_flow_run(dict, poll_interval=QUICK)

    with answering(**{"1": [{"password": "swordfish", "user": "ada"}]}) as told:
        assert asks()["password"] == "swordfish"
    assert told.of(FlowRunResumed)[0].answer == {"password": "********", "user": "ada"}


def test_nothing_is_left_of_a_run_that_ended(answering, home):
    @flow
    def asks():
        return pause_flow_run(int, poll_interval=QUICK)

    with answering(**{"1": [1]}):
        asks()
    assert list((home / "answers").iterdir()) == []


def test_a_pause_outside_a_flow_is_told():
    @task
    def asks():
        pause_flow_run()

    with pytest.raises(PauseOutsideFlow, match="outside a flow run"):
        pause_flow_run()
    with pytest.raises(PauseOutsideFlow, match="in task 'asks'"):
        flow(name="outer")(asks)()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"timeout": "soon"}, "'soon' is no span of time"),
        ({"timeout": -1}, "negative"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"key": ""}, "key"),
        ({"wait_for_input": object()}, "cannot be asked for"),
    ],
)
def test_arguments_that_make_no_sense_are_told(home, arguments, told):
    @flow
    def asks():
        pause_flow_run(**arguments)

    with pytest.raises(BadQuestion, match=told):
        asks()


def test_a_home_that_takes_nothing_asks_all_the_same(answering, home):
    """Only answers given there are out of reach."""
    (home / "answers").write_text("no folder")

    @flow
    def waits():
        return pause_flow_run(timeout=0.05, poll_interval=QUICK)

    with recorder() as told, pytest.raises(FlowPauseTimeout):
        waits()
    assert told.of(FlowRunPaused)
