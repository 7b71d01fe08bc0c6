"""Plugins at their worst in processes of their own, each beside a healthy one that must not notice."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from flowtell.runner.isolation.isolated import Home, Isolation, isolated
from flowtell.runner.isolation.process import Bounds

DEADLINE = 0.6
UNBOUNDED = Bounds()


@pytest.fixture
def good(stage, monkeypatch):
    """A healthy plugin in the server's own process."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from hostile import good

    return stage.run("good", good)


@pytest.fixture
def apart(stage, good, tmp_path):
    """Runs one of `hostile.py` in a process of its own."""
    stage.patience = 5.0  # one whose process was just killed is making another

    def run(kind, *, name="bad", deadline=DEADLINE, bounds=UNBOUNDED, **settings):
        home = Home(str(stage.store.url), str(tmp_path), "test")
        isolation = Isolation(home, deadline, bounds)
        return stage.run(name, isolated(f"hostile:{kind}", name, isolation), deadline, settings=settings)

    return run


def poison_alone_is_lost(stage, good, bad, seconds=40):
    """The healthy one is at the tail at once, the hostile one soon, with nothing lost but the poison."""
    stage.say(*["fine"] * 20, "poison", *["fine"] * 20)
    stage.at_the_tail(good, seconds=3)
    stage.at_the_tail(bad, seconds=seconds)
    stage.say("fine")
    stage.at_the_tail(good, seconds=3)
    stage.at_the_tail(bad, seconds=seconds)
    assert stage.dead("bad") == ["poison"]
    assert stage.counted("bad") == {"f": 41}
    assert stage.counted("good") == {"f": 42}
    assert (good.status().errors, good.timeouts) == (0, 0)


def nothing_is_lost(stage, good, bad, seconds=20):
    stage.say(*["fine"] * 20, "poison", *["fine"] * 20)
    stage.at_the_tail(good, seconds=3)
    stage.at_the_tail(bad, seconds=seconds)
    assert stage.dead("bad") == []
    assert stage.counted("bad") == stage.counted("good") == {"f": 41}
    assert (good.status().errors, good.timeouts) == (0, 0)


ENDS = {
    "Exits": "SystemExit: 3",
    "ExitsAtOnce": "ended with exit code 7 in handle",
    "Segfaults": "died of SIGSEGV in handle. It had printed: about to read address 0",
    "Aborts": "died of SIGABRT",
    "KillsItself": "died of SIGKILL",
    "LeaksDescriptors": "OSError: [Errno 24]",
    "EatsMemoryAtOnce": "MemoryError",
    "ForksThenDies": "ended with exit code 1",
    "ClosesAllDescriptors": "ended with exit code 0 in handle",
    "RaisesWhenDropped": "ValueError: dropped",
    "RaisesStrangeThings": "Strange: (its text raised)",
    "OffersMuch": "BadWriteSet: FT1502: Write set of plugin 'bad': more than 32 MiB",
    "OffersMuchInOneValue": "BadWriteSet: FT1502: Write set of plugin 'bad': more than 32 MiB",
    "OffersMuchPastTheBound": "was killed, as FrameTooLong",
    "EmitsMuch": "BadWriteSet: FT1502: Write set of plugin 'bad': more than 32 MiB",
    "WritesToOthers": "good_seen is not one of its tables",
    "WritesText": "TextClause, which is no INSERT, UPDATE or DELETE",
    "SaysGarbage": "was killed",
    "SaysItIsDone": "was killed, as 'it answered something else'",
    "SaysATableOfOthers": "good_seen is not one of its tables",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDS)
def test_what_ends_or_fails_costs_the_event_at_fault_alone(stage, good, apart, kind):
    """Its process is made anew, as often as it takes; the server and the other plugin live on, and the reason is told."""
    bad = apart(kind, deadline=10)
    poison_alone_is_lost(stage, good, bad)
    assert ENDS[kind] in bad.last_error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["HoldsTheInterpreter", "SleepsWithTheInterpreter", "EndlessLoop", "StopsItself"])
