"""The command line as a user has it: in this process where that is enough, else as a process, in a pipe or a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowtell import bus, flow, get_run_logger, task
from flowtell.cli import main

SCRIPT = Path(sys.executable).with_name("flowtell")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def plain(self) -> str:
        """What stands on the terminal, without colours and weights."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.out)

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def own_bus(home, monkeypatch):
    """A journal of one's own, and no plugins: these tests are about the commands."""
    names = ",".join(sorted({entry.name for entry in entry_points(group="flowtell.plugins")}))
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", names)
    monkeypatch.setenv("FLOWTELL_QUIET", "1")
    monkeypatch.setenv("FLOWTELL_DEBUG", "")  # `--debug` sets it
    bus.renew()
    yield
    bus.renew()


@pytest.fixture
def flowtell(capfd):
    """Run one command line here."""

    def run(*words: str) -> Outcome:
        capfd.readouterr()
        code = main(words)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def shell():
    """Run one command line as a process, with what `subprocess.run` takes."""

    def run(*words: str, **options: Any) -> Outcome:
        done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=60, check=False, **options)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def terminal():
    """Run one command line in a terminal of a width; what it shows, both streams together, colours left in."""

    def run(*words: str, columns: int = 80, **variables: str) -> Outcome:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        environ |= {"TERM": "xterm-256color", **variables}
        process = subprocess.Popen([SCRIPT, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        shown = read_all(ours)
        os.close(ours)
        return Outcome(process.wait(30), shown.replace("\r\n", "\n"), "")

    return run


@pytest.fixture
def asked_on_a_terminal():
    """Run one command line in a terminal, and type a line whenever it asks for one; what it shows."""

    def run(*words: str, typed: list[str]) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        process = subprocess.Popen([SCRIPT, *words], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        for line in typed:
            while not shown.endswith(b": "):
                shown += os.read(ours, 65536)
            os.write(ours, line.encode() + b"\n")
            shown += os.read(ours, 65536)
        shown += read_all(ours).encode()
        os.close(ours)
        process.wait(30)
        return shown.decode()

    return run


def read_all(descriptor: int) -> str:
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # Linux says so of a terminal that nobody holds any more
        pass
    return b"".join(parts).decode()


@task
def extract(day: str) -> list[int]:
    get_run_logger().warning("three rows\nof %s", day)
    return [1, 2, 3]


@flow(name="nightly", tags=["shop"])
def nightly(day: str = "monday") -> int:
    return len(extract(day))


@flow(name="broken")
def broken() -> None:
    raise ValueError("no rows")


@pytest.fixture
def signals_as_in_a_shell():
    """A process started here gets its signals, also where the tests' own process was told to ignore them."""
    ignored = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)  # a handler, unlike SIG_IGN, does not go on to the child
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def history() -> None:
    """Two runs, by real flows: one that completed, then one that failed."""
    nightly("tuesday")
    with pytest.raises(ValueError, match="no rows"):
        broken()
    bus.renew()
