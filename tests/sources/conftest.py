"""Commands as `flowtell exec` runs them, and the runs that they became."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowtell.config import load
from flowtell.server.catch_up import catch_up
from flowtell.store import open_store
from flowtell.store.reading import LogLine, Run, list_logs, list_runs

SCRIPT = Path(sys.executable).with_name("flowtell")


@pytest.fixture(autouse=True)
def signals_as_in_a_shell() -> Iterator[None]:
    """A process started here gets its signals, also where the tests' own process was told to ignore them."""
    ignored = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)  # a handler, unlike SIG_IGN, does not go on to the child
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


class Wrapped:
    """`flowtell exec --flow job` before a command."""

    def run(self, *command: str, options: tuple[str, ...] = (), **settings: Any) -> subprocess.CompletedProcess[bytes]:
        words = [SCRIPT, "exec", "--flow", "job", *options, "--", *command]
        return subprocess.run(words, check=False, timeout=60, **{"capture_output": True, **settings})

    def start(self, *command: str, options: tuple[str, ...] = (), **settings: Any) -> subprocess.Popen[bytes]:
        words = [SCRIPT, "exec", "--flow", "job", *options, "--", *command]
        return subprocess.Popen(words, **{"stdout": subprocess.PIPE, **settings})


@pytest.fixture
def wrapped() -> Wrapped:
    return Wrapped()


class Observed:
    """What the log knows by now."""

    def __init__(self) -> None:
        config = load({"plugins.disable": "alerts,dashboard,jsonlines,lineage,notifications,prometheus"})
        assert not catch_up(config, timeout=10).message
        store = open_store(config.store_url, read_only=True)
        self.runs: list[Run] = list_runs(store.read)
        self.logs: list[LogLine] = [line for run in self.runs for line in list_logs(store.read, run.id)]
        store.close()


@pytest.fixture
def the_run():
    """The one run that there is."""

    def look() -> Run:
        (run,) = Observed().runs
        return run

    return look


@pytest.fixture
def the_events():
    """What the journals of this home say, of one type."""

    def look(type: str) -> list[dict[str, Any]]:
        lines = [
            line for path in (Path(load().home) / "journals").glob("*.jsonl") for line in path.read_bytes().splitlines()
        ]
        return [event for line in lines if (event := json.loads(line))["type"] == type]

    return look


@pytest.fixture
def the_logs():
    return lambda: Observed().logs
