"""Three servers on one PostgreSQL, killed at random while flows fail and recover: each incident once, none missed."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from itertools import groupby

import pytest
from tests.faults.ledger import PostgresLedger, check_notifications
from tests.faults.place import ON_THEIR_WAY

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ON_THE_WAY = 1
"""Messages that one kill may double: the webhook's worker sends one at a time, and notes it after the answer."""


class Three:
    """Three places on one store, each with a home of its own and flows in it. One leads, two stand by."""

    def __init__(self, places):
        self.places = places
        self.servers = {place: place.server() for place in places}

    def leader(self):
        return next((place for place in self.places if place.leads() == 1), None)

    def await_leader(self, but=None, seconds=30):
        self.places[0].until(lambda: self.leader() not in (None, but), seconds, "somebody leads")
        return self.leader()

    def kill_one(self):
        """The leader three times in four, else whoever stands by."""
        victim = self.await_leader() if random.random() < 0.75 else random.choice(self.places)
        victim.kill(self.servers[victim])
        time.sleep(random.uniform(0, 3))  # some come back before their lease is over
        self.servers[victim] = victim.server()

    def drain(self):
        """Each leads until its home is empty: only who leads takes in the journals of its machine."""
        for place in self.places:
            while (leader := self.await_leader()) != place:
                leader.kill(self.servers[leader])
                self.places[0].until(lambda gone=leader: self.leader() not in (None, gone), 30, "another one leads")
                self.servers[leader] = leader.server()
            place.until(lambda place=place: not place.journals(), 60, "its journals are in the log")
        place.until(lambda: not place.sql(ON_THEIR_WAY), 300, "every message has gone: one a second")
        place.quiet()


@pytest.fixture
def three(cluster, make_place, receiver):
    database = cluster.new_database()
    url = cluster.url(database)
    first = make_place(PostgresLedger(url), url)
    places = [first, *(make_place(PostgresLedger(url), url, beside=first) for _ in range(2))]
    for place in places:
        place.settings["FLOWTELL_PLUGIN__NOTIFICATIONS__WEBHOOK"] = receiver.url
    return Three(places)


def streaks_of_bad_ends(place):
    """By the log alone: of each flow how often its runs began to end badly, and whether they do now."""
    rows = place.sql("SELECT flow, data FROM events WHERE type = 'flow_run.finished' ORDER BY time, seq")
    ends = defaultdict(list)
    for flow, data in rows:
        ends[flow].append(json.loads(bytes(data)).get("state") == "failed")
    return {flow: ([bad for bad, _ in groupby(states)].count(True), states[-1]) for flow, states in ends.items()}


def check_incidents(place):
    """As many incidents of each flow as streaks, open where the last run is bad; opened and resolved in turn, once each."""
    incidents = place.sql("SELECT flow, key, resolved FROM alerts_incidents")
    found = {
        flow: (sum(name == flow for name, _, _ in incidents), any(row[0] == flow and row[2] is None for row in incidents))
        for flow in {row[0] for row in incidents}
    }
    expected = {flow: fate for flow, fate in streaks_of_bad_ends(place).items() if fate[0]}
    assert found == expected
    told = defaultdict(list)
    for kind, data in place.sql("SELECT type, data FROM events WHERE type LIKE 'incident.%' ORDER BY seq"):
        if kind != "incident.updated":
            told[json.loads(bytes(data))["key"]].append(kind)
    for key, kinds in told.items():
        assert kinds == ["incident.opened", "incident.resolved"] * (len(kinds) // 2) + kinds[len(kinds) // 2 * 2 :], key
        assert kinds[-1] in ("incident.opened", "incident.resolved")
    return len(incidents), sum(resolved is None for _, _, resolved in incidents)


@pytest.mark.timeout(1500)
def test_evaluators_are_killed_at_random(three, receiver, rounds):
    """One open incident for each key, none missed, whoever leads; a message twice only where a kill lay before its note."""
    kills = rounds(full=30, ci=3)
    flows, passes = 6, 8
    first = three.places[0]
    three.await_leader()
    pause = rounds(full=900, ci=120) / 1000 / 2
    writers = [
        place.writer("streaks.py", name, flows, passes, pause) for place, name in zip(three.places, "abc", strict=True)
    ]
    for _ in range(kills):
        time.sleep(random.choice([random.uniform(0, 2.5), random.uniform(4, 10)]))  # some terms are too short to send
        three.kill_one()
    for writer in writers:
        assert writer.wait(600) == 0, first.errors()
    three.drain()
    assert len(streaks_of_bad_ends(first)) == 3 * flows
    count, still_open = check_incidents(first)
    told = check_notifications(first.ledger, receiver.deliveries)
    assert told["again"] <= ON_THE_WAY * (kills + len(three.places) * 3)
    untold = first.sql(
        "SELECT i.incident FROM alerts_incidents i LEFT JOIN notifications_letters n ON n.topic = i.incident "
        "WHERE i.resolved IS NULL AND (n.state IS NULL OR n.state NOT IN ('told', 'joined'))"
    )
    assert untold == []
    print(f"{kills} evaluators killed: {count} incidents, {still_open} open, none missed or doubled; messages {dict(told)}")
    assert Counter(receiver.deliveries.values()).keys() <= {1, 2}
