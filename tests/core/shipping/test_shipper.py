"""The shipper of a flow's process, from outside: real processes, real servers, and servers that are none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

FLOW = """
import sys, time
from flowtell import flow, task
@task
def double(x):
    return 2 * x
@flow
def nightly():
    print(sum(double(x) for x in range(20)), flush=True)
    {middle}
    return 1
nightly()
{after}
"""


def run(url, home, middle="pass", after="", *, code=FLOW, **environ):
    """A flow's process, started."""
    settings = {"FLOWTELL_URL": url, "FLOWTELL_HOME": str(home), **environ}
    return subprocess.Popen(
        [sys.executable, "-c", code.format(middle=middle, after=after)],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, seconds=30):
    out, errors = process.communicate(timeout=seconds)
    return process.returncode, out, errors


def journals(home):
    folder = home / "journals"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def near(tmp_path):
    return tmp_path / "near"


def test_all_of_a_flow_is_there_when_it_has_ended_and_its_file_is_gone(far, near):
    """Nothing is said on stderr, and the run is as its process left it."""
    assert finish(run(far.url, near)) == (0, "380\n", "")
    assert far.states() == {"nightly": "completed"}
    assert journals(near) == []
    with far.service.store.reading() as connection:
        row = connection.exec_driver_sql("SELECT ended, shipper, last_sign, name FROM writers WHERE kind='journal'").one()
    assert row.ended
    assert row.shipper == row.name
    assert abs(row.last_sign - time.time() * 1e6) < 5e6


def test_events_arrive_while_the_flow_runs(far, near):
    process = run(far.url, near, middle="sys.stdin.readline()")
    process.stdout.readline()
    far.until(lambda: far.states() == {"nightly": "running"}, 5)
    assert far.service.presence.open_streams().total() == 1
    assert finish(process)[0] == 0


@pytest.mark.parametrize("home", ["/proc/flowtell", "/dev/null/x"])
def test_from_memory_where_no_disk_may_be_written(far, home):
    """The same, without a warning and without a file."""
    assert finish(run(far.url, home)) == (0, "380\n", "")
    far.until(lambda: far.states() == {"nightly": "completed"})


def test_memory_that_is_full_is_told_once_and_counted(serve, near):
    """With no server to take it: one line for the server, one for the memory; the flow is what it is."""
    code, out, errors = finish(
        run(
            "http://127.0.0.1:9",
            "/proc/flowtell",
            FLOWTELL_SHIPPING__MEMORY_BYTES="3000",
            FLOWTELL_SHIPPING__EXIT_SECONDS="0.5",
        )
    )
    assert (code, out) == (0, "380\n")
    assert sorted(line.rpartition("[")[2] for line in errors.splitlines()) == ["FT1202]", "FT1811]"]


def test_what_no_server_took_stays_for_the_next_process(serve, near):
    """Its end is not waited for; the next process of the home ships both, and deletes both."""
    began = time.monotonic()
    code, _, errors = finish(run("http://127.0.0.1:9", near))
    assert code == 0
    assert time.monotonic() - began < 4
    assert errors.count("FT1811") == len(errors.splitlines()) == 1
    assert len(journals(near)) == 1
    with serve() as far:
        process = run(far.url, near, middle="sys.stdin.readline()")
        far.until(lambda: len(far.ask("GET", "/api/runs?state=completed")[1]["runs"]) == 1)
        far.until(lambda: len(journals(near)) == 1)
        assert finish(process)[0] == 0
        assert journals(near) == []
        assert len(far.ask("GET", "/api/runs?state=completed")[1]["runs"]) == 2


def test_a_server_that_starts_later_gets_all(serve, near):
    """The sender tries again by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = run(f"http://127.0.0.1:{port}", near, middle="sys.stdin.readline()")
    process.stdout.readline()
    time.sleep(0.5)
    with serve(port=port) as far:
        far.until(lambda: far.states() == {"nightly": "running"})
        assert finish(process)[0] == 0
        far.until(lambda: far.states() == {"nightly": "completed"})


@pytest.mark.parametrize("way", ["accepts and says nothing", "answers garbage", "closes at once"])
@pytest.mark.parametrize("home", ["a folder", "memory"])
def test_a_server_that_is_none_costs_a_bounded_end(near, way, home):
    """The flow's result is its own, and its process ends within the bound and a little."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()
        thread = threading.Thread(target=misbehave, args=(listener, way, stop))
        thread.start()
        process = run(
            f"http://127.0.0.1:{listener.getsockname()[1]}",
            near if home == "a folder" else "/proc/flowtell",
            after="print(time.time(), flush=True)",
            FLOWTELL_SHIPPING__EXIT_SECONDS="1",
        )
        code, out, errors = finish(process)
        took = time.time() - float(out.split()[1])
        stop.set()
        thread.join()
    assert (code, out.split()[0]) == (0, "380")
    assert took < 2.0
    assert len(errors.splitlines()) <= 1
    if home == "a folder":
        assert len(journals(near)) == 1


