"""What lies in a journal, whoever spoiled it: whole lines are kept, the rest is set aside, the next event is not lost."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from flowtell import bus, config
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.journal import Journal, decode_header, open_journal
from flowtell.server.catch_up import catch_up
from flowtell.server.ingest import Ingester
from flowtell.server.tail import JournalTail
from flowtell.store import open_store
from flowtell.store.tables import events, rejected, runs, writers


@pytest.fixture
def log(home):
    """The log of this home, and `log.ingest()` that moves the journals into it."""
    made = Log(home)
    yield made
    made.store.close()


class Log:
    def __init__(self, home):
        self.home = home
        self.store = open_store(f"sqlite:///{home}/flowtell.db")

    def ingest(self):
        ingester = Ingester(self.store, str(self.home), lambda: time.time_ns() // 1000)
        until = time.monotonic() + 10
        while ingester.step() and time.monotonic() < until:
            pass
        ingester.delete_ended()
        ingester.close()
        return self

    def messages(self):
        return [event.message for event in self.store.log.read(0, 100_000, ["log.recorded"])]

    def writer(self):
        return self.store.read(select(writers).where(writers.c.kind == "journal"))[-1]

    def problems(self):
        return [row.line for row in self.store.read(select(rejected).order_by(rejected.c.n))]


def line(message="x", **fields):
    return e.encode(e.LogRecorded(id=new_id(), time=1, message=message, **fields)) + b"\n"


def written(home, *parts, header=True):
    """A journal whose writer is gone, with these bytes in it."""
    journal = open_journal(str(home))
    if not header:
        os.truncate(journal.path, 0)
    for part in parts:
        os.write(journal._fd, part)
    journal.close()
    return journal


# --- what a journal may hold --------------------------------------------------------------------------------------


def test_a_journal_that_nobody_spoiled(home, log):
    """Every event in, nothing set aside (not its header either), and the file is deleted."""
    journal = written(home, line("a"), line("b"))
    assert log.ingest().messages() == ["a", "b"]
    assert log.problems() == []
    assert (log.writer().rejected, log.writer().dropped, log.writer().events) == (0, 0, 2)
    assert not Path(journal.path).exists()


def test_a_half_written_last_line(home, log):
    """A death in the middle of a write: that `emit` had not returned. It is kept for whoever looks, cut."""
    journal = written(home, line("a"), line("torn")[:-20])
    assert log.ingest().messages() == ["a"]
    assert len(log.problems()) == 1
    assert not Path(journal.path).exists()


def test_a_half_written_line_of_megabytes(home, log):
    """The journal still ends and is deleted."""
    journal = written(home, line("a"), line("x" * 3_000_000)[:-50])
    assert log.ingest().messages() == ["a"]
    assert not Path(journal.path).exists()
    assert len(log.problems()[0]) <= 2000


def test_a_line_half_written_while_its_writer_lives(home, log):
    """It is waited for, and taken once when the rest has come."""
    journal = open_journal(str(home))
    whole = line("slow")
    os.write(journal._fd, line("a") + whole[:30])
    assert log.ingest().messages() == ["a"]
    os.write(journal._fd, whole[30:] + line("b"))
    assert log.ingest().messages() == ["a", "slow", "b"]
    assert log.problems() == []
    journal.close()


def test_a_cut_line_with_text_after_it(home, log):
    """As another program's crash or an editor leaves it: only the two that are one now are lost."""
    written(home, line("a"), line("cut")[:-25], line("glued"), line("b"))
    assert log.ingest().messages() == ["a", "b"]
    assert len(log.problems()) == 1


GARBAGE = [
    b"\x00\x01\xff\xfe\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b'"text"\n',
    b"}{\n",
    b"\n\n\n",
    b" \r\n",
    b'{"type":"flow_run.started"}\n',
    b"\xf0\x9f\n",
]


def test_garbage_between_events(home, log):
    """Each line of it is set aside, an empty one passed over."""
    written(home, *[part for each in GARBAGE for part in (line("good"), each)], line("last"))
    assert log.ingest().messages() == ["good"] * len(GARBAGE) + ["last"]
    assert len(log.problems()) == len(GARBAGE) - 2
    assert log.writer().rejected == len(GARBAGE) - 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_between_events(tmp_path_factory, parts):
    """Whatever stands between two newlines, the lines around it are kept."""
    home = tmp_path_factory.mktemp("any")
    log = Log(home)
    written(home, *[piece for part in parts for piece in (line("good"), part.replace(b"\n", b"") + b"\n")], line("last"))
    try:
        assert log.ingest().messages() == ["good"] * len(parts) + ["last"]
    finally:
        log.store.close()