def test_what_hangs_is_killed_at_its_deadline(stage, good, apart, kind):
    """Whatever holds it: a loop in Python, C code with the interpreter's lock, a stop signal."""
    bad = apart(kind)
    poison_alone_is_lost(stage, good, bad)
    assert bad.timeouts == 3
    assert "did not return from handle within 0.6 s" in bad.last_error


@pytest.mark.parametrize(
    "kind",
    [
        "LeaksThreads",
        "Forks",
        "ForksAndStays",
        "FloodsItsLog",
        "FloodsOtherLogs",
        "FloodsItsOutput",
        "ChangesItsSurroundings",
        "ClosesDescriptors",
        "PatchesTheSystem",
    ],
)
def test_what_only_spoils_its_own_process_loses_nothing(stage, good, apart, kind):
    """All its events count, once, and so do those of the plugin beside it; the server's own surroundings stay."""
    before = os.getcwd(), os.umask(0o022), dict(os.environ), signal.getsignal(signal.SIGTERM), os.write
    os.umask(before[1])
    bad = apart(kind, deadline=20)
    nothing_is_lost(stage, good, bad)
    mask = os.umask(0o022)
    os.umask(mask)
    assert (os.getcwd(), mask, dict(os.environ), signal.getsignal(signal.SIGTERM), os.write) == before


def test_memory_is_bounded(stage, good, apart):
    """One that eats memory is killed soon after its bound, by whatever call or thread it does so."""
    bad = apart("EatsMemory", deadline=20, bounds=Bounds(memory=160 << 20))
    stage.say("poison")
    stage.until(lambda: "PluginOutgrew" in bad.last_error)
    assert "isolate_memory_mb is 160" in bad.last_error
    stage.at_the_tail(good, seconds=3)
    stage.at_the_tail(bad, seconds=30)
    assert stage.dead("bad") == ["poison"]


def test_memory_is_bounded_between_calls(stage, good, apart):
    """A thread of it that goes on after `handle` has returned is found, too, though no call comes for minutes."""
    bad = apart("EatsMemoryBetweenCalls", deadline=20, bounds=Bounds(memory=160 << 20))
    stage.say("poison")
    stage.at_the_tail(bad)
    pid = bad.status().pid
    stage.until(lambda: zombie(pid))
    stage.say("fine")
    stage.at_the_tail(good, bad)
    assert "PluginOutgrew" in bad.last_error
    assert stage.counted("bad") == {"f": 2}


def test_the_reserve_beyond_the_bound_is_bounded_too(stage, good, apart):
    """Two gigabytes in one piece are refused to it by the system, before anybody could look."""
    bad = apart("EatsMemoryAtOnce", deadline=20, bounds=Bounds(memory=160 << 20))
    stage.say("poison")
    stage.until(lambda: bad.status().errors > 0)
    assert "MemoryError" in bad.last_error


def test_a_nice_one_stands_back(stage, good, apart):
    """Its process has the priority that was asked for."""
    bad = apart("Counting", bounds=Bounds(nice=7))
    stage.say("fine")
    stage.at_the_tail(bad)
    assert os.getpriority(os.PRIO_PROCESS, bad.status().pid) == 7


def test_one_that_closes_slowly_is_killed(stage, good, apart):
    """At the server's end nobody waits for it beyond its time, and its process is gone."""
    bad = apart("ClosesSlowly", deadline=20)
    nothing_is_lost(stage, good, bad)
    pid = bad.status().pid
    began = time.monotonic()
    stage.threads[-1].stop(0.5)
    assert time.monotonic() - began < 2
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_hangs_in_open_is_made_anew(stage, good, apart, tmp_path):
    """Killed at its deadline like any call; the next one opens."""
    bad = apart("HangsInOpen", flag=str(tmp_path / "flag"))
    nothing_is_lost(stage, good, bad)
    assert bad.timeouts == 1


def test_retry_later_keeps_the_process(stage, good, apart, tmp_path):
    """It is no failure: the same process gets the same events again."""
    bad = apart("ComesLater", deadline=10, flag=str(tmp_path / "flag"))
    stage.until(lambda: bad.state == "running")
    pid = bad.status().pid
    nothing_is_lost(stage, good, bad)
    assert (bad.status().pid, bad.status().errors) == (pid, 0)


