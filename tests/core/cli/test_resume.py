"""`flowtell resume`: an answer reaches a paused run without a server, and one that does not fit is told field by field."""

from __future__ import annotations

import json
import threading
import time
from io import StringIO

import pytest

from flowtell import RunInput, flow, pause_flow_run


class Review(RunInput):
    """Is it good enough?"""

    score: int
    sent: bool = True


@flow(name="reviewed")
def reviewed(kind):
    return pause_flow_run(kind, key="review", poll_interval=0.02, timeout=20)


@pytest.fixture
def paused(flowtell):
    """Starts the flow on a thread, and gives its id once it is paused, and what it returns."""
    threads = []

    def start(kind=Review):
        results = []
        thread = threading.Thread(target=lambda: results.append(reviewed(kind)), daemon=True)
        thread.start()
        threads.append(thread)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            listed = flowtell("runs", "--json").json
            if listed and listed[0]["state"] == "paused":
                break
        return listed[0]["id"], lambda: (thread.join(5), *results)[-1]

    yield start
    for thread in threads:
        thread.join(5)


def test_field_by_field(flowtell, paused):
    run, result = paused()
    done = flowtell("resume", run, "score=4", "sent=no")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("of reviewed: goes on.\n")
    assert result() == Review(score=4, sent=False)
    events = [event for event in flowtell("events", "--json").json_lines if event["type"].startswith("action.")]
    assert [(one["type"], one["action"], one["arguments"], one.get("outcome")) for one in events] == [
        ("action.requested", "resume", {"key": "review"}, None),
        ("action.done", "resume", {"key": "review"}, "resumed"),
    ]


def test_as_json(flowtell, paused):
    run, result = paused()
    done = flowtell("resume", run, "--answer", '{"score": 5}', "--json")
    assert done.json == {"run": run, "key": "review", "outcome": "resumed"}
    assert result() == Review(score=5)


@pytest.mark.parametrize(
    ("kind", "word", "value"), [(bool, "yes", True), (str, "12", "12"), (int, "12", 12), (None, "", None)]
)
def test_one_value(flowtell, paused, kind, word, value):
    run, result = paused(kind)
    assert flowtell("resume", run, *([word] if word else [])).code == 0
    assert result() == value


def test_what_does_not_fit_is_told_and_the_run_waits_on(flowtell, paused):
    run, result = paused()
    told = flowtell("resume", run, "score=many")
    assert told.code == 1
    assert told.err == (
        "Error FT2604: The answer to 'review' does not fit: score: it is to be a whole number, not \"many\". "
        "The run still waits: correct it and answer again.\n"
    )
    assert flowtell("runs", run, "--json").json["run"]["state"] == "paused"
    assert flowtell("resume", run, "score=1").code == 0
    assert result().score == 1


def test_what_only_the_model_can_tell_is_told_too(flowtell, paused):
    from pydantic import field_validator

    class Even(RunInput):
        number: int

        @field_validator("number")
        @classmethod
        def is_even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

    run, result = paused(Even)
    told = flowtell("resume", run, "number=3")
    assert (told.code, "number: Value error, odd" in told.err) == (1, True)
    assert flowtell("resume", run, "number=4").code == 0
    assert result().number == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["scores=1"], "'scores=1' is no field=value of the answer. Its fields: score, sent."),
        (["--answer", "{"], "--answer is no JSON"),
        (["--answer", "{}", "score=1"], "not both"),
        ([], "The run asks for field=value for score, sent"),
        (["--key", "other", "score=1"], "it does not wait for 'other', but for 'review'"),
    ],
)
def test_words_that_make_no_answer(flowtell, paused, words, told, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO())
    run, result = paused()
    done = flowtell("resume", run, *words)
    assert done.code in (1, 2)
    assert told in done.err
    flowtell("resume", run, "score=1")
    result()


def test_a_run_that_does_not_wait(flowtell, history):
    run = flowtell("runs", "--json").json[0]["id"]
    done = flowtell("resume", run)
    assert done.code == 1
    assert "Error FT2605" in done.err
    assert "it has ended already" in done.err


def test_on_a_terminal_it_asks_until_the_answer_fits(flowtell, paused, asked_on_a_terminal):
    run, result = paused()
    shown = asked_on_a_terminal("resume", run, typed=["many", "", "3"])
    assert result() == Review(score=3)
    assert "Is it good enough?" in shown
    assert "score (integer): " in shown
    assert "sent (yes or no, default true): " in shown
    assert "score: it is to be a whole number" in shown
    assert json.loads(flowtell("runs", run, "--json").out)["run"]["state"] == "completed"
