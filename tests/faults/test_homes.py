"""The folder of journals fills up in the middle of a line, and has room again; or takes nothing at all for a while."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder, options):
    """A file system of its own in this place, or a skip."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def dropped(writer):
    return int(Path(f"{writer.side}.dropped").read_text())


def test_a_full_disk_in_the_middle_of_a_line(place, tmp_path):
    """What the journal took is kept, the torn line is set aside, what was dropped is counted; nothing else is missing."""
    if "FLOWTELL_STORE" not in place.settings:
        place.settings["FLOWTELL_STORE"] = f"sqlite:///{place.home}/flowtell.db"
    journals = place.home / "journals"
    with small_disk(journals, "size=400k,mode=0770"):
        writer = place.writer("careful.py", 0.001)
        place.until(lambda: os.statvfs(journals).f_bavail == 0, 30, "the disk is full")
        time.sleep(0.5)
        place.server()  # it reads, but a journal whose writer lives is not deleted: room must come otherwise
        subprocess.run(["mount", "-o", "remount,size=4m", str(journals)], check=True)
        noted = len(place.noted())
        place.until(lambda: len(place.noted()) > noted + 50, 20, "it writes again")
        place.stop_writing(writer)
        place.settled()
        lost = dropped(writer)
        assert lost > 0
        place.check_nothing_lost()
        assert place.sql("SELECT sum(dropped) FROM writers")[0][0] == lost
        torn = place.sql("SELECT problem FROM rejected_lines")
        assert len(torn) <= 1
        place.check_totals()
        print(f"a full disk in a line: {len(place.noted())} kept, {lost} dropped and told, torn {torn}")
        place.close()


def test_a_home_that_is_read_only_for_a_while(sqlite_place):
    """The flow runs on; when the home can be written again it writes, and tells how many are missing."""
    place = sqlite_place
    place.settings["FLOWTELL_STORE"] = f"sqlite:///{place.folder}/flowtell.db"
    with small_disk(place.home, "size=8m,ro"):
        writer = place.writer("careful.py", 0.002)
        time.sleep(1.5)
        assert writer.poll() is None
        assert place.noted() == []
        subprocess.run(["mount", "-o", "remount,rw", str(place.home)], check=True)
        place.until(lambda: len(place.noted()) > 100, 20, "it writes")
        place.stop_writing(writer)
        lost = dropped(writer)
        server = place.server()
        held = place.folder / "flowtell.db"
        place.sql = lambda statement, *values: type(place.ledger)(held).rows(statement, *values)
        place.settled()
        place.check_nothing_lost()
        assert place.sql("SELECT sum(dropped) FROM writers") == [(lost,)]
        assert lost > 100
        print(f"a read-only home: {len(place.noted())} kept, {lost} dropped and told")
        place.kill(server)
        place.close()
