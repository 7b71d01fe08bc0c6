"""`flowtell exec -- COMMAND`: the command notices nothing, and its run is known to the end."""

from __future__ import annotations

import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowtell.config import load
from flowtell.server.app import running_server
from flowtell.store.reading import list_runs

SCRIPT = Path(sys.executable).with_name("flowtell")
QUIET = "alerts,dashboard,jsonlines,lineage,notifications,prometheus"
EVERY_BYTE = bytes(range(256)) * 300


# --- the command notices nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--capture", "5")], ids=["as it is", "captured"])
def test_every_byte_passes_through(wrapped, options):
    """In and out, also what is no text, and more than a pipe holds."""
    done = wrapped.run("sh", "-c", "cat; echo no line end >&2; printf x >&2", options=options, input=EVERY_BYTE)
    assert done.stdout == EVERY_BYTE
    assert done.stderr == b"no line end\nx"
    assert done.returncode == 0


def test_arguments_pass_through_untouched(wrapped):
    words = ["--", "-x", "--flow", "--debug", "a b", "", "*", "$HOME", "@file", "[1]", "ü"]
    done = wrapped.run(sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    assert done.stdout.decode() == f"{words}\n"
    assert done.stderr == b""


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 255])
def test_the_exit_code_is_the_commands(wrapped, the_run, code):
    assert wrapped.run("sh", "-c", f"exit {code}").returncode == code
    run = the_run()
    assert run.state == ("failed" if code else "completed")
    assert (run.error.message if run.error else "") == (f"exit code {code}" if code else "")


def test_descriptors_of_the_caller_reach_the_command_and_the_journal_does_not(wrapped, home):
    reader, writer = os.pipe()
    script = f"import os; os.write({writer}, b'here'); os.execlp('ls', 'ls', '-l', '/proc/self/fd')"
    done = wrapped.run(sys.executable, "-c", script, pass_fds=[writer])
    os.close(writer)
    assert os.read(reader, 10) == b"here"
    os.close(reader)
    assert str(home).encode() not in done.stdout


