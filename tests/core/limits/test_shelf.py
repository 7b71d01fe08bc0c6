"""The book on disk: changes of many processes, one after the other, and files that were cut or are somebody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from flowtell.limits.book import Page
from flowtell.limits.shelf import FileShelf

COUNT = """
import sys
from flowtell.limits.shelf import FileShelf
shelf = FileShelf(sys.argv[1])
for _ in range(200):
    with shelf.open() as book:
        book.closed_until += 1
"""


@pytest.fixture
def shelf(home):
    return FileShelf(str(home))


def closed_until(shelf):
    with shelf.open() as book:
        return book.closed_until


def test_what_was_changed_is_there_for_the_next(shelf, home):
    with shelf.open() as book:
        book.pages["db"] = Page(limit=3)
    with FileShelf(str(home)).open() as book:
        assert book.pages == {"db": Page(limit=3)}


def test_a_block_that_fails_changes_nothing(shelf):
    def fail():
        with shelf.open() as book:
            book.closed_until = 1
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert closed_until(shelf) == 0


def test_no_change_of_several_processes_and_threads_is_lost(shelf, home):
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(home)]) for _ in range(3)]

    def count():
        for _ in range(200):
            with shelf.open() as book:
                book.closed_until += 1

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert closed_until(shelf) == 1000


@pytest.mark.parametrize("left", [b"", b"\0" * 60, b"no book", "half", "other body"])
def test_a_writer_that_was_killed_in_the_middle_changed_nothing(shelf, home, left):
    """Whatever it left: the file that it did not touch has the book as it was."""
    for number in (1, 2):
        with shelf.open() as book:
            book.closed_until = number
    files = [home / "limits" / name for name in ("book.0", "book.1")]
    newest = max(files, key=lambda path: int(path.read_bytes()[:16], 16))
    whole = newest.read_bytes()
    damage = {"half": whole[: len(whole) // 2], "other body": whole.replace(b"2}", b"3}")}
    newest.write_bytes(damage.get(left, left) if isinstance(left, str) else left)
    assert closed_until(shelf) == 1
    with shelf.open() as book:
        book.closed_until = 7
    assert closed_until(shelf) == 7


def test_a_book_that_shrinks_leaves_nothing_of_the_longer_one(shelf):
    for size in (50, 40, 1, 1):
        with shelf.open() as book:
            book.pages = {f"{number}" * 40: Page(limit=number) for number in range(size)}
    with shelf.open() as book:
        assert list(book.pages) == ["0" * 40]


def test_a_change_is_seen_from_outside(shelf, home):
    other = FileShelf(str(home))
    other.changed()
    assert not other.changed()
    with shelf.open() as book:
        book.closed_until = 1
    assert other.changed()
    assert not other.changed()


def test_a_home_that_takes_no_file_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError), FileShelf(str(tmp_path / "file" / "home")).open():
        pass


def test_a_full_disk_says_so_and_changes_nothing(shelf, monkeypatch):
    with shelf.open() as book:
        book.closed_until = 1
    monkeypatch.setattr(os, "pwrite", lambda fd, data, place: len(data) // 2)
    with pytest.raises(OSError, match="no space"), shelf.open() as book:
        book.closed_until = 2
    monkeypatch.undo()
    assert closed_until(shelf) == 1
