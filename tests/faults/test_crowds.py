"""Many at once: processes and threads that emit together, and thousands of journals whose processes are dead."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flowtell.events import FlowRunStarted, TaskRunStarted, encode
from flowtell.ids import new_id
from flowtell.journal import Header, encode_header

MEMORY_BYTES = 300 << 20


def test_eight_processes_of_four_threads_emit_at_once(place, rounds):
    """Every line is whole, every event is there once, each process's in the order written."""
    server = place.server()
    runs = rounds(full=250, ci=50)
    crowd = [place.writer("crowd.py", runs) for _ in range(8)]
    for process in crowd:
        assert process.wait(60) == 0, place.errors()
    place.settled()
    print(f"8 x 4 at once: {place.check()}")
    assert place.sql("SELECT count(*) FROM runs") == [(8 * 4 * runs,)]
    assert place.sql("SELECT count(*) FROM rejected_lines") == [(0,)]
    assert server.poll() is None


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_thousands_of_journals_of_dead_processes(place, rounds):
    """A server that starts beside them answers, sees who lives, stays small; each open run is crashed once, the files go."""
    place.without_proxy()
    count = rounds(full=3000 if place.database == "" else 1000, ci=200)  # PostgreSQL takes five times as long for each
    folder = place.home / "journals"
    folder.mkdir()
    for number in range(count):
        write_dead_journal(folder, number)
    began = time.monotonic()
    server = place.server()
    answered = time.monotonic() - began
    late = []
    for _ in range(3):
        late.append(time_to_be_seen(place))
        time.sleep(0.5)
    place.until(lambda: place.ready() == 200, 0.2 * count, "ready")
    ready = time.monotonic() - began
    place.settled()
    gone = time.monotonic() - began
    most = peak_memory(server.pid)
    place.check()
    assert dict(place.sql("SELECT state, count(*) FROM runs GROUP BY 1")) == {"crashed": count, "completed": 3}
    print(
        f"{count} journals of dead processes: answers after {answered:.1f} s, ready {ready:.1f} s, all deleted "
        f"{gone:.1f} s, a new flow's end seen meanwhile after {max(late):.1f} s, peak memory {most >> 20} MB"
    )
    assert answered < 10
    assert max(late) < 5
    assert most < MEMORY_BYTES


def time_to_be_seen(place):
    """How long until the end of a flow that runs now is in the log, although thousands of journals came before."""
    writer = place.writer("writer.py", 0.0, 1)
    assert writer.wait(20) == 0
    run = place.noted(writer.side)[0][2]
    return place.until(
        lambda: place.sql("SELECT 1 FROM runs WHERE id = ? AND state = 'completed'", run), 60, "the new flow's end"
    )


def write_dead_journal(folder: Path, number: int) -> None:
    """A process that started a run with a task and was killed: nobody holds the file's lock."""
    now = time.time_ns() // 1000 - 3_600_000_000 + number
    writer, run = new_id(now), new_id(now)
    header = Header(writer=writer, pid=4_000_000 + number, time=now, machine="gone", environment="test")
    started = FlowRunStarted(id=new_id(now), time=now, run=run, flow=f"flow_{number % 50}")
    task = TaskRunStarted(id=new_id(now), time=now, run=run, flow=f"flow_{number % 50}", task_run=new_id(now), task="open")
    lines = [encode_header(header).encode(), encode(started), encode(task), b'{"type":"log.recorded","mess']
    (folder / f"{writer}-{header.pid}.jsonl").write_bytes(b"\n".join(lines))


def peak_memory(process: int) -> int:
    """Bytes, by the kernel's own count."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE")
