"""A folder that takes no file: the flow runs on, one warning, what is dropped is counted and told later."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

FLOW = """
import sys, time
from flowtell import bus, flow, task
bus._RETRY_SECONDS = {retry}
@task
def double(x):
    return 2 * x
@flow
def nightly():
    return sum(double(x) for x in range(20))
print(nightly(), flush=True)
began = time.perf_counter()
for _ in range(20):
    nightly()
print((time.perf_counter() - began) / 20, flush=True)
sys.stdin.readline()
print(nightly(), bus.dropped(), bool(bus.journal_path()), flush=True)
"""


@pytest.mark.parametrize("way", ["a file in its place", "a folder below a file", "no folder may be made there"])
def test_the_flow_runs_on(home, monkeypatch, way):
    """Its result is its own, stderr has one line with a code, and it goes on when the folder can be written again."""
    homes = {
        "a file in its place": home / "h",
        "a folder below a file": home / "h" / "deep",
        "no folder may be made there": None,
    }
    place = homes[way]
    (home / "h").write_text("in the way")
    monkeypatch.setenv("FLOWTELL_HOME", str(place or "/proc/flowtell"))
    command = [sys.executable, "-c", FLOW.format(retry=0.2)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "380\n"
    assert float(process.stdout.readline()) < 0.5
    if place:
        (home / "h").unlink()
        time.sleep(0.3)
    out, errors = process.communicate("\n", timeout=30)
    total, dropped, writes = out.split()
    assert process.returncode == 0
    assert total == "380"
    assert int(dropped) > 21 * 40
    warnings = [line for line in errors.splitlines() if "FT1202" in line]
    assert len(warnings) == 1, errors
    assert writes == str(bool(place))
    if place:
        check_told(place, int(dropped))


def check_told(home, dropped):
    """The journal says how many are missing before its first event."""
    (journal,) = (home / "journals").glob("*.jsonl")
    lines = journal.read_text().splitlines()
    assert f'{{"type":"journal.dropped","count":{dropped}}}' in lines[1]
    assert any("flow_run.finished" in line for line in lines)