def test_an_empty_file_and_one_without_header(home, log):
    """A writer that died between naming and writing, and a header that was lost: the events are kept."""
    empty = written(home, header=False)
    headless = written(home, line("a"), header=False)
    assert log.ingest().messages() == ["a"]
    assert not Path(empty.path).exists()
    assert not Path(headless.path).exists()


def test_a_journal_of_a_later_format(home, log):
    """Is neither read nor deleted: a format is raised when lines are no longer what they were. Others are read."""
    later = written(home, b'{"type":"journal.opened","format":99,"writer":"w","pid":"?"}\n', line("a"), header=False)
    written(home, line("b"))
    assert log.ingest().messages() == ["b"]
    assert log.problems() == []
    assert Path(later.path).exists()


def test_a_header_with_fields_of_a_later_version(home, log):
    """Is a header all the same: what it says beside that passes."""
    name = f"{new_id()}-7"
    header = {"type": "journal.opened", "writer": name[:32], "pid": 7, "environment": "moon", "region": {"new": 1}}
    path = home / "journals" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(header) + b"\n" + line("a"))
    assert log.ingest().messages() == ["a"]
    assert {event.environment for event in log.store.log.read(0)} == {"moon"}


@pytest.mark.parametrize(
    "size", [1_500_000, 5_000_000, pytest.param(63_000_000, marks=pytest.mark.slow)], ids=["1.5 MB", "5 MB", "63 MB"]
)
def test_a_huge_line(home, log, size):
    """Longer than a chunk of reading: taken whole, and so are its neighbours."""
    written(home, line("a"), line("x" * size), line("b"))
    assert [len(message) for message in log.ingest().messages()] == [1, size, 1]
    assert log.problems() == []


@pytest.mark.slow
def test_a_line_beyond_the_longest(home, log):
    """Given up, cut, set aside; those around it are kept."""
    written(home, line("a"), line("x" * (66 << 20)), line("b"))
    assert log.ingest().messages() == ["a", "b"]
    assert all(len(kept) <= 2000 for kept in log.problems())


def test_unknown_types_and_duplicates_and_wrong_ids(home, log):
    """Tomorrow's types pass, a line twice is one event, an id that is none is set aside."""
    tomorrow = b'{"type":"flow_run.nudged","id":"%s","time":5,"weight":3}\n' % new_id().encode()
    twice = line("twice")
    wrong = b'{"type":"log.recorded","id":"x","message":"m"}\n'
    upper = b'{"type":"log.recorded","id":"%s","message":"m"}\n' % new_id().upper().encode()
    written(home, tomorrow, twice, twice, wrong, upper, b'{"type":"log.recorded","message":"none"}\n', line("last"))
    written(home, twice)
    assert log.ingest().messages() == ["twice", "last"]
    assert [event.extra for event in log.store.log.read(0, types=["flow_run.nudged"])] == [{"weight": 3}]
    assert len(log.problems()) == 3


