"""Totals of many events in any order, the server killed again and again meanwhile: equal to a count by other means."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter

import pytest

from flowtell.events import END_STATES, FlowRunFinished, FlowRunStarted, TaskRunFinished, TaskRunRetrying
from flowtell.source.writing import SourceJournal

START = 1_795_000_000_000_000
FLOWS, TASKS, WRITERS = 20, 5, 4
PER_RUN = 2 + TASKS + TASKS // 2

_HARD = ("flowtell_flow_", "flowtell_task_", "flowtell_late_", "flowtell_events_total")
"""Counters that are kept; those of a plugin's calls begin anew with the process."""


def test_totals_over_a_few_kills(house):
    """The slice of the next test that every run of the suite does."""
    kill_and_count(house, events=20_000, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_totals_of_a_million_events_over_a_hundred_kills(house, rounds):
    """No series goes backwards from one scrape to the next, over all lives of the server; at the end nothing is missing."""
    kills = rounds(full=100, ci=10)
    kill_and_count(house, events=10_000 * kills, kills=kills)


def kill_and_count(house, events, kills):
    draw = random.Random(7)
    history = History(draw, events // PER_RUN)
    writers = [SourceJournal(str(house.home), f"w{number}") for number in range(WRITERS)]
    shown, handed = Counter(), 0
    for part in history.parts(kills):
        for writer, some in zip(writers, part, strict=True):
            writer.write(some)
            handed += len(some)
        server = house.server()
        time.sleep(draw.uniform(0, 1.0))
        shown = not_backwards(shown, counters(house))
        house.kill(server)
    server = house.server()
    house.until(lambda: house.sql("SELECT count(*) FROM events") == [(history.distinct,)], 600, "all events in the log")
    house.until(lambda: shown_events(house) >= history.distinct, 600, "all events counted")
    shown = not_backwards(shown, counters(house))
    for writer in writers:
        writer.close()
    compared = compare(shown, history.counted(), environment="calm") + compare(shown, first_ends(house), environment="torn")
    print(f"{kills} kills, {handed} lines, {history.distinct} events, {compared} series equal")
    assert compared > FLOWS


class History:
    """Runs whose events are spread over writers in any order, some of them twice; those of `torn` end more than once."""

    def __init__(self, draw, runs):
        self._draw, self._made = draw, []
        for number in range(runs):
            self._made += self._run(number)
        self.distinct = len(self._made)

    def _run(self, number):
        draw = self._draw
        environment, flow = draw.choice(("calm", "torn")), f"flow-{number % FLOWS}"
        common = {"run": f"{number:032x}", "flow": flow, "environment": environment}
        ids = (f"{number * 100 + at:032x}" for at in range(100))

        def made(kind, **fields):
            return kind(id=next(ids), time=START + number, **common, **fields)

        yield made(FlowRunStarted)
        for task in range(TASKS):
            where = {"task": f"task-{task}", "task_run": f"{number * 100 + task:032x}"}
            if task % 2:
                yield made(TaskRunRetrying, **where)
            yield made(TaskRunFinished, state=draw.choice(END_STATES), duration=draw.uniform(0, 90), **where)
        for _ in range(2 if environment == "torn" and draw.random() < 0.2 else 1):
            yield made(FlowRunFinished, state=draw.choice(END_STATES), duration=draw.uniform(0, 90_000))

    def parts(self, number):
        """For each part, what each writer writes: everything in random order, one in twenty also by another writer."""
        lines = self._made + self._draw.sample(self._made, len(self._made) // 20)
        self._draw.shuffle(lines)
        size = len(lines) // number + 1
        for start in range(0, len(lines), size):
            part = [[] for _ in range(WRITERS)]
            for event in lines[start : start + size]:
                self._draw.choice(part).append(event)
            yield part

    def counted(self):
        """Rows of name, flow, task, state and number, by SQL over what was made."""
        with sqlite3.connect(":memory:") as database:
            database.execute("CREATE TABLE ends (name, flow, task, state, duration)")
            ends = [event for event in self._made if event.environment == "calm"]
            rows = [
                (event.type, event.flow, event.task, getattr(event, "state", ""), getattr(event, "duration", None))
                for event in ends
            ]
            database.executemany("INSERT INTO ends VALUES (?, ?, ?, ?, ?)", rows)
            return database.execute(
                "SELECT name, flow, task, state, count(*), sum(duration) FROM ends "
                "WHERE name IN ('flow_run.finished', 'task_run.finished', 'task_run.retrying') GROUP BY 1, 2, 3, 4"
            ).fetchall()


def first_ends(house):
    """The same of the log's own rows, of each run the end that came first, whatever the log itself thinks of the others."""
    return house.sql(
        "SELECT type, flow, task, state, count(*), sum(duration) FROM ("
        "  SELECT type, flow, coalesce(task, '') AS task, coalesce(json_extract(data, '$.state'), "
        "    CASE type WHEN 'task_run.retrying' THEN '' ELSE 'completed' END) AS state, "
        "    json_extract(data, '$.duration') AS duration, min(seq) FROM events "
        "  WHERE type IN ('flow_run.finished', 'task_run.finished', 'task_run.retrying') "
        "    AND json_extract(data, '$.environment') = 'torn' GROUP BY run, task_run, type"
        ") GROUP BY 1, 2, 3, 4"
    )


def compare(shown, rows, environment):
    """Every counted number is shown, and what is shown sums up to no more. How many series were compared."""
    names = {
        "flow_run.finished": "flowtell_flow_runs_total",
        "task_run.finished": "flowtell_task_runs_total",
        "task_run.retrying": "flowtell_task_retries_total",
    }
    wanted, seconds = Counter(), Counter()
    for kind, flow, task, state, number, duration in rows:
        wanted[names[kind], flow, task, state] += number
        seconds[kind.partition(".")[0], flow, task] += duration or 0
    found = Counter()
    for (name, labels), value in shown.items():
        told = dict(labels)
        if told.get("environment") == environment and name in names.values():
            found[name, told["flow"], told.get("task", ""), told.get("state", "")] += value
        if told.get("environment") == environment and name.endswith("_run_duration_seconds_sum"):
            kind = name.removeprefix("flowtell_").removesuffix("_duration_seconds_sum")
            assert value == pytest.approx(seconds[kind, told["flow"], told.get("task", "")])
    assert +found == +wanted
    return len(+found)


def counters(house):
    series = house.series()
    return Counter({key: value for key, value in series.items() if is_counter(key[0])})


def is_counter(name):
    return name.startswith(_HARD) and name.endswith(("_total", "_bucket", "_count", "_sum"))


def not_backwards(before, now):
    fallen = {key: (value, now[key]) for key, value in before.items() if now[key] < value}
    assert fallen == {}
    return now


def shown_events(house):
    return sum(value for (name, _), value in counters(house).items() if name == "flowtell_events_total")
