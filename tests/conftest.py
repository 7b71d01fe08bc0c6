"""What holds for every test: a home of its own, nothing taken from outside, nothing left behind."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A bounded slice of the slow tests: fewer rounds, and no new slow test once the seconds are over.
SLICE = os.environ.get("FLOWTELL_TEST_SLICE", "all")
SLICE_SECONDS = float(os.environ.get("FLOWTELL_TEST_SECONDS", "inf"))
STARTED = time.monotonic()

POSTGRES = os.environ.get("FLOWTELL_TEST_POSTGRES", "postgresql://root@127.0.0.1/postgres")
"""A PostgreSQL server on which the tests may make and drop databases."""

FROM_OUTSIDE = ("FLOWTELL_", "OTEL_", "TRACEPARENT", "TRACESTATE", "BAGGAGE")
KEPT_BY_PYTHON = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
GRACE_SECONDS = 2.0


LIST = Path(__file__).parent / "slow.txt"
SLOW = frozenset(LIST.read_text().split() if LIST.exists() else ())
"""Tests that take their time, as `slow_tests.py` found."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those that are in the list. First of all: `-m` looks at the marks afterwards."""
    for item in items:
        if item.nodeid.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a slow test that would start after the slice's time."""
    if item.get_closest_marker("slow") and time.monotonic() - STARTED > SLICE_SECONDS:
        pytest.skip(f"the slice's {SLICE_SECONDS:.0f} s are over")


@pytest.fixture(scope="session")
def rounds() -> Callable[..., int]:
    """How often a test that kills or floods repeats itself: `rounds(full=100, ci=10)`."""
    return lambda *, full, ci: ci if SLICE == "ci" else full


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A FLOWTELL_HOME that exists and is empty; no other setting comes in from outside.

    What this process emits goes there too: a journal that the test made it open is closed with the home.
    """
    for name in list(os.environ):
        if name.startswith(FROM_OUTSIDE):
            monkeypatch.delenv(name)
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FLOWTELL_HOME", str(path))
    yield path
    if bus := sys.modules.get("flowtell.bus"):
        bus.renew()


@pytest.fixture(autouse=True)
def nothing_left_behind(home: Path) -> Iterator[None]:
    """Fail a test that leaves a thread or a process behind, and end the process.

    Daemon threads may stay, as they hold nobody's exit up. Processes are found where there is /proc: children of this
    one, and whoever carries the test's home in its environment, because a grandchild may have lost its parent.
    """
    threads, processes = _threads(), _processes(home)
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := (_threads() - threads, _processes(home) - processes)) != (set(), set()):
        if time.monotonic() > deadline:
            _fail(*left)
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command called in this process sends our log to stderr, and a plugin's flood is bounded by its name: not so for
    the next test's `caplog`.
    """
    logger = logging.getLogger("flowtell")
    before = logger.handlers[:], logger.propagate
    yield
    logger.handlers[:], logger.propagate = before
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("flowtell.plugin.")]:
        logging.getLogger(name).filters.clear()


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a PostgreSQL server's maintenance database, or a skip."""
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(POSTGRES, connect_timeout=2).close()
    except psycopg.Error as error:
        pytest.skip(f"no PostgreSQL at {POSTGRES} (FLOWTELL_TEST_POSTGRES): {str(error).splitlines()[0]}")
    return POSTGRES


@pytest.fixture
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database and gives its URL. They sort by a language, as many do, and are dropped with the test."""
    import psycopg
    from sqlalchemy import make_url

    made: list[str] = []
    with psycopg.connect(postgres_server, autocommit=True) as server:

        def make() -> str:
            name = f"flowtell_test_{os.getpid()}_{time.monotonic_ns()}"
            server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
            made.append(name)
            return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

        yield make
        for name in made:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _processes(home: Path) -> set[int]:
    numbers = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return {number for number in numbers if _belongs_here(number, os.fsencode(f"FLOWTELL_HOME={home}"))}


def _belongs_here(process: int, setting: bytes) -> bool:
    try:
        state, parent = Path(f"/proc/{process}/stat").read_bytes().rpartition(b") ")[2].split()[:2]
        if state == b"Z" or process == os.getpid():
            return False
        if int(parent) == os.getpid():
            return not any(name in _command(process) for name in KEPT_BY_PYTHON)
        return setting in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or somebody else's
        return False


def _command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").strip()


def _fail(threads: set[threading.Thread], processes: set[int]) -> None:
    names = [f"thread {thread.name}" for thread in threads]
    for process in processes:
        names.append(f"process {process}: {_command(process).decode(errors='replace')}")
        os.kill(process, signal.SIGKILL)
    pytest.fail(f"left behind: {'; '.join(names)}", pytrace=False)
