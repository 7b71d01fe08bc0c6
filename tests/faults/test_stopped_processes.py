"""SIGSTOP: of a flow, which is never crashed, and of a reading command that has the lease, which nobody waits for."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from tests.faults.ledger import PostgresLedger


@pytest.mark.slow
def test_a_stopped_flow_is_not_crashed(place, rounds):
    """Its process lives, however long it says nothing; it goes on, and ends well."""
    place.server()
    writer = place.writer("company.py", "a")
    place.until(lambda: place.head() > 20, what="the first events")
    writer.send_signal(signal.SIGSTOP)
    time.sleep(rounds(full=6, ci=3))
    writer.send_signal(signal.SIGCONT)
    place.stop_writing(writer)
    place.settled()
    place.check()
    assert place.sql("SELECT count(*) FROM runs WHERE state = 'crashed'") == [(0,)]


@pytest.mark.postgres
@pytest.mark.slow
def test_a_reading_command_stopped_with_the_lease(cluster, make_place):
    """A server elsewhere leads when the lease is over; the command, when it goes on, is refused what it had begun."""
    database = cluster.new_database()
    ledger = PostgresLedger(cluster.url(database))
    here = make_place(ledger, cluster.url(database))
    there = make_place(ledger, cluster.url(database), beside=here)
    flow, other = here.writer("company.py", "a"), there.writer("company.py", "b")
    here.until(lambda: here.noted(flow.side) and there.noted(other.side), what="the first events")
    command = here.child("slices.py", 0.5, stdout=subprocess.PIPE, text=True, process_group=0)
    assert command.stdout.readline() == "inside\n", here.errors()
    time.sleep(0.6)
    command.send_signal(signal.SIGSTOP)
    there.server()
    took = there.until(lambda: there.leads() == 1, 15, "the server leads")
    there.until(there.moving(), 10, "it ingests")
    command.send_signal(signal.SIGCONT)
    time.sleep(1)
    here.kill(command)
    command.stdout.close()
    here.stop_writing(flow, other)
    here.server()  # a standby: it brings what lies in its home
    there.until(lambda: not here.journals() and not there.journals(), 40, "all journals are in the log")
    there.quiet(3)
    print(f"a command stopped with the lease: the server led after {took:.2f} s; {there.check()}")
