"""`kill -9` of flows and servers at random moments: nothing acknowledged is lost or doubled, every run ends, totals hold."""

from __future__ import annotations

import random
import time

import pytest

BOUND_SECONDS = 5.0


@pytest.mark.parametrize("script", ["writer.py", "flows.py"], ids=["emitters", "real flows"])
def test_a_few_killed_flows(house, script):
    """The slice of the next test that every run of the suite does."""
    kill_flows(house, script, 6)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", ["writer.py", "flows.py"], ids=["emitters", "real flows"])
def test_many_killed_flows(house, rounds, script):
    """Each killed run and its open task runs are crashed within five seconds; a flow that lives on never is."""
    kill_flows(house, script, rounds(full=100, ci=10))


def test_a_few_killed_servers(house):
    """The slice of the next test that every run of the suite does."""
    kill_servers(house, 5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_killed_servers(house, rounds):
    """Flows are killed too meanwhile; after the last start the log, the runs and the totals are exact."""
    kill_servers(house, rounds(full=100, ci=10))


def kill_flows(house, script, times):
    house.server()
    survivor = house.writer("writer.py", 0.05)
    slowest = 0.0
    for _ in range(times):
        victim = house.writer(script)
        if random.random() < 0.75:
            house.until(victim.side.exists, what="the first event")
        time.sleep(random.uniform(0, 0.4))
        slowest = max(slowest, kill_and_await_the_end(house, victim))
    assert house.sql("SELECT count(*) FROM runs WHERE state = 'crashed' AND pid = ?", survivor.pid) == [(0,)]
    house.kill(survivor)
    house.settled()
    noted, held = house.check_nothing_lost()
    ended = house.check_every_run_ended()
    series = house.check_totals()
    print(
        f"{times} flows killed: {noted} events acknowledged, {held} in the log, {ended}, "
        f"slowest end {slowest:.2f} s, {series} series"
    )


def kill_and_await_the_end(house, victim):
    """Kill it; how long until the journal's runs have all ended."""
    file = f"%-{victim.pid}.jsonl"
    house.kill(victim)
    took = house.until(
        lambda: (
            not any(name.endswith(f"-{victim.pid}.jsonl") for name in house.journals())
            or house.sql("SELECT 1 FROM writers WHERE file LIKE ? AND ended IS NOT NULL", file)
        ),
        BOUND_SECONDS,
        "the end of the killed flow",
    )
    for table in ("runs", "task_runs"):
        left = house.sql(
            f"SELECT t.id FROM {table} t JOIN writers w ON w.id = t.writer WHERE w.file LIKE ? AND t.ended IS NULL", file
        )
        assert left == []
    return took


def kill_servers(house, times):
    """Writers come and go, two live on throughout; the server is killed again and again."""
    lasting = [house.writer("writer.py", 0.02), house.writer("flows.py")]
    for number in range(times):
        server = house.server(wait=number % 3 != 0)
        if number % 2:
            victim = house.writer("writer.py", 0.005)
            time.sleep(random.uniform(0.1, 0.4))
            house.kill(victim)
        time.sleep(random.uniform(0, 1.0))
        house.kill(server)
    alive = [process.pid for process in lasting]
    house.server()
    assert house.sql(f"SELECT id FROM runs WHERE state = 'crashed' AND pid IN ({alive[0]}, {alive[1]})") == []
    (house.folder / f"{lasting[1].side.name}.stop").touch()
    lasting[1].wait(20)
    house.kill(lasting[0])
    house.settled()
    noted, held = house.check_nothing_lost()
    ended = house.check_every_run_ended()
    crashed = house.sql(
        "SELECT count(*) FROM runs r JOIN writers w ON w.id = r.writer WHERE r.state = 'crashed' AND w.file LIKE ?",
        f"%-{alive[1]}.jsonl",
    )
    assert crashed == [(0,)], "a flow that ended by itself has crashed runs"
    series = house.check_totals()
    print(f"{times} servers killed: {noted} events acknowledged, {held} in the log, {ended}, {series} series")
