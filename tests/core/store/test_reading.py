"""What pages and commands ask of the store: right, bounded, and by an index."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import create_engine, event, insert

from flowtell.errors import RunNotFound
from flowtell.events import FlowRunStarted, LogRecorded, MeasureRecorded, TaskRunStarted, encode
from flowtell.ids import new_id
from flowtell.store import reading, tables
from flowtell.store.packing import COLUMNS, pack

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_790_000_000 * SECOND


@pytest.fixture
def engine():
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def read(engine):
    def run_select(statement):
        with engine.connect() as connection:
            return connection.execute(statement).all()

    return run_select


@pytest.fixture
def add(engine):
    """Insert one row, its columns given by name."""

    def insert_row(table, **columns):
        with engine.begin() as connection:
            connection.execute(insert(table).values(**columns))

    return insert_row


@pytest.fixture
def add_run(add):
    numbers = iter(range(1, 1000))

    def insert_run(**columns):
        number = next(numbers)
        started = columns.setdefault("started", START + number * SECOND)
        identifier = columns.setdefault("id", new_id(started or START))
        ahead = {"flow": "nightly", "state": "running", "changed": started or START, "writer": 1}
        add(tables.runs, **{**ahead, "first_seq": number, "last_seq": number, **columns})
        return identifier

    return insert_run


@pytest.fixture
def plans(engine):
    """The plan of every SELECT made from here on, as SQLite explains it."""
    found = []

    def explain(connection, cursor, statement, parameters, *_):
        if statement.lstrip().startswith("SELECT"):
            rows = cursor.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found.append(" | ".join(row[3] for row in rows))

    event.listen(engine, "before_cursor_execute", explain)
    return found


# --- runs ---------------------------------------------------------------------------------------------------------


def test_runs_come_newest_first_and_the_unknown_start_last(read, add_run):
    old, new, unknown = add_run(), add_run(), add_run(started=None)
    assert [run.id for run in reading.list_runs(read)] == [new, old, unknown]


def test_pages_of_runs_meet_without_gap_or_repeat(read, add_run):
    """Also where several runs share their start, and over to those whose start is unknown."""
    everyone = (
        [add_run(started=START) for _ in range(5)]
        + [add_run() for _ in range(3)]
        + [add_run(started=None) for _ in range(3)]
    )
    seen, before = [], None
    while page := reading.list_runs(read, limit=2, before=before):
        assert len(page) <= 2
        seen += [run.id for run in page]
        before = page[-1].place
    assert sorted(seen) == sorted(everyone)
    assert len(seen) == len(everyone)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"flow": "hourly"}, ["quiet-owl"]),
        ({"state": ("failed", "crashed")}, ["red-fox"]),
        ({"environment": "production"}, ["red-fox"]),
        ({"text": "OWL"}, ["quiet-owl"]),
        ({"text": "hour"}, ["quiet-owl"]),
        ({"text": "%"}, []),
        ({"since": START + 10 * SECOND, "until": START + 20 * SECOND}, ["red-fox"]),
    ],
    ids=["flow", "state", "environment", "name", "part of the flow's name", "a wildcard is plain text", "time"],
)
def test_runs_are_filtered(read, add_run, filters, expected):
    add_run(name="quiet-owl", flow="hourly", started=START + 20 * SECOND)
    add_run(name="red-fox", state="failed", environment="production", started=START + 10 * SECOND)
    assert [run.name for run in reading.list_runs(read, **filters)] == expected


def test_a_run_has_its_values_decoded(read, add_run):
    add_run(tags='["a"]', parameters='{"day":"x"}', error='{"type":"ValueError","message":"no"}', trace=None, duration=1.5)
    (run,) = reading.list_runs(read)
    assert (run.tags, run.parameters, run.error.message, run.trace, run.duration) == (
        ("a",),
        {"day": "x"},
        "no",
        "",
        1.5,
    )


def test_listing_runs_walks_an_index(read, add_run, plans):
    add_run()
    reading.list_runs(read, state=["failed"], text="x")
    reading.list_runs(read, since=START, before=(START, "a"))
    reading.list_runs(read, flow="nightly")
    reading.count_states(read, START)
    assert plans
    for plan in plans:
        assert "SEARCH runs USING INDEX runs_" in plan, plan
    ordered = plans[:-1]  # counting groups what the index found
    assert not [plan for plan in ordered if "TEMP B-TREE FOR ORDER BY" in plan]


def test_states_are_counted_since_a_moment(read, add_run):
    add_run(state="failed", started=START - DAY)
    add_run(state="failed"), add_run(state="completed"), add_run(state="completed")
    assert reading.count_states(read, START) == {"failed": 1, "completed": 2}


# --- one run ------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_any_of_its_three_ids(read, add_run):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    root = add_run(trace=trace)
    child = add_run(trace=trace, root_run=root)
    for wanted in (root, root[:14], root[16:], root[16:24], trace, trace[:8], f"{root[:8]}-{root[8:]}", root.upper()):
        assert reading.get_run(read, wanted).id == root
    assert reading.get_run(read, child).id == child


@pytest.mark.parametrize("wanted", ["", "abc", "nightly", "0" * 32, "%%%%"])
def test_what_names_no_run_is_not_found(read, add_run, wanted):
    add_run()
    with pytest.raises(RunNotFound) as caught:
        reading.get_run(read, wanted)
    assert caught.value.found == 0


def test_a_beginning_that_several_share_is_refused(read, add_run):
    first, second = add_run(id="a" * 31 + "1"), add_run(id="a" * 31 + "2")
    with pytest.raises(RunNotFound) as caught:
        reading.get_run(read, "aaaa")
    assert caught.value.found == 2
    assert [reading.get_run(read, run).id for run in (first, second)] == [first, second]


def test_a_run_is_found_by_an_index_whatever_id_it_is_asked_for_with(read, add_run, plans):
    run = add_run(trace="ab" * 16)
    for wanted in (run, run[16:], "ab" * 16):
        assert reading.get_run(read, wanted).id == run
    assert plans
    for plan in plans:
        assert plan.startswith("SEARCH runs USING"), plan


def test_task_runs_come_in_the_order_they_were_made(read, add, add_run, plans):
    run = add_run()
    ids = [new_id(START + number * SECOND) for number in range(3)]
    for number, identifier in reversed(list(enumerate(ids))):
        add(tables.task_runs, run=run, id=identifier, task=f"t{number}", state="running", changed=START, writer=1)
    assert [task.task for task in reading.list_task_runs(read, run, limit=2)] == ["t0", "t1"]
    assert plans == ["SEARCH task_runs USING PRIMARY KEY (run=?)"]


def test_task_runs_are_counted_with_those_that_ended(read, add, add_run, plans, monkeypatch):
    run, empty = add_run(), add_run()
    for ended in (None, START, START):
        add(tables.task_runs, run=run, id=new_id(), state="running", changed=START, writer=1, ended=ended)
    counts = reading.count_task_runs(read, [run, empty])
    assert counts == {run: reading.TaskRunCount(total=3, ended=2), empty: reading.TaskRunCount()}
    assert "SCAN task_runs" not in plans[0]
    monkeypatch.setattr(reading, "TASK_RUNS_COUNTED", 2)
    assert reading.count_task_runs(read, [run])[run].total == 2


# --- logs, flows, the store ---------------------------------------------------------------------------------------


@pytest.fixture
def add_log(add):
    def insert_log(run, message, **fields):
        data = json.dumps({"message": message, "logger": "shop", "hops": 1, **fields}).encode()
        add(
            tables.events,
            id=new_id(),
            type="log.recorded",
            time=START,
            received=START,
            writer=1,
            n=0,
            run=run,
            data=data,
        )

    return insert_log


def test_logs_are_read_on_from_a_place(read, add_log, plans):
    for number in range(5):
        add_log("r1", f"line {number}", level="ERROR")
    add_log("r2", "another run's")
    first = reading.list_logs(read, "r1", limit=2)
    rest = reading.list_logs(read, "r1", after=first[-1].seq)
    assert [line.message for line in first + rest] == [f"line {number}" for number in range(5)]
    assert (first[0].level, first[0].logger, first[0].file) == ("ERROR", "shop", "")
    assert [line.message for line in reading.last_logs(read, "r1", 2)] == ["line 3", "line 4"]
    assert all("USING INDEX events_logs" in plan and "TEMP B-TREE" not in plan for plan in plans), plans


def test_flows_are_listed_by_name(read, add):
    add(tables.flows, flow="b", environment="", owners='["data"]', rules='[{"kind":"failed"}]')
    add(tables.flows, flow="a", environment="production", code='{"file":"a.py"}')
    first, second = reading.list_flows(read)
    assert (first.flow, first.code, second.owners, second.rules[0].kind) == ("a", {"file": "a.py"}, ("data",), "failed")


def test_an_empty_store_has_empty_stats(read):
    stats = reading.store_stats(read)
    assert (stats.head, stats.oldest, stats.cursors, stats.tables["events"].rows) == (0, None, (), 0)


def test_stats_tell_how_far_each_plugin_is(read, add, add_log, monkeypatch):
    add(tables.writers, id=1, name="w", kind="journal", dropped=3)
    add(tables.writers, id=2, name="plugin:alerts", kind="plugin")
    for _ in range(4):
        add_log("r1", "hello")
    add(tables.cursors, plugin="prometheus", seq=1, moved=START)
    add(tables.dead_events, plugin="prometheus", seq=1, at=START, attempts=3, error="no")
    monkeypatch.setattr(reading, "COUNTED", 3)
    stats = reading.store_stats(read)
    assert (stats.head, stats.oldest, stats.live_writers, stats.dropped) == (4, START, 1, 3)
    assert stats.tables["events"] == reading.Count(rows=3, more=True)
    assert stats.cursors == (reading.Cursor(plugin="prometheus", seq=1, lag_events=3, moved=START, dead_events=1),)


def test_what_is_told_of_a_run_is_found_by_its_own_index(read, add, plans):
    """Retries, measures and the like come whole; log lines and task runs, which are many, are passed over unread."""
    run, other, moment = new_id(), new_id(), START
    given = [
        FlowRunStarted(id=new_id(), time=moment, run=run, flow="f", name="brisk"),
        TaskRunStarted(id=new_id(), time=moment, run=run, task_run=new_id(), task="t"),
        LogRecorded(id=new_id(), time=moment, run=run, message="a line"),
        MeasureRecorded(id=new_id(), time=moment, run=run, name="rows", value=3.5, unit="1"),
        MeasureRecorded(id=new_id(), time=moment, run=other, name="another's"),
    ]
    for n, each in enumerate(given):
        columns = {name: getattr(each, name) or None for name in COLUMNS}
        add(tables.events, **columns, received=moment, writer=1, n=n, data=pack(encode(each), each))
    told = reading.list_told(read, run)
    assert [one.event for one in told] == [given[0], given[3]]
    assert [one.event for one in reading.list_told(read, run, after=told[0].seq)] == [given[3]]
    assert all("USING INDEX events_told" in plan and "TEMP B-TREE" not in plan for plan in plans), plans


def test_all_task_runs_are_counted_and_turned_over_page_by_page(read, add, add_run):
    """Where the list of runs stops counting at a thousand, the run's own page counts on."""
    run = add_run()
    ids = sorted(new_id() for _ in range(1203))
    for at, task_run in enumerate(ids):
        ended = START + SECOND if at % 2 else None
        add(tables.task_runs, run=run, id=task_run, task="t", state="running", changed=START, ended=ended, writer=1)
    assert reading.count_all_task_runs(read, run) == reading.TaskRunCount(total=1203, ended=601)
    assert reading.count_all_task_runs(read, run, most=10).total == 10
    assert [task.id for task in reading.list_task_runs(read, run, limit=1000, offset=1000)] == ids[1000:]
