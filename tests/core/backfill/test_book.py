"""What is done is kept for the next who calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtell.engine.backfill.book import Book
from flowtell.engine.serving.ledger import has_claim
from flowtell.errors import BackfillGoesOn, BadBackfill


def take(home: Path, name: str = "november") -> Book:
    return Book.take(str(home), "", "nightly", name)


def test_what_is_done_stays_done(home: Path) -> None:
    """Under this name of this flow alone; a claimed run that did not complete is no longer claimed."""
    book = take(home)
    book.claim("1", "a")
    assert has_claim(book.path, "1")
    book.settle("1", done=True)
    book.claim("2", "b")
    book.settle("2", done=False)
    book.claim("3", "c")
    book.close()
    again, other = take(home), take(home, "december")
    assert (again.done, again.claims, again.name) == ({"a": "1"}, {"3": "c"}, "november")
    assert not has_claim(again.path, "2")
    assert other.done == {}
    again.forget()
    again.close()
    other.close()
    assert take(home).done == {}


def test_one_process_at_a_time(home: Path) -> None:
    """The other is told who has it."""
    book = take(home)
    with pytest.raises(BackfillGoesOn, match="is being filled by process "):
        take(home)
    book.close()


def test_a_home_that_takes_no_file(home: Path) -> None:
    (home / "backfills").write_text("in the way")
    with pytest.raises(BadBackfill, match="cannot be written"):
        take(home)
