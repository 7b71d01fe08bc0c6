"""Tasks that count together: hooks in order at the block's end, and after a kill at the flow's next start."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from flowtell import flow, task
from flowtell.events import Event, LogRecorded
from flowtell.testing import Recorder, recorder
from flowtell.transactions import Transaction, get_transaction, transaction


class World:
    """Tasks whose hooks are noted."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.work = task(self._work, name="work")
        self.work.on_commit(lambda part: self.noted.append(f"kept {part.get('name')}"))
        self.work.on_rollback(lambda part: self.noted.append(f"undone {part.get('name')}"))

    def _work(self, name: str, seconds: float = 0.0) -> str:
        block = get_transaction()
        if block is not None:
            block.set("name", name)
        time.sleep(seconds)
        if name == "bad":
            raise ValueError("bad")
        return name


@pytest.fixture
def world() -> World:
    return World()


def told(seen: Recorder) -> list[tuple[str, str, tuple[str, ...]]]:
    kinds = [one for one in seen.events if one.type.startswith("transaction.")]
    return [(one.type.partition(".")[2], one.key, one.tasks) for one in kinds]  # type: ignore[attr-defined]


# --- both ends


def test_a_block_that_ends_well_commits_in_order(world: World) -> None:
    """Each hook has the values that its own run kept."""

    @flow
    def good() -> None:
        with transaction("orders"):
            world.work("a")
            world.work("b")
            assert world.noted == []

    with recorder() as seen:
        good()
    assert world.noted == ["kept a", "kept b"]
    assert told(seen) == [("begun", "orders", ()), ("committed", "orders", ("work", "work"))]
    begun, committed = [one for one in seen.events if one.type.startswith("transaction.")]
    assert (committed.caused_by, committed.flow) == (begun.id, "good")


def test_a_block_that_raises_is_undone_the_last_first(world: World) -> None:
    """What failed itself has no part in it, and the exception goes on unchanged."""

    @flow
    def broken() -> None:
        with transaction():
            world.work("a")
            world.work("b")
            world.work("bad")

    with recorder() as seen, pytest.raises(ValueError, match="bad"):
        broken()
    assert world.noted == ["undone b", "undone a"]
    assert told(seen) == [("begun", "", ()), ("rolled_back", "", ("work", "work"))]


def test_submitted_tasks_are_waited_for(world: World) -> None:
    """Whichever way it ends: each run's values are its own."""

    @flow
    def spread(fails: bool) -> None:
        with transaction():
            world.work.map(["a", "b"], 0.05)
            if fails:
                raise ValueError("no")

    spread(False)
    assert sorted(world.noted) == ["kept a", "kept b"]
    world.noted.clear()
    with pytest.raises(ValueError, match="no"):
        spread(True)
    assert sorted(world.noted) == ["undone a", "undone b"]


def test_an_inner_block_is_decided_with_the_outer(world: World) -> None:
    """One that raises is undone at once, and the outer goes on where that is caught."""

    @flow
    def nested(fails: bool) -> None:
        with transaction() as outer:
            outer.set("name", "outer")
            world.work("a")
            with suppress(ValueError), transaction():
                world.work("x")
                world.work("bad")
            with transaction() as inner:
                assert inner.get("name") == "outer"
                world.work("b")
            if fails:
                raise RuntimeError("late")

    nested(False)
    assert world.noted == ["undone x", "kept a", "kept b"]
    world.noted.clear()
    with recorder() as seen, pytest.raises(RuntimeError, match="late"):
        nested(True)
    assert world.noted == ["undone x", "undone b", "undone a"]
    ends = [one for one in told(seen) if one[0] != "begun"]
    assert ends == [("rolled_back", "", names) for names in (("work",), ("work",), ("work", "work"))]


def test_a_commit_hook_that_raises_rolls_back(world: World) -> None:
    """All of it, and what it raised comes out of the block."""

    @world.work.on_commit
    def refuses(part: Transaction) -> None:
        if part.get("name") == "b":
            raise OSError("disk full")

    @flow
    def late() -> None:
        with transaction():
            world.work("a")
            world.work("b")

    with recorder() as seen, pytest.raises(OSError, match="disk full"):
        late()
    assert world.noted == ["kept a", "kept b", "undone b", "undone a"]
    assert [kind for kind, _, _ in told(seen)] == ["begun", "rolled_back"]


