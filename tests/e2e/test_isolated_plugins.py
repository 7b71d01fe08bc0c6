"""A real server with outsiders' plugins in processes of their own: what they do stays there, and they die with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowtell import bus
from flowtell import events as e
from flowtell.ids import new_id

HOSTILE = Path(__file__).parents[1] / "core" / "runner" / "isolation" / "hostile.py"


class Outsiders:
    """Plugins as pip leaves them, switched on by name, each in a process of its own unless `good`."""

    def __init__(self, house, monkeypatch):
        self.house = house
        self._environ = monkeypatch
        self._site = house.folder / "site"
        self._site.mkdir()
        self._said = 0
        shutil.copy(HOSTILE, self._site)
        monkeypatch.setenv("PYTHONPATH", str(self._site))

    def install(self, kinds: dict[str, str], **settings: object) -> None:
        info = self._site / "hostile-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
        lines = [f"{name} = hostile:{kind}\n" for name, kind in kinds.items()]
        (info / "entry_points.txt").write_text("[flowtell.plugins]\n" + "".join(lines))
        self._environ.setenv("FLOWTELL_PLUGINS__ENABLE", ",".join(kinds))
        for name in kinds:
            own = {"name": name, **settings, **({} if name == "good" else {"isolate": "process"})}
            for key, value in own.items():
                self._environ.setenv(f"FLOWTELL_PLUGIN__{name.upper()}__{key.upper()}", str(value))

    def say(self, *messages: str) -> None:
        self._said += len(messages)
        for message in messages:
            bus.emit(e.LogRecorded(id=new_id(), time=time.time_ns() // 1000, flow="f", message=message))

    def statuses(self) -> dict[str, dict]:
        return {one["name"]: one for one in json.loads(self.house.get("/api/plugins"))["plugins"]}

    def ingested(self) -> bool:
        return self.house.sql("SELECT count(*) FROM events WHERE type = 'log.recorded'") == [(self._said,)]

    def at_the_tail(self, *names: str, seconds: float = 40) -> float:
        def there():
            statuses = self.statuses()
            seen = [statuses[name].get("cursor", 0) for name in names]
            return self.ingested() and min(seen) >= self._said

        return self.house.until(there, seconds, f"{names} at the tail")

    def counted(self, name: str) -> int:
        return self.house.sql(f"SELECT coalesce(sum(number), 0) FROM {name}_seen")[0][0]


@pytest.fixture
def outsiders(house, monkeypatch):
    return Outsiders(house, monkeypatch)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] == b"Z"
    except OSError:
        return True


@pytest.mark.slow
def test_a_server_goes_on_among_all_of_them(outsiders, house, monkeypatch):
    """One that crashes, one that holds its interpreter, one that grows: the healthy one is at the tail within seconds,
    the server answers all the while, and each loses the one event at which it did its worst.
    """
    monkeypatch.setenv("FLOWTELL_PLUGINS__DEADLINE_SECONDS", "1.0")
    kinds = {
        "good": "Counting",
        "crashes": "Segfaults",
        "exits": "ExitsAtOnce",
        "holds": "HoldsTheInterpreter",
        "grows": "EatsMemory",
    }
    outsiders.install(kinds, isolate_memory_mb=200)
    house.server()
    outsiders.say(*["fine"] * 300, "poison", *["fine"] * 300)
    house.until(outsiders.ingested, what="ingested")
    assert outsiders.at_the_tail("good", "prometheus") < 3
    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        house.get("/healthz")
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.05)
    assert slowest < 1.0
    outsiders.at_the_tail(*kinds)
    assert outsiders.counted("good") == 601
    for name in ("crashes", "exits", "holds", "grows"):
        assert outsiders.counted(name) == 600, name
        assert house.sql("SELECT count(*) FROM dead_events WHERE plugin = ?", name) == [(1,)]
    bus.renew()


@pytest.mark.slow
def test_a_killed_server_takes_them_along(outsiders, house):
    """However it is killed and whatever they do at that moment; the next server goes on where their cursors stand."""
    outsiders.install({"holds": "HoldsTheInterpreter", "counts": "Counting", "forks": "ForksAndStays"})
    server = house.server()
    outsiders.say(*["fine"] * 50)
    outsiders.at_the_tail("counts")
    outsiders.say("poison", *["fine"] * 50)
    house.until(lambda: outsiders.counted("counts") == 101, what="counted")
    pids = [status["pid"] for status in outsiders.statuses().values() if status.get("pid")]
    assert len(pids) == 3
    house.kill(server)
    assert house.until(lambda: all(map(gone, pids)), 2) < 1
    house.server()
    outsiders.say(*["fine"] * 20)
    house.until(lambda: outsiders.counted("counts") == 121, what="counted on")
    bus.renew()


@pytest.mark.slow
def test_ctrl_c_is_the_servers_affair(outsiders, house):
    """The terminal's interrupt reaches the server alone, which then lets each plugin close."""
    flag = house.folder / "closed"
    outsiders.install({"well": "ClosesWell", "slow": "ClosesSlowly"}, flag=flag)
    address = house.folder / "address"
    code = [sys.executable, str(Path(__file__).parent / "children" / "server.py"), str(address)]
    server = subprocess.Popen(code, start_new_session=True, stderr=subprocess.DEVNULL)
    house.processes.append(server)
    house.until(address.exists, 40)
    outsiders.say(*["fine"] * 5)
    outsiders.at_the_tail("well")
    pids = [status["pid"] for status in outsiders.statuses().values() if status.get("pid")]
    assert [os.getsid(pid) for pid in pids] == pids
    began = time.monotonic()
    os.killpg(server.pid, signal.SIGINT)
    server.wait(20)
    assert time.monotonic() - began < 15
    assert flag.read_text() == "closed"
    assert len(pids) == 2
    assert all(map(gone, pids))
    bus.renew()


def test_what_a_command_says_of_them(outsiders, house):
    """`plugins list` tells which are isolated, and which cannot be; a reading command leaves them to the server."""
    outsiders.install({"counts": "Counting", "mounts": "Mounts", "crashes": "CrashesOnImport", "later": "OfAnotherContract"})
    outsiders.say("fine")
    bus.renew()
    listed = json.loads(run("plugins", "list", "--json"))
    found = {one["name"]: one for one in listed}
    assert (found["counts"]["state"], found["counts"]["isolated"]) == ("on", True)
    assert found["lineage"]["isolated"] is False
    assert found["crashes"]["state"] == "refused"
    assert "died of SIGSEGV in make" in found["crashes"]["problem"]
    assert "written for version 2 of the contract, this flowtell has 1" in found["later"]["problem"]
    run("events", "--json")
    assert house.sql("SELECT count(*) FROM events") == [(1,)]
    assert house.sql("SELECT count(*) FROM cursors WHERE plugin = 'counts'") == [(0,)]


def run(*arguments: str) -> str:
    return subprocess.run(
        [Path(sys.executable).with_name("flowtell"), *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout
