"""The process around a flow: its folder, server, trace, terminal and import."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowtell import bind, current_run, flow, task
from flowtell.events import Event, FlowRunStarted, TaskRunStarted
from flowtell.testing import recorder

Script = Callable[..., "subprocess.Popen[str]"]


@flow
def nightly() -> int:
    return 1


def test_a_flow_runs_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One warning, which says what to do; the result is what it always was."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "file"))
    assert [nightly() for _ in range(3)] == [1, 1, 1]
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert "Flows run on, their events are dropped and counted" in errors
    assert "[FT1202]" in errors


def test_a_flow_ends_with_one_line(capfd: pytest.CaptureFixture[str], home: Path) -> None:
    """What ran, how it ended, how long it took, where to look; for a root flow alone."""

    @flow
    def outer() -> None:
        nightly()

    with recorder() as seen:
        outer()
    run = seen.of(FlowRunStarted)[0].run
    line = capfd.readouterr().err
    assert re.fullmatch(rf"flowtell: flow outer completed in \d+ ms · flowtell runs {run[:12]}\n", line)


def test_the_line_is_left_out_where_a_server_reads_along(capfd: pytest.CaptureFixture[str], home: Path) -> None:
    """Who holds the ingest lock of this home shows the run elsewhere."""
    lock = os.open(home / "ingest.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    nightly()
    assert capfd.readouterr().err == ""
    os.close(lock)
    nightly()
    assert "flow nightly completed" in capfd.readouterr().err


def test_the_line_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """By `FLOWTELL_QUIET=1`."""
    monkeypatch.setenv("FLOWTELL_QUIET", "1")
    nightly()
    assert capfd.readouterr().err == ""


def test_a_called_flow_joins_its_callers_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TRACEPARENT` names it; one that is no such header is passed over."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-00f067aa0ba902b7-01")
    with recorder() as seen:
        nightly()
        monkeypatch.setenv("TRACEPARENT", f"00-{'0' * 32}-00f067aa0ba902b7-01")
        nightly()
    first, second = seen.of(FlowRunStarted)
    assert first.trace == trace
    assert second.trace == second.run


def test_a_pool_of_ones_own_can_be_bound() -> None:
    """A plain thread knows no run; a bound function takes its caller's along."""
    from concurrent.futures import ThreadPoolExecutor

    def look() -> str | None:
        run = current_run()
        return run and run.flow

    @flow
    def pooled() -> tuple[str | None, str | None]:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(look).result(), pool.submit(bind(look)).result()

    assert pooled() == (None, "pooled")


def test_a_trivial_task_leaves_little(home: Path) -> None:
    """What equals a default, the journal's header or the flow run is not repeated on a line."""

    @task
    def trivial(x: int) -> int:
        return x

    @flow
    def many() -> None:
        for number in range(100):
            trivial(number)

    many()
    [journal] = home.glob("journals/*.jsonl")
    lines = [line for line in journal.read_bytes().splitlines() if b'"type":"task_run.' in line]
    assert len(lines) == 200
    assert sum(map(len, lines)) / 100 < 540


def test_the_journal_holds_what_was_emitted(journaled: Callable[[], list[Event]]) -> None:
    """Line by line the same events as in process."""
    with recorder() as seen:
        nightly()
    assert journaled() == sorted(seen.events, key=lambda event: event.time)
    assert [event.type for event in seen.of(TaskRunStarted)] == []


def test_importing_flowtell_loads_little() -> None:
    """Msgspec and the standard library; no loop, no logging, no thread, no plugin, no database."""
    code = "import sys, msgspec; before = set(sys.modules); import flowtell; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    own = {name for name in loaded if name.partition(".")[0] == "flowtell"}
    assert set(loaded) - own <= {
        "_contextvars",
        "contextvars",
        "copy",
        "fcntl",
        "resource",
        "__future__",
        "weakref",
        "_weakrefset",
    }
    assert not {
        name for name in own if name.startswith(("flowtell.cli", "flowtell.server", "flowtell.store", "flowtell.config"))
    }
