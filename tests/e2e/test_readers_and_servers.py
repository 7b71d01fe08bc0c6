"""One process at a time moves the log: reading commands and servers that come, go and are killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from flowtell.server.role import IngestRole, holder, is_taken


def test_two_readers_while_a_server_starts_and_is_killed(house):
    """Nothing lost, nothing doubled, in the log and in the totals; the role passes each time."""
    turns(house, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_readers_and_servers_take_many_turns(house, rounds):
    """The same for longer."""
    turns(house, rounds(full=30, ci=6))


def turns(house, times):
    stop = house.folder / "stop"
    writers = [house.writer("writer.py", 0.01), house.writer("flows.py")]
    readers = [house.child("reader.py", stop, 0.02 * number, stdout=subprocess.PIPE) for number in range(2)]
    for number in range(times):
        time.sleep(random.uniform(0.3, 1.0))
        server = house.server(wait=number % 2 == 0)
        time.sleep(random.uniform(0.1, 1.0))
        house.kill(server)
        if number % 3 == 1:  # a reader is killed too, wherever it is
            house.kill(readers[1])
            readers[1].stdout.close()
            readers[1] = house.child("reader.py", stop, stdout=subprocess.PIPE)
    time.sleep(0.5)
    for writer in writers:
        house.kill(writer)
    stop.touch()
    passes = [line.split() for reader in readers for line in reader.communicate(timeout=20)[0].decode().splitlines()]
    assert [reader.returncode for reader in readers] == [0, 0], house.errors()
    assert len(passes) > times
    assert {"False"} <= {line[1] for line in passes}, "the readers never had the role"
    house.server()
    house.settled()
    noted, held = house.check_nothing_lost()
    house.check_every_run_ended()
    series = house.check_totals()
    slowest = max(float(line[0]) for line in passes)
    print(f"{noted} acknowledged, {held} in the log, {len(passes)} passes, slowest {slowest:.2f} s, {series} series")


def test_readers_alone_keep_totals_exact(house):
    """Without any server, three commands share the work by slices; what they project is exact."""
    stop = house.folder / "stop"
    writer = house.writer("writer.py", 0.005)
    readers = [house.child("reader.py", stop, stdout=subprocess.PIPE) for _ in range(3)]
    time.sleep(4)
    house.kill(writer)
    time.sleep(1)
    stop.touch()
    for reader in readers:
        reader.communicate(timeout=20)
    noted, held = house.check_nothing_lost()
    assert noted > 300
    house.check_every_run_ended()
    cursors = dict(house.sql("SELECT plugin, seq FROM cursors"))
    assert cursors["prometheus"] >= held, cursors
    house.server()
    house.settled()
    house.check_totals()


@pytest.fixture
def command(house):
    def start(seconds):
        # a group of its own under ours: the kernel does not stop a group whose parents are all gone
        process = house.child("slices.py", seconds, stdout=subprocess.PIPE, text=True, process_group=0)
        assert process.stdout.readline() == "inside\n", house.errors()
        return process

    yield start
    for process in house.processes:
        if process.stdout:
            process.send_signal(signal.SIGCONT)
            house.kill(process)
            process.stdout.close()


def test_a_command_stopped_between_slices_holds_nothing(house, command):
    """Even by SIGSTOP: a server starts at once."""
    process = command(0.0)
    assert process.stdout.readline() == "outside\n"
    house.until(lambda: not is_taken(str(house.home)))
    process.send_signal(signal.SIGSTOP)
    if is_taken(str(house.home)):  # it was quicker than we: then it is inside, and that is the next test's
        process.send_signal(signal.SIGCONT)
        pytest.skip("stopped inside a slice")
    house.server()
    assert str(house.processes[-1].pid) in holder(str(house.home))


def test_ctrl_z_waits_for_the_end_of_a_slice(house, command):
    """SIGTSTP is what a terminal sends: it takes effect when the role is free."""
    process = command(0.5)
    process.send_signal(signal.SIGTSTP)
    house.until(lambda: state(process.pid) == "T", 5, "the command is stopped")
    assert not is_taken(str(house.home))
    role = IngestRole(str(house.home))
    assert role.take()
    role.release()


def test_a_command_stopped_inside_a_slice_is_named(house, command):
    """SIGSTOP cannot be held back. A server that then starts says who has the role, and gets it when that one is ended."""
    process = command(0.5)
    process.send_signal(signal.SIGSTOP)
    server = house.server(wait=False)
    assert server.wait(20) != 0
    assert f"pid {process.pid}" in house.errors()
    assert "RoleTaken" in house.errors()
    house.kill(process)
    house.server()


def test_a_second_server_names_the_first(house):
    """One home has one server."""
    first = house.server()
    (house.folder / "address").rename(house.folder / "first")
    second = house.server(wait=False)
    assert second.wait(20) != 0
    assert f"pid {first.pid}" in house.errors()
    assert first.poll() is None


def test_a_port_in_use_is_one_clear_error(house):
    """Before anything else was started: the role is not taken."""
    code = """
import socket, sys
from flowtell import config
from flowtell.server.app import run_server
listener = socket.create_server(("127.0.0.1", 0))
try:
    run_server(config.load({"server.port": listener.getsockname()[1]}))
except Exception as error:
    print(type(error).__name__, error.code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("PortInUse FT1401 Port "), done
    assert not is_taken(str(house.home))
    assert not (house.home / "flowtell.db").exists()


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
