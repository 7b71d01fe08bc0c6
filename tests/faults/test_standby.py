"""Two servers on one PostgreSQL, each with a home of its own: one leads, the other takes over, and all stays exact."""

from __future__ import annotations

import random
import signal
import statistics
import time

import pytest
from tests.faults.ledger import PostgresLedger
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.postgres

TAKEOVER_P95_SECONDS = 5.0


BOOK_OF_WRITES = (
    "CREATE TABLE book_of_writes (epoch bigint, holder text, session text)",
    """CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO book_of_writes
    SELECT epoch, holder, current_setting('application_name') FROM leases; RETURN NULL; END $$""",
    "CREATE TRIGGER book AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION book()",
    "CREATE TRIGGER book AFTER INSERT OR UPDATE ON cursors FOR EACH STATEMENT EXECUTE FUNCTION book()",
)
"""The database itself notes who wrote in whose term."""


class Pair:
    """Two places on one store; `leader` and `standby` change sides with the lease."""

    def __init__(self, places, receiver, cluster, database):
        self.places, self.receiver, self.cluster, self.database = places, receiver, cluster, database
        self.leader, self.standby = places
        self.servers = {}
        self.lasting = []

    # --- what is done -----------------------------------------------------------------------------------------------

    def start(self, place):
        self.servers[place] = place.server()

    def start_both(self):
        self.start(self.leader)
        for statement in BOOK_OF_WRITES:
            self.cluster.execute(statement, self.database)
        self.start(self.standby)

    def work(self):
        """A flow process in each home, until the end."""
        self.lasting = [place.writer("company.py", name, 0.05) for place, name in zip(self.places, "ab", strict=True)]
        self.leader.until(lambda: self.leader.head() > 50, what="the first events")

    def swap(self):
        self.leader, self.standby = self.standby, self.leader

    def kill_a_flow(self):
        victim = random.choice(self.places).writer("company.py", "victim", 0)
        self.leader.until(victim.side.exists, what="the victim's first event")
        time.sleep(random.uniform(0, 0.2))
        self.leader.kill(victim)

    def finish(self):
        """The flows end, each server leads until its home is empty, both run: what the store holds is all there is."""
        for place, writer in zip(self.places, self.lasting, strict=True):
            place.stop_writing(writer)
        for _ in self.places:
            self.drain()
            self.leader.quiet(1.0)
            self.leader.kill(self.servers[self.leader], signal.SIGTERM)
            self.start(self.leader)
            self.swap()
            self.leader.until(lambda: self.leader.leads() == 1, 10, "the other leads")
        self.leader.quiet()

    def drain(self):
        self.leader.until(lambda: not self.leader.journals(), 40, "the leader's journals are in the log")

    # --- what is seen -----------------------------------------------------------------------------------------------

    def epoch(self):
        return self.leader.sql("SELECT epoch FROM leases")[0][0]

    def await_takeover(self, epoch, began, seconds=20.0):
        """Until the standby has put an event into the log; how long after `began`. Then it is the leader."""
        self.leader.until(lambda: self.epoch() > epoch, seconds, "a new term")
        self.leader.until(self.leader.moving(), seconds, "the new leader's first event")
        took = time.monotonic() - began
        self.swap()
        return took

    def check(self):
        self.leader.until(lambda: self.leader.shared_metrics() == self.standby.shared_metrics(), 5, "equal metrics")
        assert (self.leader.leads(), self.standby.leads()) == (1, 0)
        self.check_who_wrote()
        return self.leader.check(self.receiver.deliveries)

    def check_who_wrote(self):
        """By the database's own book: in each term the holder of the lease wrote, and nobody else."""
        terms = self.leader.sql("SELECT DISTINCT epoch, holder, session FROM book_of_writes ORDER BY epoch")
        assert len(terms) == len({epoch for epoch, _, _ in terms}), terms
        assert all(session == f"flowtell writer {holder}" for _, holder, session in terms), terms


@pytest.fixture
def proxies(cluster):
    made = [Proxy(cluster.port), Proxy(cluster.port)]
    yield made
    for proxy in made:
        proxy.close()


@pytest.fixture
def pair(cluster, proxies, make_place, receiver):
    database = cluster.new_database()
    ledger = PostgresLedger(cluster.url(database))
    first = make_place(ledger, cluster.url(database, proxies[0].port))
    second = make_place(ledger, cluster.url(database, proxies[1].port), beside=first)
    for place in (first, second):
        place.settings["FLOWTELL_PLUGIN__NOTIFICATIONS__WEBHOOK"] = receiver.url
    made = Pair((first, second), receiver, cluster, database)
    yield made
    for place in (first, second):
        for process in place.processes:  # one may be stopped
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)


