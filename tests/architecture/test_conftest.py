"""The fixtures that guard the suite notice what they are there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


def test_what_outlives_its_test_fails_it(run_suite):
    """A thread, a child or an orphaned grandchild that is still there after the grace period is an error."""
    outcome = run_suite(
        """
import subprocess, threading, time
def test_leaky():
    threading.Thread(target=time.sleep, args=(4,), name="forgotten").start()
    globals()["kept"] = subprocess.Popen(["sleep", "61"])
    subprocess.run("sleep 62 & exit", shell=True)
"""
    )
    assert "1 passed, 1 error" in outcome.stdout
    for left in ("left behind: thread forgotten", ": sleep 61", ": sleep 62"):
        assert left in outcome.stdout


def test_what_ends_in_time_is_no_leak(run_suite):
    """A test may leave a thread or a child that ends on its own within the grace period."""
    outcome = run_suite(
        """
import subprocess, threading, time
def test_tidy():
    threading.Thread(target=time.sleep, args=(0.2,)).start()
    subprocess.Popen(["true"]).wait()
"""
    )
    assert "1 passed" in outcome.stdout
    assert outcome.returncode == 0


def test_the_outside_does_not_come_in(run_suite):
    """Settings of whoever runs the suite reach no test; each test has an empty home of its own."""
    outcome = run_suite(
        """
import os
homes = set()
def check():
    assert "FLOWTELL_STORE" not in os.environ
    assert "TRACEPARENT" not in os.environ
    assert os.listdir(os.environ["FLOWTELL_HOME"]) == []
    open(os.environ["FLOWTELL_HOME"] + "/mine", "x").close()
def test_one(): check()
def test_two(): check()
""",
        FLOWTELL_STORE="sqlite://",
        TRACEPARENT="00-1-1-01",
    )
    assert "2 passed" in outcome.stdout


def test_what_a_test_emits_stays_in_its_home(run_suite):
    """The bus of the suite's process opens a new journal for each test, in that test's home."""
    outcome = run_suite(
        """
import os
from flowtell import bus
from flowtell.events import FlowRunHeartbeat
def check():
    bus.emit(FlowRunHeartbeat(run="0" * 32))
    assert bus.journal_path().startswith(os.environ["FLOWTELL_HOME"])
def test_one(): check()
def test_two(): check()
"""
    )
    assert "2 passed" in outcome.stdout


def test_a_bounded_slice_starts_no_slow_test_after_its_time(run_suite):
    """What no longer fits is skipped and listed, so that the closing lines still say what was done."""
    outcome = run_suite(
        "import pytest\n@pytest.mark.slow\ndef test_slow(): pass\ndef test_quick(): pass\n",
        FLOWTELL_TEST_SECONDS="0",
    )
    assert "1 passed, 1 skipped" in outcome.stdout


@pytest.fixture
def run_suite(tmp_path):
    """Run a file of tests under the suite's own conftest, in a process of its own."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long\n")

    def run(tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(tests)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/t", "."],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
