"""The store's disk fills up under a running server and has room again: flows do not notice, nothing is missing after."""

from __future__ import annotations

import resource
import time
import urllib.error

FREE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_full_disk_under_the_server(house):
    """A limit on the size of its files stands in for it. It says that it is not ready, and goes on by itself."""
    server = house.server()
    house.until(lambda: ready(house) == 200, what="ready at first")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    writer = house.writer("writer.py", 0.0, 400)
    house.until(lambda: ready(house) == 503, what="not ready any more")
    writer.wait(60)  # it has run to its end all the same
    assert writer.returncode == 0, house.errors()
    time.sleep(1.5)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, FREE)
    house.until(lambda: ready(house) == 200, what="ready again")
    house.settled()
    noted, held = house.check_nothing_lost()
    assert noted == held == 400 * 11
    assert house.check_every_run_ended() == {"completed": 400}
    house.check_totals()
    assert house.sql("SELECT * FROM dead_events") == []
    assert server.poll() is None


def ready(house):
    try:
        house.get("/readyz")
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200
