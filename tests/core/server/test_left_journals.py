"""What dead processes left is taken in many at once, and it is as if each had been read by itself."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.journal import Header, encode_header
from flowtell.server import ingest
from flowtell.server.ingest import Ingester
from flowtell.store import open_store
from flowtell.store.tables import events, rejected, runs, task_runs, writers

NOW = 1_790_000_000_000_000


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request, home):
    url = f"sqlite:///{home}/flowtell.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    made = open_store(url)
    made.keep_house(NOW)
    yield made
    made.close()


def leave(home: Path, *lines: bytes, end: bytes = b"", writer: str = "", **facts: object) -> Path:
    """A journal whose writer has gone."""
    writer = writer or new_id()
    header = Header(**{"writer": writer, "pid": 4_000_000, "time": NOW, "machine": "gone", "environment": "test", **facts})
    folder = home / "journals"
    folder.mkdir(exist_ok=True)
    path = folder / f"{writer}-4000000.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in (encode_header(header).encode(), *lines)) + end)
    os.utime(path, (NOW / 1e6, NOW / 1e6))
    return path


def started(run: str, **fields: object) -> bytes:
    return e.encode(e.FlowRunStarted(id=new_id(), time=NOW, run=run, flow="f", **fields))


def task_started(run: str, task_run: str) -> bytes:
    return e.encode(e.TaskRunStarted(id=new_id(), time=NOW, run=run, flow="f", task_run=task_run, task="t"))


def finished(run: str, state: str = "completed") -> bytes:
    return e.encode(e.FlowRunFinished(id=new_id(), time=NOW + 5, run=run, flow="f", state=state))


def take_in(store, home: Path) -> None:
    ingester = Ingester(store, str(home), lambda: NOW + 1_000_000)
    until = time.monotonic() + 20
    while ingester.step() and time.monotonic() < until:
        pass
    ingester.delete_ended()
    ingester.close()


def transactions(store, monkeypatch) -> list[int]:
    """The events of each write transaction from now on."""
    made: list[int] = []
    write = store.write

    def counted():
        made.append(0)
        return write()

    monkeypatch.setattr(store, "write", counted)
    return made


def states(store) -> dict[str, str]:
    return {row.id: row.state for row in store.read(select(runs.c.id, runs.c.state))}


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "journals").glob("*.jsonl"))


# --- as if one by one ----------------------------------------------------------------------------------------------

RUNS = [new_id() for _ in range(3)]
TASKS = {run: [new_id(), new_id()] for run in RUNS}
NAMES = [new_id() for _ in range(5)]  # the newest is read first
SHARED = [
    started(RUNS[0]),
    finished(RUNS[0]),
    task_started(RUNS[0], TASKS[RUNS[0]][0]),
]  # the same events in several journals
LINES = st.one_of(
    st.sampled_from(SHARED),
    st.sampled_from([b"{}", b"\xff", b'{"type":"journal.dropped","count":3}', b""]),
    st.builds(started, st.sampled_from(RUNS)),
    st.sampled_from([(run, task_run) for run in RUNS for task_run in TASKS[run]]).map(lambda pair: task_started(*pair)),
    st.builds(finished, st.sampled_from(RUNS), st.sampled_from(["completed", "failed"])),
)
JOURNALS = st.lists(st.tuples(st.lists(LINES, max_size=6), st.sampled_from([b"", b'{"type":"log.rec'])), max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journals=JOURNALS, elsewhere=st.booleans())
def test_together_is_as_one_by_one(tmp_path_factory, journals, elsewhere):
    """The same events, refused lines and facts of each writer, every run and task run ended; the files are gone."""
    told = []
    for small in (ingest.SMALL_BYTES, -1):  # -1: each is too long to be taken in with others
        home = tmp_path_factory.mktemp("home")
        store = open_store(f"sqlite:///{home}/flowtell.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingest, "SMALL_BYTES", small)
            for (lines, end), writer in zip(journals, NAMES, strict=False):
                leave(home, *lines, end=end, writer=writer, elsewhere=elsewhere)
            take_in(store, home)
        assert left_over(home) == []
        told.append(summary(store))
        store.close()
    together, alone = told
    assert together == alone


def summary(store) -> object:
    """What must be the same; a crash is judged after all was read, or of each by itself, so contrary ends may differ."""
    facts = select(writers.c.events, writers.c.rejected, writers.c.dropped, writers.c.ended, writers.c.skew)
    per_writer = sorted(map(tuple, store.read(facts.where(writers.c.kind == "journal"))), key=repr)
    told = {event.id for event in store.log.read(0) if event.writer != "ingest"}
    open_ = [len(store.read(select(table).where(table.c.ended.is_(None)))) for table in (runs, task_runs)]
    lines = sorted((row.n, row.line, row.problem) for row in store.read(select(rejected)))
    return per_writer, told, open_, lines


def test_a_hundred_cost_one_transaction(store, home, monkeypatch):
    """Each had cost three."""
    for number in range(100):
        leave(home, started(f"run{number}"), task_started(f"run{number}", f"task{number}"), end=b"{torn")
    made = transactions(store, monkeypatch)
    take_in(store, home)
    assert len(made) == 1
    assert set(states(store).values()) == {"crashed"}
    assert [row.state for row in store.read(select(task_runs.c.state))] == ["crashed"] * 100
    assert len(store.read(select(rejected))) == 100
    assert {(row.events, row.rejected, bool(row.ended)) for row in store.read(select(writers)) if row.kind == "journal"} == {
        (2, 1, True)
    }
    assert left_over(home) == []
    seqs = [event.seq for event in store.log.read(0, 1000)]
    assert seqs == list(range(1, 401))
    assert [event.n for event in store.log.read(0, 1000, ["flow_run.finished", "task_run.finished"])] == list(range(200))


def test_each_event_is_its_own_writers(store, home):
    """Writer, environment and source of an event are those of the journal that it came in."""
    paths = [leave(home, started(f"run{n}"), environment=f"env{n}", source=f"source{n}") for n in range(3)]
    take_in(store, home)
    found = {event.run: event for event in store.log.read(0, types=["flow_run.started"])}
    for n, path in enumerate(paths):
        event = found[f"run{n}"]
        assert (event.environment, event.source) == (f"env{n}", f"source{n}")
        assert path.name.startswith(event.writer)
    of_run = {row.id: row.writer for row in store.read(select(runs.c.id, runs.c.writer))}
    name = {row.id: row.name for row in store.read(select(writers.c.id, writers.c.name))}
    assert {run: name[writer] for run, writer in of_run.items()} == {run: event.writer for run, event in found.items()}


def test_an_end_in_anothers_journal_is_no_crash(store, home):
    """Two processes wrote of one run: what the second says of its end is read before anybody judges."""
    leave(home, finished("run"))
    leave(home, started("run"))
    take_in(store, home)
    assert states(store) == {"run": "completed"}
    assert len(store.log.read(0)) == 2


# --- what cannot be taken in with others ---------------------------------------------------------------------------


def test_one_line_that_the_store_cannot_hold_costs_only_itself(store, home):
    """A number beyond 64 bits: the journals beside it are taken in as ever, and so are its other lines."""
    poison = started("bad").replace(str(NOW).encode(), b"%d" % 2**70)
    for number in range(5):
        leave(home, started(f"run{number}"))
    leave(home, started("beside"), poison, finished("beside"))
    take_in(store, home)
    assert states(store).items() >= {f"run{n}": "crashed" for n in range(5)}.items()
    assert states(store)["beside"] == "completed"
    assert left_over(home) == []


def test_a_copy_adds_nothing(store, home):
    """Of a journal that was taken in before, and of one beside it."""
    first = leave(home, started("a"), finished("a"))
    copy = first.read_bytes()
    take_in(store, home)
    (home / "journals" / first.name).write_bytes(copy)
    (home / "journals" / f"{new_id()}-1.jsonl").write_bytes(copy)
    second = leave(home, started("b"), finished("b"))
    (home / "journals" / f"{new_id()}-2.jsonl").write_bytes(second.read_bytes())
    take_in(store, home)
    assert len(store.read(select(events))) == 4
    assert states(store) == {"a": "completed", "b": "completed"}
    assert left_over(home) == []


def test_one_that_has_grown_is_read_on(store, home):
    """From the place that the log knows, as when a server was killed before it had deleted it: nothing counts twice."""
    path = leave(home, started("a"), b"garbage")
    content = path.read_bytes()
    take_in(store, home)
    path.write_bytes(content + finished("a") + b"\n")
    take_in(store, home)
    assert len(store.read(select(rejected))) == 1
    assert [event.type for event in store.log.read(0)] == ["flow_run.started", "flow_run.finished", "flow_run.finished"]
    assert [(row.events, row.rejected, row.place) for row in store.read(select(writers)) if row.kind == "journal"] == [
        (2, 1, len(content + finished("a")) + 1)
    ]


def test_a_failing_store_leaves_all_for_the_next_pass(store, home, monkeypatch):
    """Nothing of them is in the log, no lock is left behind, and they are taken in when it is well again."""
    paths = [leave(home, started(f"run{n}")) for n in range(10)]
    ingester = Ingester(store, str(home), lambda: NOW)
    with monkeypatch.context() as patch:
        patch.setattr(store.log, "append_all", fails)
        with pytest.raises(OperationalError):
            ingester.step()
    assert store.log.read(0) == []
    assert store.read(select(writers)) == []
    for path in paths:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    while ingester.step():
        pass
    ingester.close()
    assert len(states(store)) == 10


def fails(*_, **__):
    raise OperationalError("INSERT", {}, Exception("disk full"))


def test_one_that_is_held_is_nobodys_death(store, home, monkeypatch):
    """A process that took the lock after it was looked at: its journal is followed, and its run goes on."""
    dead, alive = leave(home, started("dead")), leave(home, started("alive"))
    monkeypatch.setattr(ingest, "is_locked", lambda path: False)
    with alive.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        take_in(store, home)
        assert states(store) == {"dead": "crashed", "alive": "running"}
        assert left_over(home) == [alive.name]
    assert not dead.exists()
    take_in(store, home)
    assert states(store) == {"dead": "crashed", "alive": "crashed"}


def test_a_long_one_is_read_by_itself(store, home):
    """In batches of its own, so that no transaction grows beyond its bound."""
    leave(home, *[started(f"long{n}") for n in range(300)])
    leave(home, started("short"))
    take_in(store, home)
    assert len(states(store)) == 301
    assert set(states(store).values()) == {"crashed"}
    assert left_over(home) == []


def test_few_files_are_open_at_once(store, home, monkeypatch):
    """Those that are to be deleted are, before a process has opened more files than it may."""
    for number in range(350):
        leave(home, started(f"run{number}"))
    most = 0
    ingester = Ingester(store, str(home), lambda: NOW)
    take = ingester._take_in

    def watched(tails):
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        take(tails)

    monkeypatch.setattr(ingester, "_take_in", watched)
    before = len(os.listdir("/proc/self/fd"))
    while ingester.step():
        pass
    ingester.close()
    assert len(states(store)) == 350
    assert most - before < 250
