"""PostgreSQL restarted, cut off, silent, or dying at the commit: the server goes on, and nothing is missing or twice."""

from __future__ import annotations

import random
import time

import pytest

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def under_load(postgres_place, receiver):
    """A server, a flow process and an emitter, all at work."""
    place = postgres_place
    place.settings["FLOWTELL_PLUGIN__NOTIFICATIONS__WEBHOOK"] = receiver.url
    server = place.server()
    writers = [place.writer("company.py", "a"), place.writer("writer.py", 0.01)]
    place.until(lambda: place.head() > 200, what="the first events")

    def ended(what):
        """The load ends, everything settles, everything is checked; the server is the one that began."""
        time.sleep(3)
        place.stop_writing(writers[0])
        place.kill(writers[1])
        place.until(lambda: place.ready() == 200, 40, "ready again")
        place.settled()
        place.quiet()
        print(f"{what}: {place.check(receiver.deliveries)}")
        assert server.poll() is None

    place.ended = ended
    return place


def goes_on(place, seconds=40.0):
    return place.until(place.moving(), seconds, "ingest goes on")


def test_restarts_of_the_database(under_load, cluster, rounds):
    """Five crashes of the database; after each the server goes on by itself."""
    slowest = 0.0
    for _ in range(rounds(full=5, ci=2)):
        cluster.restart("immediate")
        slowest = max(slowest, goes_on(under_load))
        time.sleep(random.uniform(0.3, 1.0))
    under_load.ended(f"restarts, slowest to go on {slowest:.2f} s")


def test_an_orderly_restart(under_load, cluster):
    """`fast`, as an upgrade does it."""
    cluster.restart("fast")
    took = goes_on(under_load)
    under_load.ended(f"orderly restart, on after {took:.2f} s")


def test_cut_off_for_ten_seconds(under_load, proxy, rounds):
    """Connections are reset and refused, longer than the lease; not ready meanwhile, ready after."""
    proxy.cut()
    under_load.until(lambda: under_load.ready() == 503, 5, "not ready any more")
    time.sleep(rounds(full=8, ci=4))
    proxy.mend()
    took = goes_on(under_load)
    under_load.ended(f"cut off, on after {took:.2f} s")


def test_silent_for_twenty_seconds(under_load, proxy, rounds):
    """Connections stay, and nothing comes: the lease cannot be sure, so the server is not ready; it goes on by itself."""
    proxy.stall()
    unready = under_load.until(lambda: under_load.ready() == 503, 6, "not ready any more")
    time.sleep(rounds(full=17, ci=5))
    proxy.mend()
    took = goes_on(under_load)
    under_load.ended(f"silent, not ready after {unready:.2f} s, on after {took:.2f} s")


def test_answers_of_commits_are_lost(under_load, proxy, rounds):
    """The database has committed and the server cannot know: it looks, and neither repeats nor skips anything."""
    for _ in range(rounds(full=20, ci=4)):
        proxy.lose_answer(session="flowtell writer", of="COMMIT")
        under_load.until(proxy.lost.is_set, 20, "an answer is lost")
        goes_on(under_load)
    under_load.ended("answers of commits lost")


def test_sessions_are_terminated_by_hand(under_load, cluster, rounds):
    """An administrator ends whichever session of ours, at any moment."""
    ours = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'flowtell%'"
    ended = 0
    for _ in range(rounds(full=30, ci=6)):
        found = cluster.execute(ours)
        if found:
            (session,) = random.choice(found)
            ended += bool(cluster.execute(f"SELECT pg_terminate_backend({session})")[0][0])
        time.sleep(random.uniform(0.05, 0.3))
    goes_on(under_load)
    under_load.ended(f"{ended} sessions terminated")
