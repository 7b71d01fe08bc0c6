"""Of processes that want one key, one computes: the others wait for it, and take over from one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowtell.events import TaskRunFinished, TaskRunWaiting

SCRIPT = """
import os, sys, time
from pathlib import Path
from flowtell import flow, task
from flowtell.cache_policies import INPUTS

here = Path(os.environ["HERE"])

@task(cache_policy=INPUTS)
def slow(x):
    (here / f"computed-{os.getpid()}").touch()
    for _ in range(600):
        if (here / "go").exists():
            return [x, "by one"]
        time.sleep(0.02)

@task(cache_policy=INPUTS)
async def slow_async(x):
    import asyncio
    return await asyncio.to_thread(slow.fn, x)

@flow
def main():
    return slow(1)

print(main())
"""

pytestmark = pytest.mark.slow


def _until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def _ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    return [process.communicate(timeout=60)[0].strip() for process in processes]


def test_of_three_processes_one_computes(script: Any, journaled: Any, tmp_path: Path) -> None:
    """The others say whom they wait for, and end as cached with the same value."""
    processes = [script(SCRIPT, HERE=str(tmp_path)) for _ in range(3)]
    _until(lambda: sum(type(event) is TaskRunWaiting for event in journaled()) == 2)
    (tmp_path / "go").touch()
    assert _ended(processes) == ["[1, 'by one']"] * 3
    assert len(list(tmp_path.glob("computed-*"))) == 1
    finished = [event for event in journaled() if type(event) is TaskRunFinished]
    assert sorted(event.state for event in finished) == ["cached", "cached", "completed"]
    [computed] = [event for event in finished if event.state == "completed"]
    assert {event.cached_from for event in finished} == {"", computed.task_run}
    for waiting in (event for event in journaled() if type(event) is TaskRunWaiting):
        [on] = waiting.on
        assert (waiting.reason, on.kind, on.runs) == ("dependency", "cache_key", (computed.run,))


def test_who_waits_takes_over_from_a_killed_one(script: Any, journaled: Any, tmp_path: Path) -> None:
    first = script(SCRIPT, HERE=str(tmp_path))
    _until(lambda: list(tmp_path.glob("computed-*")))
    second = script(SCRIPT, HERE=str(tmp_path))
    _until(lambda: any(type(event) is TaskRunWaiting for event in journaled()))
    os.kill(first.pid, signal.SIGKILL)
    _until(lambda: len(list(tmp_path.glob("computed-*"))) == 2)
    (tmp_path / "go").touch()
    assert _ended([second]) == ["[1, 'by one']"]
    first.communicate()


def test_a_killed_run_leaves_nothing_that_is_believed(script: Any, home: Path, tmp_path: Path) -> None:
    """Killed again and again in the middle of keeping: no run ever takes half a value."""
    code = """
    import os
    from flowtell import task
    from flowtell.cache_policies import INPUTS

    @task(cache_policy=INPUTS, refresh_cache=True)
    def big(x):
        return bytes([x]) * 20_000_000

    @task(cache_policy=INPUTS)
    def kept(x):
        return b"none was kept"

    big.fn.__qualname__ = kept.fn.__qualname__ = "one"  # they share their key
    if os.environ.get("READ"):
        value = kept(7)
        print(len(value), value[:1])
    else:
        print("begun", flush=True)
        while True:
            big(7)
    """
    for wait in (0.05, 0.12, 0.2):
        writer = script(code)
        assert writer.stdout.readline() == "begun\n"
        time.sleep(wait)
        writer.kill()
        writer.communicate()
    reader = script(code, READ="1")
    out, err = reader.communicate(timeout=60)
    assert out.strip() in ("20000000 b'\\x07'", "13 b'n'")
    assert "FT1322" not in err