def test_what_it_emits_is_in_the_log_once(stage, good, apart):
    """With the id, cause and hops that the same event would have had from inside the server."""
    bad = apart("Emits", deadline=10)
    nothing_is_lost(stage, good, bad)
    one, two = stage.store.log.read(0, 100, ["bad.found"])
    assert (one.payload, two.payload) == ({"n": 1}, {"n": 2})
    assert one.caused_by == stage.store.log.read(0, 1)[0].id
    assert (one.hops, two.hops) == (1, 1)


def test_it_has_the_whole_context(stage, good, apart, caplog):
    """The log, the tables, the other plugins, a logger and counters."""
    caplog.set_level(logging.WARNING)
    bad = apart("Asks", deadline=10)
    nothing_is_lost(stage, good, bad)
    said = [record for record in caplog.records if record.name == "flowtell.plugin.bad"]
    assert said[-1].getMessage().startswith("[41, ['bad', 'good'], 10, 'bad', 'test'")
    assert bad.status().dropped == 3


def test_its_log_is_bounded(stage, good, apart, caplog):
    """Of a hundred thousand lines a few hundred reach the server's log, and how many are missing is said later."""
    caplog.set_level(logging.WARNING)
    bad = apart("FloodsItsLog", deadline=20)
    nothing_is_lost(stage, good, bad)
    assert 100 <= len([record for record in caplog.records if "flood" in record.getMessage()]) <= 400


def test_one_that_serves_pages_is_refused(stage, good, apart):
    """With the reason; it is not tried again and again."""
    bad = apart("Mounts", deadline=10)
    stage.until(lambda: bad.state == "refused")
    assert "it serves /bad" in bad.last_error
    assert (bad.status().errors, bad.status().pid) == (1, 0)


def test_a_plugin_is_killed_with_its_forks(stage, good, apart):
    """What it has started goes when it goes."""
    bad = apart("ForksAndStays", deadline=10)
    nothing_is_lost(stage, good, bad)
    family = members(bad.status().pid)
    assert len(family) == 3
    stage.threads[-1].stop(2)
    until = time.monotonic() + 2
    while any(Path(f"/proc/{pid}").exists() and not zombie(pid) for pid in family):
        assert time.monotonic() < until
        time.sleep(0.01)


def members(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int((entry / "stat").read_bytes().rpartition(b") ")[2].split()[2]) == group:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] == b"Z"
    except OSError:
        return True


def test_it_inherits_no_descriptor(stage, good, apart, tmp_path):
    """Of the server it has its pipe and its lifeline: no lock, no socket, no database of the server's."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    bad = apart("Counting", deadline=10)
    stage.say("fine")
    stage.at_the_tail(bad)
    links = [os.readlink(entry) for entry in Path(f"/proc/{bad.status().pid}/fd").iterdir()]
    os.close(lock)
    assert not [link for link in links if "lock" in link]
    assert sum(link.startswith("socket:") for link in links) == 1


def test_the_watchdog_and_the_pipe_may_both_see_the_deadline(stage, good, apart):
    """Whoever is first, the event is failed once each time, and no thread stays behind."""
    before = threading.active_count()
    bad = apart("EndlessLoop", deadline=0.3)
    stage.say("poison", "fine")
    stage.at_the_tail(bad, good, seconds=30)
    assert stage.dead("bad") == ["poison"]
    stage.until(lambda: threading.active_count() <= before + 1)


def test_a_fork_of_the_server_holds_no_lifeline(stage, good, apart):
    """Else a fork that some plugin leaves behind would keep all processes alive when the server dies."""
    bad = apart("Counting", deadline=10)
    stage.say("fine")
    stage.at_the_tail(bad)
    process = bad.plugin.process
    _, pipe, lifeline = process._end.peek()[2]
    fork = os.fork()
    if fork == 0:
        os._exit(sum(held(number) for number in (pipe.fileno(), lifeline)))
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    stage.say("fine")
    stage.at_the_tail(bad, good)
    assert stage.counted("bad") == {"f": 2}


def held(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