def test_a_rollback_hook_that_raises_leaves_doubt(world: World) -> None:
    """The others are undone all the same, and the event names whose it was."""

    @task(name="stuck")
    def stuck() -> None: ...

    @stuck.on_rollback
    async def refuses(_: Transaction) -> None:
        raise OSError("gone")

    @flow
    def late() -> None:
        with transaction("k"):
            world.work("a")
            stuck()
            raise ValueError("no")

    with recorder() as seen, pytest.raises(ValueError, match="no"):
        late()
    assert world.noted == ["undone a"]
    assert told(seen)[-1] == ("in_doubt", "k", ("stuck",))
    assert "raised OSError: gone" in seen.of(LogRecorded)[0].message


def test_a_key_is_committed_once(world: World) -> None:
    """The second finds it done, unless it is to be done anew."""

    @flow
    def once(overwrite: bool = False) -> str:
        with transaction("day-1", overwrite=overwrite) as block:
            if block.is_committed():
                return "done before"
            world.work("a")
        return "done"

    assert [once(), once(), once(overwrite=True)] == ["done", "done before", "done"]


def test_outside_of_blocks_and_flows(world: World) -> None:
    """A task that completed outside of a block is committed; a block works outside of flows; async flows have blocks too."""
    task(lambda: None).with_options(on_commit=[lambda _: world.noted.append("alone")])()
    with transaction():
        world.work("a")
    assert (world.noted, get_transaction()) == (["alone", "kept a"], None)

    @flow
    async def soon() -> None:
        with transaction() as block:
            assert get_transaction() is block
            world.work("b")

    asyncio.run(soon())
    assert world.noted[-1] == "kept b"


def test_nothing_is_left_on_disk(world: World, home: Any) -> None:
    """Once all is decided."""

    @flow
    def good() -> None:
        with transaction():
            assert len(list((home / "transactions").rglob("*.jsonl"))) == 1
            world.work("a")

    good()
    assert not (home / "transactions").exists()


# --- a kill

SCRIPT = """
    import os, signal, sys, time
    from pathlib import Path
    from flowtell import flow, task
    from flowtell.transactions import get_transaction, transaction

    FOLDER = Path({folder!r})
    killed_in = os.environ.get("KILLED_IN", "")

    def reached(place):
        if place == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)

    @task
    def write(name):
        get_transaction().set("path", FOLDER / name)
        (FOLDER / name).touch()
        reached(f"task {{name}}")

    @write.on_rollback
    def unlink(part):
        part.get("path").unlink()
        with open(FOLDER / "undone", "a") as file:
            file.write(part.get("path").name + "\\n")
        reached(f"rollback {{part.get('path').name}}")

    @write.on_commit
    def keep(part):
        reached(f"commit {{part.get('path').name}}")

    @flow
    def load(writes):
        if not writes:
            return
        with transaction("load"):
            write("a")
            write("b")
            reached("block")
            if killed_in.startswith("rollback"):
                raise ValueError("no")

    load(len(sys.argv) == 1 and killed_in != "")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_in", "ends"),
    [
        ("block", ("rolled_back", ("write", "write"), [])),
        ("task b", ("in_doubt", ("write",), ["b"])),
        ("rollback b", ("in_doubt", ("write",), [])),
        ("commit a", ("in_doubt", ("write", "write"), ["a", "b"])),
        ("commit b", ("in_doubt", ("write",), ["a", "b"])),
    ],
)
def test_after_a_kill_the_next_start_ends_it(
    script: Callable[..., Any],
    journaled: Callable[[], list[Event]],
    tmp_path: Any,
    killed_in: str,
    ends: tuple[str, tuple[str, ...], list[str]],
) -> None:
    """Undone, or said to be in doubt where nobody can tell; once, as an event of the killed run, and the log says so."""
    how, tasks, left = ends
    data = tmp_path / "data"
    data.mkdir()
    code = SCRIPT.format(folder=str(data))
    killed = script(code, KILLED_IN=killed_in)
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    for _ in range(2):
        again = script(code)
        again.communicate(timeout=30)
        assert again.returncode == 0
    events: list[Any] = [one for one in journaled() if one.type.startswith("transaction.")]
    assert [one.type for one in events] == ["transaction.begun", f"transaction.{how}"]
    begun, end = events
    assert (end.run, end.key, end.tasks, end.caused_by) == (begun.run, "load", tasks, begun.id)
    assert sorted(path.name for path in data.iterdir() if path.name != "undone") == left
    lines: list[Any] = [one for one in journaled() if one.type == "log.recorded"]
    assert any(f"of run {begun.run}, which was killed, is {how.replace('_', ' ')} now" in one.message for one in lines)
