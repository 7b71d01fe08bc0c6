"""Clocks that are 90 s apart or set back: of writers, of a server, of two servers. Needs a C compiler."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faults.test_standby import pair, proxies  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def wall_clock(tmp_path_factory):
    """The library that puts a process's wall clock off, built here."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to build the clock with: apt-get install gcc libc6-dev")
    library = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    source = Path(__file__).parent / "children" / "wall_clock.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture
def clock(wall_clock, tmp_path):
    """Environments of processes whose wall clock is off by so many seconds; `set` changes it while they run."""

    class Clock:
        def of(self, name, offset):
            self.set(name, offset)
            return {"LD_PRELOAD": str(wall_clock), "WALL_CLOCK": str(tmp_path / name)}

        def set(self, name, offset):
            descriptor = os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(descriptor, struct.pack("q", offset), 0)  # in place: it is mapped
            os.close(descriptor)

    return Clock()


def test_writers_whose_clocks_are_off(place, clock):
    """90 s ahead, 90 s behind, and set back by 180 s in the middle: totals are exact, durations are those that passed."""
    place.server()
    offsets = {"ahead": 90, "behind": -90, "jumps": 90}
    writers = {name: place.writer("careful.py", 0.01, env=clock.of(name, offset)) for name, offset in offsets.items()}
    place.until(lambda: place.head() > 100, what="the first events")
    time.sleep(1)
    clock.set("jumps", -90)
    time.sleep(1.5)
    skews = place.sql("SELECT min(skew), max(skew) FROM writers WHERE ended IS NULL AND kind = 'journal'")[0]
    assert skews[0] < -85
    assert skews[1] > 85
    place.stop_writing(*writers.values())
    place.settled()
    print(f"clocks of writers off: skew {skews[0]:.1f} to {skews[1]:.1f} s; {place.check()}")
    assert place.sql("SELECT state, count(*) FROM runs WHERE state <> 'completed' GROUP BY 1") == []
    shortest, longest = place.sql("SELECT min(duration), max(duration) FROM runs")[0]
    assert shortest >= 0.009
    assert longest < 10


def test_a_server_whose_clock_is_set_back(place, clock):
    """By 180 s while flows run: it goes on at once, stays ready, and nobody is crashed."""
    place.server(env=clock.of("server", 90))
    writers = [place.writer("company.py", "a"), place.writer("writer.py", 0.01)]
    place.until(lambda: place.head() > 100, what="the first events")
    place.until(lambda: place.ready() == 200, what="ready")
    clock.set("server", -90)
    took = place.until(place.moving(), 10, "ingest goes on")
    time.sleep(2)
    assert place.ready() == 200
    assert place.sql("SELECT count(*) FROM runs WHERE state = 'crashed'") == [(0,)]
    place.kill(writers[1])
    place.stop_writing(writers[0])
    place.settled()
    place.quiet()
    print(f"a server's clock set back, on after {took:.2f} s: {place.check()}")


@pytest.mark.postgres
def test_two_servers_whose_clocks_are_apart(pair, clock):  # noqa: F811
    """By 180 s: nobody takes over from a leader that lives, and the takeover after its death is as quick as ever."""
    for place, offset in zip(pair.places, (90, -90), strict=True):
        place.settings |= clock.of(place.home.name, offset)
    pair.start_both()
    pair.work()
    epoch = pair.epoch()
    time.sleep(7)
    assert pair.epoch() == epoch
    gone = pair.leader
    began = time.monotonic()
    gone.kill(pair.servers[gone])
    took = pair.await_takeover(epoch, began)
    pair.start(gone)
    pair.finish()
    print(f"clocks apart, takeover {took:.2f} s; {pair.check()}")
    assert took < 6
