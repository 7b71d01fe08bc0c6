"""Up to when everything is in the log: what an absence is judged by."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.journal import Header, encode_header
from flowtell.server.ingest import Ingester
from flowtell.server.tail import CHUNK
from flowtell.store import open_store
from flowtell.testing import FakeClock


@pytest.fixture
def ingester(home):
    clock = FakeClock()
    store = open_store(f"sqlite:///{home}/flowtell.db")
    made = Ingester(store, str(home), clock)
    yield made, clock
    made.close()
    store.close()


@pytest.fixture
def journal(home):
    """Held by its writer, which lives."""
    path = home / "journals" / f"{new_id()}-{os.getpid()}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_header(Header(writer=path.name.partition("-")[0], pid=os.getpid())).encode() + b"\n")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield path


def write(path: Path, message: str = "on and on") -> None:
    with path.open("ab") as file:
        file.write(e.encode(e.LogRecorded(id=new_id(), time=1, message=message)) + b"\n")


def test_a_writer_that_never_rests_is_read_to_where_it_was(journal, ingester, monkeypatch):
    """What came while a pass went on is the next one's business: else a busy machine would never be known to be complete."""
    made, clock = ingester
    read_on = made._read_on

    def read_and_grow(followed):
        moved = read_on(followed)
        write(journal)
        return moved

    monkeypatch.setattr(made, "_read_on", read_and_grow)
    for _ in range(3):
        clock.advance(1)
        made.step()
        assert made.last_pass == clock()


def test_a_long_journal_is_complete_when_its_end_is_read(journal, ingester):
    """A pass reads about a megabyte of each."""
    made, clock = ingester
    for _ in range(3):
        write(journal, "x" * (CHUNK - 1_000))
    passes = 0
    while not made.last_pass:
        clock.advance(1)
        made.step()
        passes += 1
    assert passes > 1
