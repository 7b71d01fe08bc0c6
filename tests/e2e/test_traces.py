"""Traces over real processes: flows and servers are killed, the collector hangs, and every trace is whole all the same."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

import pytest

pytest.importorskip("opentelemetry.proto", reason="the extra flowtell-exporters[otlp] is not installed")

from tests.exporters.otlp_receiver import Receiver, faults_of

EXIT_SECONDS = 5.0


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def test_traces_over_a_few_kills(house, receiver):
    """The slice of the next test that every run of the suite does."""
    kill_and_trace(house, receiver, 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_traces_over_a_hundred_kills(house, receiver, rounds):
    """Half of them flows, half servers: each run that ended has one span, none another, and every trace is whole."""
    kill_and_trace(house, receiver, rounds(full=100, ci=10))


def kill_and_trace(house, receiver, times):
    dice = random.Random(times)
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    lasting = house.writer("flows.py")
    server = house.server(**where)
    for number in range(times):
        if number % 2:
            victim = house.writer("flows.py")
            house.until(victim.side.exists, what="the first event")
            time.sleep(dice.uniform(0, 0.5))
            house.kill(victim)
        else:
            time.sleep(dice.uniform(0.1, 1.2))
            house.kill(server)
            server = house.server(**where)
    (house.folder / f"{lasting.side.name}.stop").touch()
    lasting.wait(30)
    house.settled()
    house.until(lambda: unsent(house, receiver) == 0, what="all spans")
    once = {(one.trace, one.span): one for one in receiver.spans}
    again = len(receiver.spans) - len(once)
    content = {one.message.SerializeToString() for one in receiver.spans}
    assert len(content) == len(once), "a span came twice with another content"
    assert not faults_of(once.values())
    ended = {row[0][-16:] for row in ends(house)}
    assert ended == {one.span for one in once.values() if "flowtell.attempt" not in one.attributes}
    results = Counter(one.attributes.get("cicd.pipeline.result") for one in once.values())
    assert results["error"] >= times // 2 - 1  # one that was killed between two runs left none open
    print(f"{times} kills, {len(once)} spans of {len(ended)} runs, {again} sent again, results {dict(results)}")


def ends(house):
    return house.sql(
        "SELECT coalesce(task_run, run) FROM events "
        "WHERE contrary IS NULL AND type IN ('flow_run.finished', 'task_run.finished')"
    )


def unsent(house, receiver):
    return len({row[0][-16:] for row in ends(house)} - {one.span for one in receiver.spans})


def test_a_collector_that_hangs_costs_the_flow_nothing_and_loses_nothing(house, receiver):
    """The server ends within five seconds although its collector never answers, and the next one sends all of it."""
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    receiver.hangs.clear()
    server = house.server(**where)
    flows = house.writer("flows.py")
    house.until(lambda: receiver.requests >= 2, what="requests of both signals under way")
    house.until(lambda: len(ends(house)) > 20, what="runs that end meanwhile")
    (house.folder / f"{flows.side.name}.stop").touch()
    assert flows.wait(20) == 0
    began = time.monotonic()
    house.kill(server, signal.SIGTERM)
    took = time.monotonic() - began
    assert took < EXIT_SECONDS + 1
    receiver.hangs.set()
    house.server(**where)
    house.settled()
    house.until(lambda: unsent(house, receiver) == 0, what="all spans")
    assert not faults_of({(one.trace, one.span): one for one in receiver.spans}.values())
    assert {one.trace for one in receiver.records} <= {one.trace for one in receiver.spans}
    print(f"ended {took:.2f} s after SIGTERM with its collector hanging; {len(receiver.spans)} spans afterwards")


def test_work_under_way_is_told_within_two_seconds(house, receiver):
    """By a log record with the ids of the span to come; by the clock of whoever watches."""
    house.server(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    house.writer("busy.py", "sleep", 15)
    house.until(lambda: house.sql("SELECT 1 FROM events WHERE type = 'flow_run.started'"), what="the start")
    began = time.monotonic()
    house.until(lambda: any(one.event_name for one in receiver.records), 10, "the record")
    assert time.monotonic() - began < 4  # two on a machine that has time
    [(run,)] = house.sql("SELECT id FROM runs")
    told = {(one.trace, one.span) for one in receiver.records if one.event_name == "flowtell.run.running"}
    assert (run, run[-16:]) in told
    assert not receiver.spans
