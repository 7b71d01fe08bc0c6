"""Others on the same PostgreSQL: a stranger who sleeps in a transaction or holds a lock, a full disk, a new cluster."""

from __future__ import annotations

import os
import subprocess
import time

import psycopg
import pytest
from tests.faults.cluster import Cluster, binaries
from tests.faults.ledger import PostgresLedger

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def busy(postgres_place, receiver):
    """A server and a flow process at work; `ended` lets them end and checks everything."""
    place = postgres_place
    place.settings["FLOWTELL_PLUGIN__NOTIFICATIONS__WEBHOOK"] = receiver.url
    place.server()
    writer = place.writer("company.py", "a")
    place.until(lambda: place.head() > 50, what="the first events")

    def ended(what):
        place.stop_writing(writer)
        place.until(lambda: place.ready() == 200, 40, "ready")
        place.settled()
        place.quiet()
        print(f"{what}: {place.check(receiver.deliveries)}")

    place.ended = ended
    return place


def stranger(cluster, database, *statements):
    """A session of somebody else, inside a transaction."""
    session = psycopg.connect(cluster.url(database), application_name="stranger")
    for statement in ("SELECT txid_current()", *statements):
        session.execute(statement)
    return session


def test_strangers_idle_in_transactions(busy, cluster):
    """In another database and in ours, with a snapshot and an id, but no lock of ours: nothing waits for them."""
    ours = busy.database
    read = "SELECT count(*) FROM events"
    sessions = [stranger(cluster, "postgres"), stranger(cluster, ours, read)]
    slowest = max(busy.until(busy.moving(), 5, "ingest goes on") for _ in range(20))
    with psycopg.connect(cluster.url(ours), autocommit=True) as connection:  # housekeeping is not held up either
        connection.execute("SET lock_timeout = '2s'")
        connection.execute("SELECT 1 FROM writers")
    for session in sessions:
        session.close()
    busy.ended(f"strangers idle in transactions, slowest to go on {slowest:.2f} s")


@pytest.mark.parametrize("table", ["runs", "leases", "cursors"])
def test_a_stranger_holds_a_lock_on_a_table_of_ours(busy, cluster, table, rounds):
    """For longer than our lock_timeout: not ready meanwhile at most; afterwards everything goes on by itself."""
    ours = busy.database
    session = stranger(cluster, ours, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    time.sleep(rounds(full=15, ci=11))
    session.close()
    took = busy.until(busy.moving(), 20, "ingest goes on")
    busy.ended(f"a lock on {table} held, on after {took:.2f} s")


def test_a_full_disk_under_the_database(cluster, proxy, make_place, receiver, tmp_path):
    """The tables lie in a tablespace of 24 MB that somebody fills up: not ready, nothing lost, and on when there is room."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = cluster.folder / "small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system: {mounted.stderr.decode().strip()}")
    database = ""
    try:
        subprocess.run(["chown", "postgres", str(disk)], check=True)
        cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        database = cluster.new_database("TABLESPACE small")
        place = make_place(PostgresLedger(cluster.url(database)), cluster.url(database, proxy.port))
        place.settings["FLOWTELL_PLUGIN__NOTIFICATIONS__WEBHOOK"] = receiver.url
        place.server()
        place.until(lambda: place.ready() == 200, what="ready")
        writers = [place.writer("company.py", "a"), place.writer("writer.py", 0.0005)]
        place.until(lambda: place.head() > 50, what="the first events")
        fill(disk)
        place.until(lambda: place.ready() == 503, 60, "not ready any more")
        time.sleep(3)
        (disk / "filler").unlink()
        took = place.until(place.moving(), 20, "ingest goes on")
        place.kill(writers[1])
        time.sleep(3)
        place.stop_writing(writers[0])
        place.until(lambda: place.ready() == 200, 40, "ready again")
        place.settled()
        place.quiet()
        print(f"a full disk under the database, on after {took:.2f} s: {place.check(receiver.deliveries)}")
        place.close()
        place.ledger.close()
    finally:
        if database:
            cluster.execute(f"DROP DATABASE {database} WITH (FORCE)")
            cluster.execute("DROP TABLESPACE small")
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk):
    """All that is free but for 300 KB."""
    free = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        file.write(b"x" * max(free.f_bavail * free.f_frsize - 300_000, 0))


@pytest.fixture
def new_cluster(cluster):
    folder = binaries()
    assert folder is not None
    made = Cluster(folder)
    yield made
    made.close()


def test_a_restore_into_a_new_cluster_goes_on(busy, cluster, new_cluster, tmp_path):
    """The machine of server and database dies; a dump is restored elsewhere, and what the journals hold is read on.

    The dump is taken when the server is gone: journals that it had logged after an earlier dump would be deleted by now.
    """
    writer = busy.writer("writer.py", 0.002)
    time.sleep(1)
    busy.kill(busy.processes[0])  # the server; the flows go on
    dump = tmp_path / "dump"
    cluster.dump(busy.database, dump)
    restored = new_cluster.new_database("TEMPLATE template0")
    new_cluster.restore(restored, dump)
    busy.ledger.close()
    busy.ledger = PostgresLedger(new_cluster.url(restored))
    busy.settings["FLOWTELL_STORE"] = new_cluster.url(restored)
    before = busy.head()
    busy.server()
    busy.until(lambda: busy.head() > before, 20, "the restored log grows")
    time.sleep(3)
    busy.kill(writer)
    busy.ended("restored into a new cluster")
    busy.close()
    busy.ledger.close()