def misbehave(listener, way, stop):
    listener.settimeout(0.05)
    kept = []
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        kept.append(connection)
        if way == "answers garbage":
            connection.sendall(b"\x00\xff SSH-2.0-nothing\r\n\r\n")
        if way != "accepts and says nothing":
            connection.close()
    for connection in kept:
        connection.close()


def test_a_server_that_is_away_when_the_flow_ends_is_waited_for(serve, near):
    """It had answered before: a pod's disk may be gone a moment later."""
    with serve() as far:
        port = int(far.port)
        process = run(far.url, near, middle="sys.stdin.readline()")
        far.until(lambda: far.states() == {"nightly": "running"})
    process.stdin.write("\n")
    process.stdin.flush()
    time.sleep(1.5)
    assert process.poll() is None
    with serve(port=port) as far:
        assert finish(process)[0] == 0
        assert far.states() == {"nightly": "completed"}
        assert journals(near) == []


def test_an_address_that_is_none_is_told_and_the_flow_runs(near):
    code, out, errors = finish(run("nowhere", near))
    assert (code, out) == (0, "380\n")
    assert "FT1814" in errors
    assert len(journals(near)) == 1


def test_a_wrong_token_is_told_and_all_is_kept(serve, near):
    """And shipped by the next process, which has the right one from a file."""
    with serve(token="s3cret") as far:
        code, _, errors = finish(run(far.url, near, FLOWTELL_TOKEN="wrong"))
        assert code == 0
        assert "FT1812" in errors
        assert "FLOWTELL_TOKEN" in errors
        assert len(journals(near)) == 1
        near.joinpath("token").write_text("s3cret\n")
        process = run(far.url, near, middle="time.sleep(1.5)", FLOWTELL_TOKEN_FILE=str(near / "token"))
        assert finish(process)[::2] == (0, "")
        assert journals(near) == []


FORKS = """
import os, sys, time, warnings
warnings.simplefilter("error")
from flowtell import flow
@flow
def {name}():
    return 1
@flow
def child():
    time.sleep(0.3)
parent()
{fork}
"""

EACH = "for _ in range(5):\n    if not os.fork():\n        child(); sys.exit()\n"
WAYS = {
    "fork": "if not os.fork():\n    child(); sys.exit()\nos.wait(); parent()",
    "many forks": f"{EACH}for _ in range(5): os.wait()\nparent()",
    "multiprocessing": (
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    pool.apply(child); pool.close(); pool.join()\nparent()"
    ),
    "process": (
        "import multiprocessing\none = multiprocessing.get_context('fork').Process(target=child)\n"
        "one.start(); one.join()\nassert one.exitcode == 0\nparent()"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_after_a_fork_each_has_its_own(far, near, way):
    """No warning of a fork with threads, nothing lost, nothing crashed, no file left behind."""
    code = FORKS.replace("{name}", "parent").replace("{fork}", WAYS[way])
    process = run(far.url, near, code=code.replace("{", "{{").replace("}", "}}"))
    assert finish(process)[::2] == (0, "")
    far.until(lambda: set(far.states().values()) == {"completed"})
    runs = far.ask("GET", "/api/runs")[1]["runs"]
    assert sorted(run["flow"] for run in runs) == ["child"] * (5 if way == "many forks" else 1) + ["parent"] * 2
    far.until(lambda: journals(near) == [])


def test_a_child_that_lives_on_does_not_hold_its_parents_stream(serve, near):
    """The parent is killed, its child has the descriptors of a fork: the parent's run has crashed all the same."""
    with serve(heartbeat_seconds=1.0) as far:
        middle = "import os; os.fork() or time.sleep(60); sys.stdin.readline()"
        process = run(far.url, near, middle=middle)
        process.stdout.readline()
        far.until(lambda: far.states() == {"nightly": "running"})
        process.kill()
        began = time.monotonic()
        far.until(lambda: far.states() == {"nightly": "crashed"}, 5)
        assert time.monotonic() - began < 2.0
        left = [int(name) for name in os.listdir("/proc") if name.isdigit() and is_child_of_it(int(name), near)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert left


def is_child_of_it(pid, near):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"FLOWTELL_HOME={near}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def test_nothing_is_loaded_where_no_server_is_named(near):
    """Neither the shipper nor what it needs."""
    code = (
        "import sys; from flowtell import flow\n@flow\ndef f(): pass\nf()\n"
        "print([m for m in sys.modules if 'shipping' in m or m in ('ssl', 'http.client')])"
    )
    environ = {name: value for name, value in os.environ.items() if name != "FLOWTELL_URL"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environ, "FLOWTELL_HOME": str(near)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