def test_a_command_on_a_terminal_still_has_it(wrapped):
    ours, theirs = pty.openpty()
    process = wrapped.start("sh", "-c", "test -t 0 && test -t 1 && test -t 2", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert process.wait(30) == 0
    os.close(ours)


def test_a_command_runs_without_any_terminal_or_streams(wrapped, the_run):
    """As from cron: a session of its own, and an environment of next to nothing."""
    bare = {"PATH": os.environ["PATH"], "FLOWTELL_HOME": os.environ["FLOWTELL_HOME"]}
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    done = wrapped.run("sh", "-c", "exit 0", start_new_session=True, env=bare, capture_output=False, **nowhere)
    assert done.returncode == 0
    assert the_run().state == "completed"


def test_a_closed_pipe_ends_the_command_as_it_would_without_us(wrapped):
    """SIGPIPE, which Python ignores, is not ignored in the command."""
    process = wrapped.start("yes")
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE


# --- what cannot be run -------------------------------------------------------------------------------------------


def test_a_command_that_is_not_there(wrapped, the_run):
    done = wrapped.run("no-such-command")
    assert (done.returncode, done.stderr) == (127, b"flowtell exec: no-such-command: command not found\n")
    run = the_run()
    assert (run.state, run.error.type, run.ended is not None) == ("failed", "FileNotFoundError", True)


def test_a_command_that_may_not_be_executed(wrapped, the_run, tmp_path):
    (tmp_path / "plain").write_text("text")
    assert wrapped.run(str(tmp_path / "plain")).returncode == 126
    assert the_run().state == "failed"


@pytest.mark.parametrize("words", [["--flow", "job"], ["--", "true"], ["--flow", "j", "--timeout", "soon", "--", "true"]])
def test_wrong_usage_runs_nothing(words, home):
    done = subprocess.run([SCRIPT, "exec", *words], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error FT1600: ")
    assert not (home / "journals").exists()


# --- signals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_goes_on_to_the_command_and_cancels_the_run(wrapped, the_run, number):
    process = wrapped.start("sh", "-c", "ulimit -c 0; echo up; exec sleep 30")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    process.stdout.close()
    run = the_run()
    assert (run.state, run.signal) == ("cancelled", number.name)


def test_a_command_that_ends_well_when_asked_to_stop_has_completed(wrapped, the_run):
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    process = wrapped.start("sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    assert process.communicate(timeout=20)[0] == b"bye\n"
    assert process.returncode == 0
    assert the_run().state == "completed"


def test_other_signals_go_on_too_and_mean_what_the_command_makes_of_them(wrapped, the_run):
    script = "trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.05; done"
    process = wrapped.start("sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=20)[0] == b"got\n"
    assert process.returncode == 4
    assert the_run().state == "failed"


def test_ctrl_c_reaches_the_command_once(wrapped, the_run):
    """The terminal sends it to both; passed on as well, it would come twice."""
    ours, theirs = pty.openpty()
    script = (
        "import signal, sys, time\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('up', flush=True)\n"
        "while not got: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print(len(got), 'times', flush=True)\n"
        "sys.exit(5)\n"
    )
    words = [SCRIPT, "exec", "--flow", "job", "--", sys.executable, "-c", script]
    process = subprocess.Popen(_on_its_terminal(words), stdin=theirs, stdout=theirs, start_new_session=True)
    os.close(theirs)
    _read_until(ours, b"up")
    os.write(ours, b"\x03")
    shown = _read_until(ours, b"times")
    assert process.wait(20) == 5
    os.close(ours)
    assert b"1 times" in shown
    assert the_run().state == "cancelled"


def _on_its_terminal(words: list) -> list[str]:
    """The same command, by a program that first makes stdin the terminal of its session."""
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", take, *map(str, words)]


def _read_until(descriptor: int, wanted: bytes) -> bytes:
    shown = b""
    until = time.monotonic() + 20
    while wanted not in shown and time.monotonic() < until:
        shown += os.read(descriptor, 1000)
    return shown


def test_a_command_killed_by_somebody_else_has_crashed(wrapped, the_run):
    assert wrapped.run("sh", "-c", "kill -9 $$").returncode == 137
    run = the_run()
    assert (run.state, run.signal, run.error.message) == ("crashed", "SIGKILL", "killed by SIGKILL")


def test_a_killed_wrapper_is_a_crashed_run_though_the_command_lives_on(wrapped, the_run):
    process = wrapped.start("sh", "-c", "echo $$; exec sleep 30")
    command = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    run = the_run()
    os.kill(command, 0)  # raises where the command is gone
    os.kill(command, signal.SIGKILL)
    assert run.state == "crashed"


# --- time-outs ----------------------------------------------------------------------------------------------------


def test_a_command_that_takes_too_long_is_stopped(wrapped, the_run):
    began = time.monotonic()
    assert wrapped.run("sleep", "30", options=("--timeout", "0.3")).returncode == 124
    assert time.monotonic() - began < 15
    run = the_run()
    assert (run.state, run.signal) == ("timed_out", "SIGTERM")


def test_a_command_that_will_not_stop_is_killed(the_run, home):
    script = (
        "from flowtell_sources import child; child.KILL_AFTER = 0.2\n"
        "from flowtell_sources.observed import ObservedCommand\n"
        "command = ['sh', '-c', \"trap '' TERM; while :; do sleep 0.05; done\"]\n"
        "raise SystemExit(ObservedCommand(command, flow='job').run(timeout=0.3))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=30).returncode == 124
    run = the_run()
    assert (run.state, run.signal) == ("timed_out", "SIGKILL")


# --- what the run tells -------------------------------------------------------------------------------------------


def test_the_run_has_what_the_kernel_counted(wrapped, the_run):
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    size = ours + 300_000_000  # a child begins as a copy of the process of these tests, which may have become large
    wrapped.run(sys.executable, "-c", f"x = bytearray({size}); sum(range(2_000_000))")
    run = the_run()
    assert run.peak_memory > size
    assert 0 < run.cpu_seconds < 20
    assert 0 < run.duration < 20
    assert (run.source, run.flow, run.machine != "") == ("exec", "job", True)


def test_a_command_too_small_to_be_told_has_no_peak(wrapped, the_run):
    wrapped.run("true")
    assert the_run().peak_memory is None


def test_secrets_of_a_command_line_are_not_kept(wrapped, the_run):
    wrapped.run("true", "--password=hunter2", "--api-key", "hunter2", "postgres://me:hunter2@db/x", "API_TOKEN=hunter2")
    kept = the_run().parameters["command"]
    assert "hunter2" not in str(kept)
    assert kept[0] == "true"
    assert "postgres://me:********@db/x" in kept


def test_name_and_tags_are_the_runs(wrapped, the_run):
    wrapped.run("true", options=("--name", "first", "--tag", "a", "--tag", "b"))
    assert (the_run().name, the_run().tags) == ("first", ("a", "b"))


@pytest.mark.parametrize("brought", ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "nonsense"])
def test_the_command_goes_on_in_the_runs_trace(wrapped, the_run, brought, monkeypatch):
    """A trace that the caller brought is kept with its flags; the parent is the run's span."""
    monkeypatch.setenv("TRACEPARENT", brought)
    header = wrapped.run("sh", "-c", "printf %s $TRACEPARENT").stdout.decode()
    run = the_run()
    trace, span, flags = re.fullmatch(r"00-(\w{32})-(\w{16})-(\w\w)", header).groups()
    assert span == run.id[16:]
    assert trace == run.trace
    expected = ("4bf92f3577b34da6a3ce929d0e0e4736", "00") if brought.startswith("00") else (run.id, "01")
    assert (trace, flags) == expected


def test_the_last_lines_become_logs_when_asked_for(wrapped, the_run, the_logs):
    script = "for i in 1 2 3 4; do echo line $i; done; echo broken >&2; exit 1"
    wrapped.run("sh", "-c", script, options=("--capture", "2"))
    logs = the_logs()
    assert sorted((line.logger, line.message) for line in logs) == [
        ("stderr", "broken"),
        ("stdout", "line 3"),
        ("stdout", "line 4"),
    ]
    assert the_run().error.message == "exit code 1: broken"


def test_nothing_is_captured_unasked(wrapped, the_logs):
    wrapped.run("echo", "hello")
    assert the_logs() == []


def test_what_the_command_left_behind_does_not_hold_the_wrapper(wrapped, the_run):
    """Also when it still holds the captured pipe: the run is the command's."""
    began = time.monotonic()
    done = wrapped.run("sh", "-c", "sleep 6 & echo $!", options=("--capture", "1"))
    assert time.monotonic() - began < 5.5
    os.kill(int(done.stdout), signal.SIGKILL)
    assert the_run().state == "completed"


def test_a_home_that_cannot_be_written_stops_no_command(wrapped, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "file"))
    done = wrapped.run("echo", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert done.stderr.count(b"\n") == 1
    assert b"FT1202" in done.stderr


# --- schedules that something else keeps --------------------------------------------------------------------------


def scheduled(line, *more):
    return "--schedule", line, *more


def test_a_schedule_is_declared_and_the_run_says_which_time_it_answers(wrapped, the_run, the_events):
    """So that a rule can miss the command on the day on which cron does not start it."""
    before = int(time.time())
    options = scheduled("* * * * *", "--tz", "Europe/Berlin", "--grace", "15m", "--tag", "nightly")
    assert wrapped.run("true", options=options).returncode == 0
    (declared,) = the_events("deployment.declared")
    (schedule,) = declared["schedules"]
    assert (declared["flow"], declared["deployment"], declared["tags"]) == ("job", "job", ["nightly"])
    assert (schedule["expression"], schedule["tz"], schedule["grace"]) == ("* * * * *", "Europe/Berlin", 900.0)
    run = the_run()
    assert (run.deployment, run.state) == ("job", "completed")
    assert run.due % 60_000_000 == 0
    assert before - 60 <= run.due / 1e6 <= time.time() + 6


def test_one_flow_on_two_machines_has_two_deployments(wrapped, the_run):
    wrapped.run("true", options=scheduled("@daily", "--deployment", "berlin"))
    assert the_run().deployment == "berlin"


def test_a_command_that_is_not_there_has_a_due_time_all_the_same(wrapped, the_run):
    assert wrapped.run("no-such-command", options=scheduled("@hourly")).returncode == 127
    assert (the_run().state, the_run().due is not None) == ("failed", True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--schedule", "soon"), b"soon"),
        (("--schedule", "@daily", "--tz", "Europe/Berlinn"), b"Europe/Berlin"),
        (("--schedule", "@daily", "--grace", "ages"), b"grace"),
        (("--tz", "Europe/Berlin"), b"--schedule"),
    ],
    ids=["line", "zone", "grace", "zone alone"],
)
def test_a_wrong_schedule_runs_nothing(wrapped, home, tmp_path, options, word):
    done = wrapped.run("touch", str(tmp_path / "ran"), options=options)
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error FT1600: ")
    assert word in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (home / "journals").exists()


def test_a_schedule_and_its_run_reach_a_server_elsewhere(wrapped, tmp_path, monkeypatch):
    """With FLOWTELL_URL the command's machine needs no server and no store."""
    far = load({"home": str(tmp_path / "far"), "server.port": 0, "plugins.disable": QUIET}, environ={})
    with running_server(far) as (url, service):
        monkeypatch.setenv("FLOWTELL_URL", url)
        assert wrapped.run("true", options=scheduled("@hourly")).returncode == 0
        until = time.monotonic() + 20
        while not (runs := [run for run in list_runs(service.store.read) if run.ended]):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert [(run.state, run.deployment, run.due is not None) for run in runs] == [("completed", "job", True)]
        types = [event.type for event in service.store.log.read(0, 100)]
        assert "deployment.declared" in types
