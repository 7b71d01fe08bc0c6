"""Two flowtells, one sends its lineage to the other: servers of both are killed, and the second has the same graph."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections import Counter

import pytest

pytest.importorskip("openlineage.client", reason="the extra flowtell-lineage[openlineage] is not installed")

from tests.e2e.conftest import House

EDGES = (
    "SELECT u.asset, d.asset, evidence FROM lineage_links "
    "JOIN lineage_nodes u ON u.id = upstream JOIN lineage_nodes d ON d.id = downstream"
)


@pytest.fixture
def other(tmp_path):
    """The house of whoever receives."""
    for name in ("home", "folder"):
        (tmp_path / "other" / name).mkdir(parents=True)
    made = House(tmp_path / "other" / "home", tmp_path / "other" / "folder")
    yield made
    made.close()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def catalogue(other, port):
    return other.server(port=port, FLOWTELL_HOME=str(other.home), FLOWTELL_ENVIRONMENT="there")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_doubled_while_either_side_is_killed(house, other, rounds):
    dice, port = random.Random(7), free_port()
    where = {"FLOWTELL_PLUGIN__OPENLINEAGE_OUT__URL": f"http://127.0.0.1:{port}"}
    there, here, flows = catalogue(other, port), house.server(**where), house.writer("assets.py")
    times = rounds(full=30, ci=4)
    for number in range(times):
        time.sleep(dice.uniform(0.2, 1.5))
        if number % 3 == 0:
            other.kill(there)
            time.sleep(dice.uniform(0, 2))
            there = catalogue(other, port)
        elif number % 3 == 1:
            house.kill(here)
            here = house.server(**where)
        else:
            house.kill(flows)
            flows = house.writer("assets.py")
    (house.folder / f"{flows.side.name}.stop").touch()
    assert flows.wait(30) == 0
    house.settled(plugins=False)
    states = Counter(house.sql("SELECT id, state FROM runs"))
    began = time.monotonic()
    other.until(lambda: Counter(other.sql("SELECT id, state FROM runs")).keys() >= _as_received(states), 120, "all runs")
    waited = time.monotonic() - began
    assert Counter(other.sql("SELECT id, state FROM runs")) == Counter(_as_received(states))
    assert sorted(other.sql(EDGES)) == sorted(house.sql(EDGES))
    made = "SELECT asset, materializations FROM lineage_nodes ORDER BY 1"
    other.until(lambda: other.sql(made) == house.sql(made), 30, "as many materializations")
    assert other.sql("SELECT count(*) FROM events WHERE contrary") == [(0,)]
    house.kill(here, signal.SIGTERM)
    print(f"{times} kills, {len(states)} runs, all there after {waited:.1f} s; {dict(Counter(s for _, s in states))}")


def _as_received(states):
    """OpenLineage has three ends."""
    ours = {"crashed": "failed"}
    return {(run, ours.get(state, state)) for run, state in states}
