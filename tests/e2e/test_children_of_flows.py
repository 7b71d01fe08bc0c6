"""A killed flow's child lives on: the flow's death is seen all the same, and nobody else's is."""

from __future__ import annotations

import os
import signal

import pytest

WAYS = [
    "fork",
    "fork that speaks",
    "double fork",
    "multiprocessing fork",
    "multiprocessing spawn",
    "multiprocessing forkserver",
    "subprocess",
    "subprocess with the descriptor",
    "fork behind Python",
]
SILENT = ("fork", "subprocess", "subprocess with the descriptor", "fork behind Python")


@pytest.fixture
def family(house):
    """Start one; its members are ended afterwards, by their group."""
    groups = []

    def start(way):
        process = house.writer("family.py", way, start_new_session=way != "double fork", stdin=-1, stdout=-1)
        groups.append(process)
        mark = house.folder / f"{process.side.name}.child"
        house.until(lambda: mark.exists() or process.poll() is not None, what=f"the child by {way}")
        assert process.poll() is None, house.errors()
        process.child = int(mark.read_text() or 0)
        return process

    yield start
    for process in groups:
        for end in (lambda p: os.killpg(p.pid, signal.SIGKILL), lambda p: p.child and os.kill(p.child, signal.SIGKILL)):
            try:
                end(process)
            except (ProcessLookupError, AttributeError):
                pass
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def states(house):
    return dict(house.sql("SELECT flow, state FROM runs"))


def test_every_way_to_have_a_child(house, family):
    """The parent's run and open task run crash within five seconds; the child's run goes on until it ends itself."""
    house.server()
    for way in WAYS:
        process = family(way)
        house.until(lambda: states(house).get("parent") == "running", what=f"{way}: the parent's run")
        if way not in SILENT:
            house.until(lambda: states(house).get("child") == "running", what=f"{way}: the child's run")
        house.kill(process)
        house.until(lambda: states(house)["parent"] == "crashed", 5, f"{way}: the parent's end")
        if process.child:
            os.kill(process.child, 0)  # it lives
        if way not in SILENT:
            assert states(house)["child"] == "running", way
            open_tasks = dict(house.sql("SELECT flow, state FROM task_runs WHERE flow <> 'past'"))
            assert open_tasks == {"parent": "crashed", "child": "running"}
            os.kill(process.child, signal.SIGKILL)
            house.until(lambda: states(house)["child"] == "crashed", 5, f"{way}: the child's end")
        forget(house)
    house.check_nothing_lost()


def test_the_childs_end_is_not_its_parents(house, family):
    """Whoever of the two ends first."""
    house.server()
    process = family("fork that speaks")
    house.until(lambda: states(house) == {"parent": "running", "child": "running"}, what="both runs")
    os.kill(process.child, signal.SIGKILL)
    house.until(lambda: states(house)["child"] == "crashed", 5, "the child's end")
    assert states(house)["parent"] == "running"
    assert process.poll() is None


def test_a_process_that_becomes_another(house):
    """Exec of itself: the runs of the old programme are over, those of the new one are not."""
    house.server()
    process = house.writer("family.py", "exec of itself", stdin=-1)
    house.until(lambda: states(house).get("child") == "running", what="the new programme's run")
    house.until(lambda: states(house)["parent"] == "crashed", 5, "the old programme's end")
    assert states(house)["child"] == "running"
    house.kill(process)
    process.stdin.close()
    house.until(lambda: states(house)["child"] == "crashed", 5, "the new programme's end")


def forget(house):
    """Runs of this way are not the next one's: rename them, by hand, as nobody else may."""
    import sqlite3

    connection = sqlite3.connect(house.home / "flowtell.db", timeout=20)
    for table in ("runs", "task_runs"):
        connection.execute(f"UPDATE {table} SET flow = 'past'")
    connection.commit()
    connection.close()
