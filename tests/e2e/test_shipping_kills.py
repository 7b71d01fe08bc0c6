"""Shipping under `kill -9`, cut networks and stopped processes.

Nothing that a disk holds is lost or doubled, and no living run crashes.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

HEARTBEAT = 1.0
SETTINGS = {"FLOWTELL_SHIPPING__HEARTBEAT_SECONDS": str(HEARTBEAT)}


class Pods:
    """Flows and agents elsewhere: folders of their own, and a server that they know by its address only."""

    def __init__(self, house):
        self.house = house
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.homes = []

    def server(self, wait=True):
        return self.house.server(wait, self.port, **SETTINGS)

    def home(self):
        home = Path(tempfile.mkdtemp(prefix="pod-", dir=self.house.folder))
        self.homes.append(home)
        return home

    def writer(self, home, script="writer.py", *arguments, url=None):
        environ = {"FLOWTELL_HOME": str(home), "FLOWTELL_URL": self.url if url is None else url, **SETTINGS}
        return self.house.writer(script, *arguments, env=environ)

    def agent(self, home, url=None):
        return self.house.child("agent.py", env={"FLOWTELL_HOME": str(home), "FLOWTELL_URL": url or self.url, **SETTINGS})

    def journals(self):
        return [path.name for home in self.homes for path in home.glob("journals/*.jsonl")]

    def ship_the_rest(self):
        """An agent for each home sends what the dead have left, until nothing is left."""
        agents = [self.agent(home) for home in self.homes]
        self.house.until(lambda: not self.journals(), 60, f"all shipped and deleted: {self.journals()[:3]}")
        for agent in agents:
            self.house.kill(agent, signal.SIGTERM)
            assert agent.returncode == 0, self.house.errors()
        self.settled()

    def settled(self):
        self.house.settled()
        self.house.until(lambda: not list(self.house.home.glob("shipped/*.jsonl")), 20, "mirrors deleted")

    def check(self):
        """Nothing lost, nothing doubled, every run ended, the totals exact; how many events were noted."""
        noted, held = self.house.check_nothing_lost()
        ended = self.house.check_every_run_ended()
        self.house.check_totals()
        return f"{noted} events acknowledged, {held} in the log, {ended}"

    def crashed(self, process):
        return self.house.sql("SELECT count(*) FROM runs WHERE state = 'crashed' AND pid = ?", process.pid)[0][0]


@pytest.fixture
def pods(house):
    return Pods(house)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def test_a_few_killed_shippers(pods):
    """The slice of the next test that every run of the suite does."""
    kill_shippers(pods, 5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_shippers(pods, rounds):
    """Flows that ship themselves, killed at random moments; a later one of the same home, or an agent, sends their rest."""
    kill_shippers(pods, rounds(full=100, ci=10))


def kill_shippers(pods, times):
    pods.server()
    home = pods.home()
    survivor = pods.writer(pods.home(), "writer.py", 0.05)
    for _ in range(times):
        victim = pods.writer(home, random.choice(["writer.py", "flows.py"]))
        if random.random() < 0.75:
            pods.house.until(victim.side.exists, what="the first event")
        time.sleep(random.uniform(0, 0.5))
        pods.house.kill(victim)
    assert pods.crashed(survivor) == 0
    pods.house.kill(survivor)
    pods.ship_the_rest()
    print(f"{times} shippers killed: {pods.check()}")


def test_a_few_killed_agents(pods):
    """The slice of the next test that every run of the suite does."""
    kill_agents(pods, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_agents(pods, rounds):
    """Its flows live on, and none of them is crashed."""
    kill_agents(pods, rounds(full=100, ci=10))


def kill_agents(pods, times):
    pods.server()
    home = pods.home()
    lasting = [pods.writer(home, "writer.py", 0.01, url=""), pods.writer(home, "flows.py", url="")]
    for number in range(times):
        agent = pods.agent(home)
        victim = pods.writer(home, url="") if number % 2 else None
        time.sleep(random.uniform(0.2, 1.2))
        for process in filter(None, (victim, agent) if number % 4 == 1 else (agent, victim)):
            pods.house.kill(process)
    agent = pods.agent(home)
    pods.house.until(
        lambda: pods.house.sql("SELECT count(*) FROM writers WHERE kind = 'journal' AND ended IS NULL") == [(2,)]
    )
    assert [pods.crashed(process) for process in lasting] == [0, 0]
    for process in lasting:
        pods.house.kill(process)
    pods.house.until(lambda: not pods.journals(), 30)
    pods.house.kill(agent, signal.SIGTERM)
    pods.settled()
    print(f"{times} agents killed: {pods.check()}")


def test_a_few_killed_servers(pods):
    """The slice of the next test that every run of the suite does."""
    kill_servers(pods, 4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_killed_servers(pods, rounds):
    """Flows and an agent send on to the next one; a server that was away crashes nobody."""
    kill_servers(pods, rounds(full=100, ci=10))


def kill_servers(pods, times):
    home = pods.home()
    lasting = [pods.writer(pods.home(), "writer.py", 0.01), pods.writer(home, "flows.py", url="")]
    agent = pods.agent(home)
    for number in range(times):
        server = pods.server(wait=number % 3 != 0)
        time.sleep(random.uniform(0, 1.2))
        pods.house.kill(server)
    pods.server()
    pods.house.until(
        lambda: pods.house.sql("SELECT count(*) FROM writers WHERE kind = 'journal' AND ended IS NULL") == [(2,)],
        what="both writers known",
    )
    time.sleep(2 * HEARTBEAT + 0.5)
    assert [pods.crashed(process) for process in lasting] == [0, 0]
    for process in (*lasting, agent):
        pods.house.kill(process)
    pods.ship_the_rest()
    print(f"{times} servers killed: {pods.check()}")


@pytest.mark.slow
def test_a_server_that_was_away_for_long_crashes_nobody(pods):
    """However long its senders have waited between their tries by then: they are back before it judges them."""
    server = pods.server()
    home = pods.home()
    lasting = [pods.writer(pods.home(), "writer.py", 0.02), pods.writer(home, "writer.py", 0.02, url="")]
    agent = pods.agent(home)
    pods.house.until(lambda: pods.house.sql("SELECT count(DISTINCT pid) FROM runs") == [(2,)])
    pods.house.kill(server)
    time.sleep(14 * HEARTBEAT)
    pods.server()
    time.sleep(4 * HEARTBEAT)
    assert [pods.crashed(process) for process in lasting] == [0, 0]
    for process in (*lasting, agent):
        pods.house.kill(process)
    pods.ship_the_rest()
    print(f"a server away for {14 * HEARTBEAT:.0f} heartbeats: {pods.check()}")


# --- a network that is cut --------------------------------------------------------------------------------------------


class Network:
    """Between pods and server: connections go through, and are all cut at any moment, or answered by nobody."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs, self._sockets = set(), []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self.down = False
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.down:
                    raise OSError("down")
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.add((near, far))
                self._sockets += (near, far)
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._carry, args=(one, other))
                self._threads.append(thread)
                thread.start()

    def _carry(self, one, other):
        try:
            while content := one.recv(random.choice((100, 3_000, 65_536))):
                other.sendall(content)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """All at once, wherever in a request or an answer they are."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()


def test_a_few_cuts(pods):
    """The slice of the next test that every run of the suite does."""
    cut_networks(pods, 8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_cuts(pods, rounds):
    """Every connection is cut at once, in the midst of whatever it carries; at times nobody gets through for a while."""
    cut_networks(pods, rounds(full=100, ci=10))


def cut_networks(pods, times):
    pods.server()
    network = Network(pods.port)
    try:
        home = pods.home()
        lasting = [pods.writer(pods.home(), url=network.url), pods.writer(home, "flows.py", url="")]
        agent = pods.agent(home, network.url)
        for number in range(times):
            time.sleep(random.uniform(0, 0.4))
            network.down = number % 5 == 4
            network.cut()
            if network.down:
                time.sleep(random.uniform(0, HEARTBEAT))
                network.down = False
        pods.house.until(lambda: len(pods.house.sql("SELECT 1 FROM writers WHERE kind='journal' AND ended IS NULL")) == 2)
        assert [pods.crashed(process) for process in lasting] == [0, 0]
        for process in (*lasting, agent):
            pods.house.kill(process)
    finally:
        network.close()
    pods.ship_the_rest()
    print(f"{times} cuts: {pods.check()}")


# --- stopped, busy, deleted -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["flow", "agent", "server"])
def test_stopped_for_long_is_not_dead(pods, who):
    """SIGSTOP for three heartbeats and more, then on: nobody has crashed, nothing is lost."""
    server = pods.server()
    home = pods.home()
    flow, other = pods.writer(pods.home(), "writer.py", 0.02), pods.writer(home, "writer.py", 0.02, url="")
    agent = pods.agent(home)
    count = "SELECT count(DISTINCT pid) FROM runs"
    pods.house.until(lambda: pods.house.sql(count) == [(2,)])
    stopped = {"flow": flow, "agent": agent, "server": server}[who]
    for seconds in (0.5, 1.5, 3.5):
        stopped.send_signal(signal.SIGSTOP)
        time.sleep(seconds * HEARTBEAT)
        stopped.send_signal(signal.SIGCONT)
        time.sleep(1)
    assert (pods.crashed(flow), pods.crashed(other)) == (0, 0)
    for process in (flow, other, agent):
        pods.house.kill(process)
    pods.ship_the_rest()
    print(f"{who} stopped: {pods.check()}")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sleep", "compute", "hold the interpreter", "wait for a child", "fork and wait"])
@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_parent_that_says_nothing_is_never_crashed(pods, way, place):
    """For five heartbeats: its run goes on, completes, and is never marked again."""
    pods.server()
    home = pods.home() if place == "disk" else "/proc/flowtell"
    process = pods.writer(home, "busy.py", way, 5 * HEARTBEAT)
    seen = set()

    def look():
        seen.update(row[0] for row in pods.house.sql("SELECT state FROM runs WHERE flow = 'parent'"))
        return process.poll() is not None

    pods.house.until(look, 30)
    assert process.returncode == 0
    pods.house.until(lambda: pods.house.sql("SELECT state FROM runs WHERE flow = 'parent'") == [("completed",)], 3)
    assert seen <= {"running", "completed"}
    time.sleep(2 * HEARTBEAT)
    assert pods.house.sql("SELECT state FROM runs WHERE flow = 'parent'") == [("completed",)]
    assert pods.house.sql("SELECT 1 FROM events WHERE contrary") == []


def test_a_pod_deleted_with_its_disk(pods):
    """Crashed within two heartbeats; what the server had answered for is in the log, and the rest is within its bound."""
    delete_pods(pods, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_pods_deleted_with_their_disks(pods, rounds):
    delete_pods(pods, rounds(full=50, ci=8))


def delete_pods(pods, times):
    pods.server()
    ends, unshipped = zip(*(delete_a_pod(pods) for _ in range(times)), strict=True)
    assert max(ends) < 2 * HEARTBEAT
    print(f"{times} pods deleted: slowest end {max(ends):.2f} s of {2 * HEARTBEAT:.0f}, {max(unshipped)} unshipped at most")


def delete_a_pod(pods):
    """How long until its writer had ended, and how many events went with the disk."""
    home = pods.home()
    process = pods.writer(home, "writer.py", 0.002)
    pods.house.until(lambda: list(home.glob("journals/*.jsonl")))
    (file,) = home.glob("journals/*.jsonl")
    writer = file.name.partition("-")[0]
    pods.house.until(
        lambda: answered_for(pods, writer), what="the server has heard of it"
    )  # else nobody is to notice its end
    time.sleep(random.uniform(0.0, 1.0))
    place = answered_for(pods, writer)
    process.kill()
    process.wait()
    died, left = time.monotonic(), file.read_bytes()
    pods.homes.remove(home)
    shutil.rmtree(home)
    pods.house.until(
        lambda: pods.house.sql("SELECT 1 FROM writers WHERE name = ? AND ended IS NOT NULL", writer),
        what="the deleted pod's end",
    )
    took = time.monotonic() - died
    for table in ("runs", "task_runs"):
        query = f"SELECT 1 FROM {table} t JOIN writers w ON w.id = t.writer WHERE w.name = ? AND t.ended IS NULL"
        assert pods.house.sql(query, writer) == []
    query = "SELECT e.id FROM events e JOIN writers w ON w.id = e.writer WHERE w.name = ?"
    held = {row[0] for row in pods.house.sql(query, writer)}
    assert ids(left[:place]) <= held, "what was answered for is gone"
    return took, len(ids(left) - held)


def answered_for(pods, writer):
    """Up to where the server says that it has the journal."""
    try:
        return json.loads(pods.house.get(f"/api/journal?writer={writer}"))["place"]
    except OSError:
        return 0


def ids(lines):
    return {json.loads(line)["id"] for line in lines.rpartition(b"\n")[0].splitlines() if b'"id"' in line}
