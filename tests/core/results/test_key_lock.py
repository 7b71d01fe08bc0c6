"""One holder of a key at a time, in whatever process and thread; who is killed holds nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from flowtell.results import key_lock


def _path(folder: Path) -> str:
    return str(folder / "locks" / "key")


def test_one_holds_it_and_the_file_goes_with_it(tmp_path: Path) -> None:
    lock = key_lock.take(_path(tmp_path), "me", told="a run")
    assert lock is not None
    assert key_lock.take(_path(tmp_path), "another") is None
    assert key_lock.told_by_holder(_path(tmp_path)) == "a run"
    holder = key_lock.holder_here(_path(tmp_path))
    assert holder is not None
    assert (holder.owner, holder.thread) == ("me", threading.get_ident())
    lock.release()
    lock.release()
    assert os.listdir(tmp_path / "locks") == []
    assert key_lock.holder_here(_path(tmp_path)) is None
    assert key_lock.told_by_holder(_path(tmp_path)) == ""


def test_of_many_threads_one_at_a_time_is_inside(tmp_path: Path) -> None:
    """Also while files of the same name come and go."""
    inside, most, taken = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, taken
        for _ in range(200):
            lock = key_lock.take(_path(tmp_path), None)
            if lock is not None:
                inside += 1
                most, taken = max(most, inside), taken + 1
                inside -= 1
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 0


def test_a_forked_child_neither_holds_nor_frees_it(tmp_path: Path) -> None:
    """It closes its copy; the parent's release frees the key although the child lives on."""
    lock = key_lock.take(_path(tmp_path), "parent")
    assert lock is not None
    told, tell = os.pipe()
    go, begin = os.pipe()
    child = os.fork()
    if child == 0:
        lock.release()  # what a finally of the parent's code would do here
        os.write(tell, b"1" if key_lock.holder_here(_path(tmp_path)) is None else b"0")
        os.read(go, 1)
        os._exit(0)
    try:
        assert os.read(told, 1) == b"1"
        assert key_lock.take(_path(tmp_path), "another") is None
        lock.release()
        again = key_lock.take(_path(tmp_path), "another")
        assert again is not None
        again.release()
    finally:
        os.write(begin, b"1")
        os.waitpid(child, 0)
        for fd in (told, tell, go, begin):
            os.close(fd)


def test_where_no_file_can_be_made_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    with pytest.raises(OSError, match="locks"):
        key_lock.take(_path(tmp_path), None)
