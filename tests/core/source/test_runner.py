"""What becomes of a source that fails, and what the log says of it."""

from __future__ import annotations

import pytest

from flowtell.errors import SourceUnavailable
from flowtell.events import FlowRunStarted
from flowtell.ids import derived_id
from flowtell.source import BaseSource
from flowtell.testing import SourceHarness

NOON = 1_795_500_000_000_000


class Scripted(BaseSource):
    """Does what its script says, one entry a step, over all that are made from it."""

    def __init__(self, script, closed):
        self.script, self.closed = script, closed

    def step(self):
        act = self.script.pop(0) if self.script else None
        if isinstance(act, Exception):
            raise act
        self.context.up()
        if act:
            act(self.context)
        return 1.0

    def close(self, timeout):
        self.closed.append(timeout)


@pytest.fixture
def scripted(tmp_path):
    opened = []

    def make(*script):
        steps, closed = list(script), []
        harness = SourceHarness(lambda settings: Scripted(steps, closed), tmp_path, name="there")
        harness.closed = closed
        opened.append(harness)
        return harness

    yield make
    for harness in opened:
        harness.close()


def started(run, after=0):
    run = run * 32
    return FlowRunStarted(id=derived_id(NOON + after, "there", run), time=NOON + after, run=run, flow="far")


def said(harness):
    return [event.type for event in harness.said()]


def test_trouble_is_told_once_and_its_end_too(scripted):
    """The same trouble three times is one `source.down`; another is another; then it is up again."""
    refused = [SourceUnavailable("connection refused") for _ in range(3)]
    harness = scripted(None, *refused, SourceUnavailable("401: wrong key"), None)
    waits = [harness.turn() for _ in range(6)]
    assert said(harness) == ["source.up", "source.down", "source.down", "source.up"]
    assert [event.error.message for event in harness.said() if event.type == "source.down"] == [
        "connection refused",
        "401: wrong key",
    ]
    assert waits[1] < waits[2] < waits[3] <= 8.0, "the pause grows"
    assert harness.runner.status().state == "up"
    assert harness.runner.status().errors == 4


def test_the_pause_that_was_asked_for_is_kept(scripted):
    """`retry_after` goes before the pause of our own."""
    harness = scripted(SourceUnavailable("429", retry_after=17.0))
    assert harness.turn() == 17.0


def test_an_error_of_the_source_is_no_end(scripted):
    """Any exception closes the source, and a new one goes on; the state tells."""
    harness = scripted(KeyError("mapping"), lambda context: context.emit([started("a")], cursor="1"))
    harness.turn()
    assert harness.runner.status().state == "down"
    assert harness.runner.status().last_error == "KeyError: 'mapping'"
    assert harness.closed == [1.0]
    harness.turn()
    assert [event.run for event in harness.events()] == ["a" * 32]


def test_an_event_without_an_id_is_refused(scripted):
    """It would be another fact at each reading."""
    harness = scripted(lambda context: context.emit([FlowRunStarted(time=NOON, run="a" * 32)]))
    harness.turn()
    assert "needs an id" in harness.runner.status().last_error
    assert harness.events() == []


def test_the_cursor_comes_back_from_the_log(scripted):
    """A new process knows how far the last one was, and up to when it was complete."""
    seen = []
    harness = scripted(
        lambda context: context.emit([started("a")], cursor="one", complete_until=NOON),
        lambda context: seen.append(context.cursor),
        lambda context: seen.append(context.cursor),
    )
    harness.turn()
    harness.turn()
    harness.restart(kill=True)
    harness.turn()
    assert seen == ["one", "one"]
    assert harness.runner.status().complete_until == NOON


def test_its_open_runs_are_those_of_any_of_its_journals(scripted):
    """A restart forgets no run that is still open over there."""
    seen = []
    harness = scripted(
        lambda context: context.emit([started("a"), started("b", 1)], cursor="1"),
        lambda context: seen.extend(run.id for run in context.open_runs()),
    )
    harness.turn()
    harness.restart()
    harness.turn()
    assert sorted(seen) == ["a" * 32, "b" * 32]