def spread(times):
    ordered = sorted(times)
    p95 = ordered[min(round(0.95 * len(ordered)), len(ordered) - 1)]
    return f"p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s, max {ordered[-1]:.2f} s", p95


# --- side by side ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_both_answer_and_one_leads(pair):
    """Any of them gives the same totals; a balancer that asks `/readyz` sends to the leader alone."""
    pair.start_both()
    pair.work()
    first, second = pair.leader, pair.standby
    first.until(lambda: first.ready() == 200, what="ready")
    assert (second.ready(), second.ready("?standby=ok"), first.ready("?standby=ok")) == (503, 200, 200)
    assert (first.leads(), second.leads()) == (1, 0)
    assert second.get("/healthz") == first.get("/healthz")
    pair.finish()
    print(pair.check())


@pytest.mark.slow
def test_a_leader_that_stops_in_order_hands_over_at_once(pair, rounds):
    """The lease is given back: nobody waits for its end."""
    pair.start_both()
    pair.work()
    took = []
    for _ in range(rounds(full=5, ci=2)):
        epoch = pair.epoch()
        pair.leader.kill(pair.servers[pair.leader], signal.SIGTERM)
        gone = pair.leader
        took.append(pair.await_takeover(epoch, time.monotonic()))
        pair.start(gone)
    pair.finish()
    print(f"handed over after {spread(took)[0]} from the exit; {pair.check()}")
    assert max(took) < 2.5


# --- killed, stopped, cut off -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_leaders_are_killed_again_and_again(pair, rounds):
    """Flows run in both homes, some are killed, some fail and are told of. A killed leader comes back to stand by."""
    pair.start_both()
    pair.work()
    took = []
    times = rounds(full=50, ci=4)
    for number in range(times):
        if number % 3 == 0:
            pair.kill_a_flow()
        time.sleep(random.uniform(0, 4))  # some terms are too short to judge anything
        epoch, gone = pair.epoch(), pair.leader
        began = time.monotonic()
        gone.kill(pair.servers[gone])
        took.append(pair.await_takeover(epoch, began))
        pair.start(gone)
    pair.finish()
    counted = pair.check()
    text, p95 = spread(took)
    print(f"{times} leaders killed: takeover {text}; {counted}")
    assert p95 < TAKEOVER_P95_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_leader_stopped_inside_a_transaction_writes_nothing_when_it_goes_on(pair, cluster, rounds):
    """SIGSTOP: the standby takes over; SIGCONT: the old leader finds its term over, and stands by."""
    pair.start_both()
    pair.work()
    flood = pair.leader.writer("writer.py", 0.002)
    inside = 0
    for _ in range(rounds(full=8, ci=2)):
        epoch, old = pair.epoch(), pair.leader
        server = pair.servers[old]
        inside += stop_inside_a_transaction(cluster, server)
        took = pair.await_takeover(epoch, time.monotonic())
        server.send_signal(signal.SIGCONT)
        old.until(lambda old=old: old.leads() == 0, 20, "the old leader stands by")
        time.sleep(random.uniform(0.5, 4))
        assert took < 6
    pair.leader.kill(flood)
    pair.finish()
    print(f"stopped inside a transaction {inside} times; {pair.check()}")
    assert inside


def stop_inside_a_transaction(cluster, server):
    """Stop it when the database says that its writing session is in a transaction, if that can be caught."""
    busy = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'flowtell writer%' "
        "AND xact_start IS NOT NULL AND state = 'idle in transaction'"
    )
    for _ in range(200):
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.01)
        if cluster.execute(busy):
            return True
        server.send_signal(signal.SIGCONT)
        time.sleep(random.uniform(0.005, 0.03))
    server.send_signal(signal.SIGSTOP)
    return False


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["cut", "stall"])
def test_a_leader_cut_off_from_the_database_alone_steps_down(pair, proxies, way):
    """It is not ready while the other leads, and stands by when the database is there again."""
    pair.start_both()
    pair.work()
    epoch, old = pair.epoch(), pair.leader
    began = time.monotonic()
    getattr(proxies[0], way)()
    old.until(lambda: old.ready() == 503, 5, "not ready any more")
    unready = time.monotonic() - began
    took = pair.await_takeover(epoch, began)
    time.sleep(4)
    assert old.ready() == 503
    proxies[0].mend()
    old.until(lambda: old.leads() == 0, 30, "the old leader stands by")
    assert old.ready("?standby=ok") == 200
    pair.finish()
    print(f"{way}: not ready after {unready:.2f} s, takeover {took:.2f} s; {pair.check()}")
    assert took < 6