POISON = {
    "number beyond 64 bits": b'{"type":"flow_run.started","id":"%s","time":%d,"run":"r","flow":"f"}',
    "attempt beyond 64 bits": b'{"type":"flow_run.started","id":"%s","attempt":%d,"run":"r","flow":"f"}',
    "run id like ours": b'{"type":"flow_run.started","id":"%s","time":5,"run":"zzzzzzzzzzzz7zzzzzzzzzzzzzzzzzzz"}',
    "task run on a flow run": b'{"type":"flow_run.started","id":"%s","time":5,"run":"r","flow":"f","task_run":"t"}',
    "flow run on a task run": b'{"type":"task_run.started","id":"%s","time":5,"task_run":"t","task":"f"}',
    "nothing but its id": b'{"type":"flow_run.finished","id":"%s"}',
    "nul": b'{"type":"flow_run.started","id":"%s","time":5,"run":"a\\u0000b","flow":"\\u0000"}',
    "too deep": b'{"type":"asset.materialized","id":"%s","metadata":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "before the epoch": b'{"type":"flow_run.started","id":"%s","time":-5,"run":"r","flow":"f"}',
    "a state nobody knows": b'{"type":"flow_run.finished","id":"%s","time":5,"run":"r","state":"melted"}',
    "fields of the log": b'{"type":"log.recorded","id":"%s","seq":-1,"received":"no","writer":5,"contrary":7}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_one_line_never_stops_the_rest(home, log, poison):
    """Taken or set aside, and everything around it is in the log; its run ends as any other."""
    made = poison.replace(b"%s", new_id().encode()).replace(b"%d", str(2**70).encode())
    written(home, line("a"), made + b"\n", line("b"))
    written(home, line("c"))
    assert sorted(log.ingest().messages()) == ["a", "b", "c"]
    assert log.store.read(select(runs.c.id).where(runs.c.ended.is_(None), runs.c.started.is_not(None))) == []
    assert log.ingest().messages()  # and it stays so
    assert not list((home / "journals").glob("*.jsonl"))


def test_the_fields_of_the_log_cannot_be_forged(home, log):
    """`seq`, `received`, `writer`, `n` and `contrary` are the log's own words."""
    forged = b'{"type":"log.recorded","id":"%s","message":"m","seq":99,"received":1,"writer":"w","n":5,"contrary":true}\n'
    written(home, forged % new_id().encode())
    (event,) = log.ingest().store.log.read(0)
    assert (event.seq, event.contrary) == (1, False)
    assert event.received > 1_600_000_000_000_000
    assert event.writer == log.writer().name


def test_a_parameter_named_environment_hides_nothing(home, log):
    """The journal's environment is beside it in what goes out over HTTP."""
    journal = open_journal(str(home), environment="production", source="cron")
    journal.write(e.encode(e.FlowRunStarted(id=new_id(), run="r", parameters={"environment": "x", "source": "y"})) + b"\n")
    journal.close()
    (_, sent), *_ = log.ingest().store.log.read_lines(0)
    assert b'"environment":"production"' in sent
    assert b'"source":"cron"' in sent


def test_a_copy_of_a_live_journal_is_nobodys_death(home, log):
    """A backup under another name is unlocked, but does not speak for the process that lives."""
    journal = open_journal(str(home))
    journal.write(e.encode(e.FlowRunStarted(id=new_id(), time=1, run="r", flow="f")) + b"\n")
    copy = Path(journal.path).with_name("0backup.jsonl")
    copy.write_bytes(Path(journal.path).read_bytes())
    log.ingest()
    assert log.store.read(select(runs.c.state)) == [("running",)]
    assert len(log.store.read(select(events.c.seq))) == 1
    journal.close()
    log.ingest()
    assert log.store.read(select(runs.c.state)) == [("crashed",)]


def test_more_journals_than_descriptors(home):
    """After a day without server there are thousands: all get in, whatever the limit of open files."""
    for number in range(300):
        written(home, line(str(number)))
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
import time
from flowtell import config
from flowtell.server.catch_up import catch_up
settings = config.load({"plugins.disable": "dashboard,prometheus,lineage,alerts,notifications"})
until = time.monotonic() + 30
while catch_up(settings).message and time.monotonic() < until:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    log = Log(home)
    assert sorted(map(int, log.messages())) == list(range(300))
    log.store.close()


# --- full disks ---------------------------------------------------------------------------------------------------

FULL = """
import os, resource, signal, sys
from flowtell import bus, events as e
from flowtell.ids import new_id
def say(message):
    bus.emit(e.LogRecorded(id=new_id(), time=1, message=message))
say("before")
path = bus.journal_path()
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + {room}, resource.RLIM_INFINITY))
say("cut")
say("no room at all")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
say("after")
say("and on")
print(bus.dropped())
"""


@pytest.mark.parametrize("room", [0, 1, 40, 10_000])
def test_a_disk_full_in_the_middle_of_a_line(home, log, room):
    """The next event after there is room again is not lost; what was is counted, in the process and in the log."""
    done = subprocess.run([sys.executable, "-c", FULL.format(room=room)], capture_output=True, check=True, timeout=60)
    lost = 0 if room == 10_000 else 2
    assert int(done.stdout) == lost
    kept = ["before", "after", "and on"] if lost else ["before", "cut", "no room at all", "after", "and on"]
    assert log.ingest().messages() == kept
    assert log.writer().dropped == lost
    assert len(done.stderr.splitlines()) == (1 if lost else 0), done.stderr
    if lost:
        assert b"FT1202" in done.stderr


def test_what_is_dropped_is_told_once(home, log):
    """Also an event that no line can be made of."""
    bus.emit(e.LogRecorded(id=new_id(), time=1, message="a"))
    round_and_round: dict[str, object] = {}
    round_and_round["self"] = round_and_round
    bus.emit(e.FlowRunStarted(id=new_id(), parameters=round_and_round))
    bus.emit(e.LogRecorded(id=new_id(), time=1, message="b"))
    assert bus.dropped() == 1
    bus.renew()
    assert log.ingest().messages() == ["a", "b"]
    assert log.writer().dropped == 1


# --- creation -----------------------------------------------------------------------------------------------------

OPENING = """
import sys
from flowtell.journal import open_journal
held = [open_journal(sys.argv[1]) for _ in range(600)]
print("done", flush=True)
sys.stdin.read()
"""


def test_a_prober_never_meets_an_unlocked_or_headless_living_journal(home):
    """A journal is locked and has its header before its name can be seen: 600 made, probed the moment they show."""
    folder = home / "journals"
    folder.mkdir()
    writer = subprocess.Popen([sys.executable, "-c", OPENING, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    false_deaths = headless = 0
    probed: set[str] = set()
    os.set_blocking(writer.stdout.fileno(), False)
    done = False
    while not done:
        done = bool(writer.stdout.read())
        for name in os.listdir(folder):
            if name.startswith(".") or name in probed:
                continue
            probed.add(name)
            tail = JournalTail(str(folder / name))
            false_deaths += tail.take_lock()
            headless += not tail.header.pid
            tail.close()
    writer.communicate(timeout=20)
    assert len(probed) == 600
    assert (false_deaths, headless) == (0, 0)


FORKING = """
import os, sys, time
from flowtell.journal import open_journal
journal = open_journal(sys.argv[1])
child = os.fork()
if not child:
    time.sleep(60)
print(journal.path, child, flush=True)
sys.stdin.read()
"""


def test_a_forked_child_neither_holds_nor_frees_the_lock(home):
    """It closes its copy and never unlocks: the journal is locked while the parent lives, and free when it is dead."""
    parent = subprocess.Popen([sys.executable, "-c", FORKING, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    path, child = parent.stdout.readline().decode().split()
    try:
        tail = JournalTail(path)
        time.sleep(0.2)
        assert not tail.take_lock()
        parent.kill()
        parent.wait(10)
        os.kill(int(child), 0)
        assert tail.take_lock()
        assert tail.writer_gone()
        tail.close()
    finally:
        os.kill(int(child), 9)
        parent.stdin.close()
        parent.stdout.close()


def test_lines_of_many_threads_never_mix(home, log):
    """Eight threads, lines of up to 100 KB, no lock."""
    journal = open_journal(str(home))
    count, threads = 30, []
    for number in range(8):
        body = [line(f"{number}-{at}-" + "x" * (at * 3000)) for at in range(count)]
        threads.append(threading.Thread(target=lambda lines=body: [journal.write(each) for each in lines]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    messages = log.ingest().messages()
    assert len(messages) == 8 * count
    assert log.problems() == []
    for number in range(8):  # each writer's in the order written
        mine = [int(message.split("-")[1]) for message in messages if message.startswith(f"{number}-")]
        assert mine == list(range(count))


def test_two_threads_open_one_journal(home):
    """However many emit first at the same moment."""
    barrier = threading.Barrier(8)

    def say():
        barrier.wait()
        bus.emit(e.LogRecorded(id=new_id(), message="x"))

    threads = [threading.Thread(target=say) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((home / "journals").glob("*.jsonl"))) == 1


def test_a_header_names_its_process(home):
    """By boot, pid and start: a pid alone comes back."""
    journal = open_journal(str(home), environment="test", source="cron", version="1")
    header = decode_header(Path(journal.path).read_bytes().splitlines()[0])
    assert isinstance(journal, Journal)
    assert header == journal.header
    assert (header.pid, header.environment, header.source) == (os.getpid(), "test", "cron")
    assert header.pid_started == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert not os.get_inheritable(journal._fd)
    with pytest.raises(BlockingIOError), open(journal.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    journal.close()


def test_stale_hidden_files_are_removed(home, log):
    """Those of writers that died before they showed their journal; a young one may still be shown."""
    folder = home / "journals"
    folder.mkdir()
    (folder / ".old.jsonl").touch()
    os.utime(folder / ".old.jsonl", (1, 1))
    (folder / ".young.jsonl").touch()
    written(home, line("a"))
    log.ingest()
    assert [path.name for path in folder.iterdir()] == [".young.jsonl"]


def test_reading_commands_see_what_was_just_written(home):
    """`python etl.py; flowtell runs` without server."""
    bus.emit(e.FlowRunStarted(id=new_id(), time=1, run=new_id(), flow="f"))
    freshness = catch_up(config.load())
    assert freshness.message == ""
    log = Log(home)
    assert len(log.store.read(select(runs))) == 1
    log.store.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
