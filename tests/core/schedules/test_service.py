"""One deployment being served: the clock simulated, the runs real processes."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import contextmanager

import pytest

from flowtell import cron, every
from flowtell.engine.serving import mark
from flowtell.engine.serving.entrance import entrance_of
from flowtell.engine.serving.ledger import Ledger
from flowtell.engine.serving.service import Service
from flowtell.events import FlowRunFinished, FlowRunScheduled, FlowRunWaiting
from flowtell.ids import new_id
from flowtell.testing import recorder
from flowtell.wanted_runs import WantedRun, Wants, Word

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = 500_000 * HOUR - 1


class Served:
    """A service whose clock is moved by hand."""

    def __init__(self, home, deployment):
        self.home, self.deployment, self.now = home, deployment, START
        self.orphans = []
        self.open()

    def open(self):
        ledger = Ledger.take(str(self.home), "", self.deployment.full_name)
        assert ledger is not None
        self.service = Service(self.deployment, entrance_of(self.deployment), ledger, "", self.now)

    def close(self):
        self.service.close()

    def to(self, moment: int):
        """Move the clock and take a step."""
        self.now = moment
        return self.service.step(moment)

    def until_idle(self):
        def is_idle():
            self.service.step(self.now)
            return not self.service.going

        wait_for(is_idle)

    def forget_processes(self):
        """As a process that is gone: its children go on, and nobody is told of their ends."""
        self.orphans += [process._child for process in self.service._going.values()]
        self.service._going.clear()

    def end(self):
        wait_for(lambda: self.service.kill() or self.service.reap(self.now) or not self.service.going)
        self.close()
        for child in self.orphans:
            child.kill()
            child.wait()


@pytest.fixture
def served(home, tmp_path, flows):
    """Serve the flow that notes its runs."""

    @contextmanager
    def serve(*schedules, seconds=0.0, **options):
        parameters = {"folder": str(tmp_path), "seconds": seconds}
        one = Served(home, flows("note").to_deployment("x", schedules=schedules, parameters=parameters, **options))
        with recorder() as seen:
            one.seen = seen
            yield one
        one.end()

    return serve


@pytest.fixture
def begun(tmp_path):
    """The due times of the runs whose function was called, in hours after the start."""

    def read():
        path = tmp_path / "begun"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [round((float(line.split()[1]) * 1e6 - START) / HOUR, 1) for line in lines]

    return read


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_run_begins_when_it_is_due_and_answers_that_time(served, begun):
    """Not before; and the step says when to come back."""
    with served(every("1h")) as one:
        assert one.to(START) == START + 1
        assert one.seen.of(FlowRunScheduled) == []
        assert one.to(START + 1) == START + 1 + HOUR
        one.until_idle()
        assert begun() == [0.0]
        (scheduled,) = one.seen.of(FlowRunScheduled)
        assert (scheduled.due, scheduled.deployment) == (START + 1, "x")


def test_two_schedules_that_meet_make_one_run(served, begun):
    """A due time of a deployment is answered once."""
    with served(every("1h"), cron("0 */2 * * *"), every("30m")) as one:
        one.to(START + 1)
        one.until_idle()
        one.to(START + 1)
        one.until_idle()
        assert begun() == [0.0]


def test_overlap_skip_says_that_and_why_a_due_time_has_no_run(served, begun):
    """The run before goes on; the next due time ends as skipped, at once."""
    with served(every("1h"), seconds=30) as one:
        one.to(START + 1)
        wait_for(begun)
        one.to(START + 1 + HOUR)
        (end,) = one.seen.of(FlowRunFinished)
        assert (end.state, end.due) == ("skipped", START + 1 + HOUR)
        assert "had not ended" in end.error.message


def test_overlap_queue_waits_says_for_whom_and_runs_in_order(served, begun, tmp_path):
    """Also when the process that waits is gone in between."""
    with served(every("1h", overlap="queue"), seconds=30) as one:
        one.to(START + 1)
        wait_for(begun)
        (first,) = one.service.going
        for hours in (1, 2):
            one.to(START + 1 + hours * HOUR)
        waiting = one.seen.of(FlowRunWaiting)
        assert [(event.reason, event.on[0].runs) for event in waiting] == [("overlap", (first,))] * 2
        one.to(one.now)
        assert len(one.seen.of(FlowRunWaiting)) == 2  # told once
        one.close()
        one.forget_processes()
        one.open()
        assert list(one.service.going) == [first]  # it went on meanwhile, and is known
        one.to(one.now)
        assert begun() == [0.0]
        (tmp_path / "let go").touch()
        one.until_idle()
        assert begun() == [0.0, 1.0, 2.0]


def test_overlap_allow_runs_both_up_to_the_limit(served, begun):
    """The third waits for a limit."""
    with served(every("1h", overlap="allow"), seconds=30, limit=2) as one:
        for hours in range(3):
            one.to(START + 1 + hours * HOUR)
        wait_for(lambda: len(begun()) == 2)
        (waiting,) = one.seen.of(FlowRunWaiting)
        assert (waiting.reason, len(waiting.on[0].runs)) == ("limit", 2)


def test_jitter_starts_a_run_later_and_its_due_time_stays(served, begun):
    """The step names the moment of the start."""
    with served(every("1h", jitter="20m")) as one:
        start = one.to(START + 1)
        assert START + 1 < start < START + 1 + 20 * MINUTE
        assert not one.service.going
        one.to(start)
        one.until_idle()
        assert begun() == [0.0]


def test_missed_due_times_are_caught_up_one_after_the_other(served, begun):
    """Nobody served for four hours; the policy is all."""
    with served(every("1h", catch_up="all 3h")) as one:
        one.to(START + 1)
        one.until_idle()
        one.close()
        one.now = START + 1 + 4 * HOUR + 30 * MINUTE
        one.open()
        one.to(one.now)
        one.until_idle()
        assert begun() == [0.0, 2.0, 3.0, 4.0]


def test_a_pause_is_not_caught_up(served, begun, flows, tmp_path):
    """What came due while it was paused was not missed: no storm at its end."""
    with served(every("1h", catch_up="all")) as one:
        one.to(START + 1)
        one.until_idle()
        one.close()
        running = one.deployment
        one.deployment = flows("note").to_deployment(
            "x", schedules=running.schedules, parameters=running.parameters, paused=True
        )
        one.open()
        assert one.to(START + 1 + 5 * HOUR) is None
        one.close()
        one.deployment = running
        one.open()
        one.to(START + 2 + 5 * HOUR)
        one.to(START + 1 + 6 * HOUR)
        one.until_idle()
        assert begun() == [0.0, 6.0]


def test_a_run_that_is_killed_is_crashed_and_frees_its_place(served, begun):
    """Its parent knows the signal."""
    with served(every("1h"), seconds=30) as one:
        one.to(START + 1)
        wait_for(begun)
        (run,) = one.service.going
        os.kill(mark.read(one.service._ledger.mark_path(run)).pid, signal.SIGKILL)
        wait_for(lambda: one.to(one.now) and not one.service.going)
        (end,) = one.seen.of(FlowRunFinished)
        assert (end.run, end.state, end.signal) == (run, "crashed", "SIGKILL")
        one.to(START + 1 + HOUR)
        wait_for(lambda: len(begun()) == 2)


def test_a_claimed_run_is_begun_once_though_two_processes_are_started_for_it(served, begun):
    """The serving process died between two starts, and its child was slow: whoever has the mark runs."""
    with served(every("1h"), seconds=1) as one:
        one.to(START + 1)
        (run,) = one.service.going
        one.forget_processes()
        one.service._start(run)
        one.until_idle()
        assert begun() == [0.0]
        assert [end.state for end in one.seen.of(FlowRunFinished)] == []  # said by the run's own process


def test_a_ledger_that_cannot_be_written_starts_nothing_and_loses_nothing(served, begun, monkeypatch):
    """The disk is full when a run is due, and has room again later."""
    with served(every("1h")) as one:
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", _no_space)
            with pytest.raises(OSError, match="no space"):
                one.to(START + 1)
            assert not one.service.going
        one.to(START + 1)
        one.until_idle()
        one.to(START + 1)
        one.until_idle()
        assert begun() == [0.0]
        assert len({event.id for event in one.seen.of(FlowRunScheduled)}) == 1  # said twice as one fact


def _no_space(_fd):
    raise OSError(errno.ENOSPC, "no space")


def test_a_clock_that_is_set_back_answers_nothing_twice(served, begun):
    """An hour back, and a new process."""
    with served(every("30m")) as one:
        one.to(START + 1)
        one.until_idle()
        one.close()
        one.now = START - HOUR
        one.open()
        for half_hours in (-1, 0, 1):
            one.to(START + 1 + half_hours * HOUR // 2)
            one.until_idle()
        assert begun() == [0.0, 0.5]


def test_a_second_process_does_not_get_the_ledger(served, home):
    """It waits, and takes over when the first ends."""
    with served(every("1h")) as one:
        assert Ledger.take(str(home), "", "note/x") is None
        assert Ledger.take(str(home), "", "note/y") is not None
        one.close()
        again = Ledger.take(str(home), "", "note/x")
        assert again is not None
        again.close()
        one.open()


# --- runs that others want ----------------------------------------------------------------------------------------


@pytest.fixture
def wanting(home, tmp_path, flows):
    """Serve a flow that nothing schedules, and want runs of it."""

    class Wanting(Served):
        def want(self, number=1, **options):
            fields = {"run": new_id(self.now), "time": self.now, "until": self.now + HOUR, "cause": "automation", **options}
            self.wants.ask(WantedRun(parameters={"n": number}, **fields))
            return fields["run"]

        @property
        def wants(self):
            return Wants(str(self.home), "", self.deployment.full_name)

    @contextmanager
    def serve(**options):
        one = Wanting(home, flows("count").to_deployment("x", **options))
        with recorder() as seen:
            one.seen = seen
            yield one
        one.end()

    return serve


def test_a_run_that_is_wanted_begins_with_its_parameters(wanting, tmp_path):
    """Over those of the deployment; what asked for it is in its events, and the want is answered."""
    with wanting(parameters={"folder": str(tmp_path), "n": 0}) as one:
        run = one.want(7, caused_by="c" * 32, hops=2)
        one.to(START + 1)
        assert one.wants.word(run) == Word()
        assert list(one.wants.asked()) == []
        one.until_idle()
        assert (tmp_path / "counted").read_text() == "7 None\n"
        (scheduled,) = one.seen.of(FlowRunScheduled)
        assert (scheduled.run, scheduled.due, scheduled.caused_by, scheduled.hops) == (run, None, "c" * 32, 2)


def test_a_want_that_is_found_again_begins_nothing_twice(wanting, tmp_path):
    """As after a kill between the ledger's write and the word."""
    with wanting(parameters={"folder": str(tmp_path)}) as one:
        run = one.want()
        one.to(START + 1)
        one.wants.forget(run)
        one.wants.ask(WantedRun(run=run, time=one.now, until=one.now + HOUR, parameters={"n": 1}))
        one.to(START + 2)
        assert one.wants.word(run) == Word()
        one.until_idle()
        assert (tmp_path / "counted").read_text() == "1 None\n"


def test_what_cannot_begin_is_refused_with_the_reason(wanting, tmp_path):
    """Too late, with parameters that the flow does not take, or of a deployment that is paused."""
    with wanting(parameters={"folder": str(tmp_path)}) as one:
        late, wrong = one.want(until=START), one.want("many")
        one.to(START + 1)
        assert one.wants.word(late).problem == "count/x was served too late."
        assert "n" in one.wants.word(wrong).problem
        assert not one.service.going
    with wanting(parameters={"folder": str(tmp_path)}, paused=True) as one:
        run = one.want()
        one.to(START + 1)
        assert one.wants.word(run).problem == "count/x is paused."


def test_wanted_runs_wait_for_one_another(wanting, tmp_path):
    """One at a time unless a limit says more; in the order in which they were wanted."""
    with wanting(parameters={"folder": str(tmp_path)}) as one:
        for number in (1, 2, 3):
            one.want(number, time=START + number)
        one.to(START + 10)
        assert len(one.service.going) == 1
        wait_for(lambda: one.to(one.now + 1) is None and not one.service.going)
        assert (tmp_path / "counted").read_text() == "1 None\n2 None\n3 None\n"
