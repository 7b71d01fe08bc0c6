"""The drill: a backup while flows and a server are at work, the store lost, restored elsewhere, and everything goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from flowtell.store import open_store
from flowtell.store.tables import events, runs, task_runs

pytestmark = pytest.mark.slow

SCRIPT = Path(sys.executable).with_name("flowtell")
FLOWS = """
import sys, time
from flowtell import flow, task
@task
def one(n): return n
@flow(name="drill")
def drill(n): one(n); one(n)
print("begun", flush=True)
for n in range(int(sys.argv[1])):
    drill(n)
    if n == 300:
        print("loaded", flush=True)
    time.sleep(0.002)
"""


def flowtell(*words):
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=100, check=False)


def start_server():
    server = subprocess.Popen([SCRIPT, "up", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout.readline().startswith("address")
    return server


def start_flows(count):
    return subprocess.Popen([sys.executable, "-c", FLOWS, str(count)], stdout=subprocess.PIPE, text=True)


def wait_until_counted(url, wanted):
    """Until the totals have all of them, which never get more."""
    until = time.monotonic() + 60
    while (found := counted(url)) < wanted and time.monotonic() < until:
        time.sleep(0.2)
    return found


def counted(url):
    store = open_store(url, read_only=True)
    try:
        rows = store.read(text("SELECT data FROM prometheus_totals WHERE kind = 'flow'"))
        return sum(json.loads(row.data).get("ends", {}).get("completed", 0) for row in rows)
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_nothing_is_lost_or_doubled(kind, tmp_path, monkeypatch, request):
    """What a journal that is still there holds comes in once, what the backup holds stays: ids, places, runs and totals."""

    def place(name):
        return f"sqlite:///{tmp_path}/{name}.db" if kind == "sqlite" else request.getfixturevalue("new_database")()

    before, after, file = place("before"), place("after"), str(tmp_path / "backup")
    monkeypatch.setenv("FLOWTELL_QUIET", "1")
    monkeypatch.setenv("FLOWTELL_STORE", before)
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", "dashboard")
    assert start_flows(100).communicate(timeout=60)[0]  # its journal is deleted when it is in the store
    server = start_server()
    assert wait_until_counted(before, 100) == 100
    flows = start_flows(1500)
    assert [flows.stdout.readline() for _ in "ab"] == ["begun\n", "loaded\n"]
    made = flowtell("db", "backup", file)
    if "FT1413" in made.stderr:
        flows.kill()
        pytest.skip("no pg_dump")
    assert made.returncode == 0, made.stderr
    server.kill()  # and the store is lost with it
    server.communicate()
    monkeypatch.setenv("FLOWTELL_STORE", after)
    done = flowtell("db", "restore", file)
    assert done.returncode == 0, done.stderr
    restored = counted(after)
    assert 100 <= restored < 1600
    server = start_server()
    flows.communicate(timeout=60)
    assert wait_until_counted(after, 1600) == 1600
    server.terminate()
    server.communicate()
    store = open_store(after, read_only=True)
    count, distinct, first, last = store.read(
        select(func.count(), func.count(events.c.id.distinct()), func.min(events.c.seq), func.max(events.c.seq))
    )[0]
    assert (count, first) == (distinct, 1)
    assert last == count
    states = dict(tuple(row) for row in store.read(select(runs.c.state, func.count()).group_by(runs.c.state)))
    tasks = dict(tuple(row) for row in store.read(select(task_runs.c.state, func.count()).group_by(task_runs.c.state)))
    store.close()
    assert (states, tasks) == ({"completed": 1600}, {"completed": 3200})
    assert counted(after) == 1600


def test_the_writer_is_not_held_up_by_a_backup(tmp_path):
    """The copy is of one moment, though commits go on while it is made, and it does not begin anew for them."""
    from flowtell import events as e
    from flowtell.ids import new_id
    from flowtell.store.backup import back_up
    from flowtell.store.line import Line

    store = open_store(f"sqlite:///{tmp_path}/flowtell.db")

    def append(count):
        lines = [e.LogRecorded(id=new_id(), message="m" * 500) for _ in range(count)]
        with store.write() as transaction:
            writer = store.log.writer(transaction, "w", "journal")
            store.log.append(transaction, writer, [Line(one, e.encode(one), 0) for one in lines], time.time_ns() // 1000)

    for _ in range(60):
        append(1000)
    steps = []

    def meanwhile(done, total):
        append(10)
        steps.append((done, total))

    back_up(str(store.url), str(tmp_path / "backup.db"), meanwhile)
    copy = open_store(f"sqlite:///{tmp_path}/backup.db", read_only=True)
    assert copy.log.head() == 60_000
    assert store.log.head() == 60_000 + 10 * len(steps)
    assert len(steps) > 5
    assert steps == sorted(steps)
    assert len({total for _, total in steps}) == 1
    copy.close()
    store.close()
