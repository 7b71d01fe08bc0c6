"""Check-ins from anything that can make a request: each is written before it is answered, and becomes part of a run."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from flowtell import config
from flowtell.check_file import read_checks
from flowtell.errors import BadValue, UnknownKey
from flowtell.ids import is_id
from flowtell.server.app import running_server
from flowtell.store.reading import get_run, list_logs, list_runs
from flowtell.store.tokens import create_token

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications,jsonlines"}
MINUTE = 60_000_000


class Host:
    """A machine that checks in, and the server's log behind it."""

    def __init__(self, url, service):
        self.host, _, self.port = url.removeprefix("http://").partition(":")
        self.service = service

    def ask(self, path, *, body=None, method="POST", headers=None, **query):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=10)
        try:
            connection.request(method, f"/api/ping/{path}{f'?{urlencode(query)}' if query else ''}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}"), dict(answer.getheaders())
        finally:
            connection.close()

    def ping(self, path, *, body=None, **query):
        status, answer, _ = self.ask(path, body=body, **query)
        assert status == 200, answer
        return answer

    def ended(self, run):
        """The run, once the log has its end."""
        return self._until(lambda: (found := self.run(run)) and found.ended and found)

    def open(self, run):
        return self._until(lambda: self.run(run))

    def run(self, run):
        return next((found for found in list_runs(self.service.store.read) if found.id == run), None)

    def events(self, *types):
        return [event for event in self.service.store.log.read(0, 10_000) if event.type in types]

    def await_events(self, count, *types):
        return self._until(lambda: len(found := self.events(*types)) >= count and found)

    def _until(self, condition):
        until = time.monotonic() + 10
        while not (found := condition()):
            assert time.monotonic() < until
            time.sleep(0.01)
        return found


@pytest.fixture
def serve(tmp_path):
    @contextmanager
    def start(**settings):
        given = {**QUIET, "home": str(tmp_path / "home"), **settings}
        loaded = config.load(given, environ={}, folder=str(tmp_path))
        with running_server(loaded) as (url, service):
            yield Host(url, service)

    return start


@pytest.fixture
def host(serve):
    with serve() as started:
        yield started


# --- what becomes of them -----------------------------------------------------------------------------------------


def test_a_start_and_the_success_after_it_are_one_run(host):
    began = host.ping("backup/start", body="going")
    assert (host.open(began["run"]).state, began["state"]) == ("running", "running")
    done = host.ping("backup/success", body="42 files\n")
    assert done["run"] == began["run"]
    run = host.ended(began["run"])
    assert (run.flow, run.state, run.source) == ("backup", "completed", "ping")
    assert 0 <= run.duration < 10
    assert [line.message for line in list_logs(host.service.store.read, run.id)] == ["going", "42 files"]


def test_a_failure_says_the_last_words_and_the_exit_code(host):
    host.ping("backup/start")
    run = host.ended(host.ping("backup/fail", body="opened\ndisk full\n", exit=3)["run"])
    assert (run.state, run.error.type, run.error.message) == ("failed", "ExitCode", "exit code 3: disk full")


def test_a_success_with_an_exit_code_means_what_the_code_means(host):
    """So that a crontab line needs no condition: `…/success?exit=$?`."""
    assert host.ended(host.ping("backup/success", exit=0)["run"]).state == "completed"
    assert host.ended(host.ping("backup/success", exit=1)["run"]).state == "failed"


def test_a_success_alone_is_a_run_of_unknown_duration(host):
    run = host.ended(host.ping("backup/success")["run"])
    assert (run.state, run.duration, run.started) == ("completed", None, None)


def test_runs_that_the_client_names_may_overlap(host):
    first, second = host.ping("load/start", run="a")["run"], host.ping("load/start", run="b")["run"]
    assert first != second
    assert host.ping("load/success", run="a")["run"] == first
    assert host.ping("load/fail", run="b")["run"] == second
    assert [host.ended(run).state for run in (first, second)] == ["completed", "failed"]
    assert host.run(first).external_id == "a"


def test_a_second_start_ends_what_never_said_how_it_ended(host):
    """Without a name nothing could tell the end of the one from the end of the other."""
    lost, found = host.ping("backup/start")["run"], host.ping("backup/start")["run"]
    assert host.ended(lost).state == "crashed"
    assert host.ping("backup/success")["run"] == found
    assert host.ended(found).state == "completed"


def test_flows_deployments_and_environments_are_told_apart(host):
    runs = {host.ping("backup/start")["run"], host.ping("backup/start", deployment="berlin")["run"]}
    runs |= {host.ping("backup/start", environment="test")["run"], host.ping("restore/start")["run"]}
    assert len(runs) == 4
    host.await_events(4, "flow_run.started")
    assert not host.events("flow_run.finished")
    done = host.ended(host.ping("backup/success", environment="test")["run"])
    assert (done.environment, done.id in runs) == ("test", True)


def test_sent_twice_under_one_id_it_counts_once(host):
    """As `curl --retry` does when the answer was lost."""
    answers = [host.ping("backup/start", id="2026-11-25") for _ in range(2)]
    assert [answer.get("duplicate", False) for answer in answers] == [False, True]
    assert answers[0]["run"] == answers[1]["run"]
    host.ping("backup/success", id="2026-11-25")
    assert host.ping("backup/start", id="2026-11-25")["duplicate"]
    host.ended(answers[0]["run"])
    assert len(list_runs(host.service.store.read)) == 1


def test_after_a_restart_the_server_knows_open_runs_and_what_was_sent_before(serve):
    with serve() as host:
        began = host.ping("backup/start", id="one")
        named = host.ping("load/start", run="a")
    with serve() as host:
        assert host.ping("backup/start", id="one") == {"run": began["run"], "duplicate": True}
        done = host.ended(host.ping("backup/success")["run"])
        assert (done.id, done.duration is not None) == (began["run"], True)
        assert host.ended(host.ping("load/success", run="a")["run"]).id == named["run"]


def test_a_server_that_stops_ends_no_run(serve):
    """Its journal says that the runs live elsewhere."""
    with serve() as host:
        run = host.ping("backup/start")["run"]
    with serve() as host:
        time.sleep(0.5)
        assert host.open(run).ended is None


def test_it_is_answered_when_it_is_written(host):
    """No answer before the line is in the journal: what was told is there after any kill."""
    run = host.ping("backup/start")["run"]
    journals = (Path(host.service.config.home) / "journals").glob("*.jsonl")
    assert any(run.encode() in path.read_bytes() for path in journals)


def test_many_at_once_lose_and_double_nothing(host):
    """Sixteen clients, each with runs of its own name."""

    def client(number):
        for turn in range(5):
            host.ping("load/start", run=f"{number}-{turn}")
            host.ping("load/success", run=f"{number}-{turn}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    host.await_events(80, "flow_run.finished")
    runs = list_runs(host.service.store.read, limit=1000)
    assert (len(runs), {run.state for run in runs}) == (80, {"completed"})


# --- when it is due -----------------------------------------------------------------------------------------------


def test_a_schedule_is_declared_once_and_later_check_ins_answer_its_due_times(host):
    before = time.time_ns() // 1000
    began = host.ping("backup/start", cron="* * * * *", tz="Europe/Berlin", grace="15m")
    assert began["due"] % MINUTE == 0
    assert before - MINUTE <= began["due"] <= time.time_ns() // 1000 + MINUTE // 10
    host.ping("backup/success", cron="* * * * *", tz="Europe/Berlin", grace="15m")
    (declared,) = host.await_events(1, "deployment.declared")
    assert (declared.flow, declared.deployment, declared.source) == ("backup", "backup", "ping")
    assert (declared.schedules[0].tz, declared.schedules[0].grace) == ("Europe/Berlin", 900.0)
    run = host.ended(began["run"])
    assert (run.due, run.deployment) == (began["due"], "backup")
    assert host.ping("backup/start")["due"] is not None


def test_a_success_alone_answers_a_due_time_too(host):
    run = host.ended(host.ping("backup/success", cron="@hourly")["run"])
    assert run.due == run.ended - run.ended % (60 * MINUTE)


def test_a_schedule_that_changes_is_declared_again_and_kept_over_a_restart(serve):
    with serve() as host:
        host.ping("backup/start", cron="0 2 * * *")
        host.ping("backup/success", cron="0 3 * * *")
        host.await_events(2, "deployment.declared")
    with serve() as host:
        due = host.ping("backup/start")["due"]
        assert time.gmtime(due / 1e6).tm_hour == 3


def test_the_client_may_say_which_time_it_answers(host):
    run = host.ping("backup/start", due="2026-11-25T02:00:00+01:00")["run"]
    assert host.open(run).due == 1_795_568_400_000_000
    assert host.ping("restore/start", due="1795568400")["due"] == 1_795_568_400_000_000


CHECKS = """
[[checks]]
flow = "backup"
cron = "0 2 * * *"
tz = "Europe/Berlin"
grace = "30m"
tags = ["nightly"]
owners = ["ops"]

[[checks]]
flow = "pulse"
deployment = "often"
every = "15m"
"""


def test_checks_of_the_configuration_are_declared_at_start_and_taken_back_when_they_go(serve, tmp_path):
    """A rule can miss the first check-in; and one that is no longer expected is missed by nobody."""
    (tmp_path / "flowtell.toml").write_text(CHECKS)
    with serve() as host:
        backup, pulse = host.await_events(2, "deployment.declared")
        assert (backup.deployment, backup.tags, backup.owners) == ("backup", ("nightly",), ("ops",))
        assert (backup.schedules[0].tz, backup.schedules[0].grace) == ("Europe/Berlin", 1800.0)
        assert (pulse.deployment, pulse.schedules[0].expression) == ("often", "900s")
        assert host.ping("backup/start", cron="0 5 * * *")["run"]
        assert len(host.events("deployment.declared")) == 2
    (tmp_path / "flowtell.toml").write_text(CHECKS[: CHECKS.index("[[checks]]", 5)])
    with serve() as host:
        (gone,) = host.await_events(1, "deployment.removed")
        assert (gone.flow, gone.deployment) == ("pulse", "often")


@pytest.mark.parametrize(
    ("text", "problem", "words"),
    [
        ('[[checks]]\nflow = "a"\n', BadValue, ":1"),
        ('x = 1\n[[checks]]\nflow = "a"\ncron = "soon"\n', BadValue, "soon"),
        ('[[checks]]\ncron = "@daily"\n', BadValue, "flow"),
        ('[[checks]]\nflow = "a"\ncron = "@daily"\ntz = "Europe/Berlinn"\n', BadValue, "Europe/Berlin"),
        ('[[checks]]\nflow = "a"\ncron = "@daily"\ngraze = "1m"\n', UnknownKey, "grace"),
        ('[[checks]]\nflow = "a"\ncron = "@daily"\n[[checks]]\nflow = "a"\nevery = "1h"\n', BadValue, ":1"),
        ('[[checks]]\nflow = "a"\ncron = "@daily"\nevery = "1h"\n', BadValue, "every"),
    ],
    ids=["no schedule", "no cron line", "no flow", "no zone", "a slip", "twice", "both"],
)
def test_a_wrong_check_is_refused_with_its_line(tmp_path, text, problem, words):
    path = tmp_path / "flowtell.toml"
    path.write_text(text)
    with pytest.raises(problem) as raised:
        read_checks(str(path))
    assert words in str(raised.value)


# --- who may, and what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("backup/stop", {}),
        ("backup/start", {"when": "now"}),
        ("backup/start", {"due": "tomorrow"}),
        ("backup/start", {"due": "2026-11-25T02:00:00"}),
        ("backup/start", {"exit": "0"}),
        ("backup/success", {"exit": "256"}),
        ("backup/success", {"exit": "-1"}),
        ("backup/start", {"cron": "soon"}),
        ("backup/start", {"cron": "@daily", "tz": "Nowhere"}),
        ("backup/start", {"cron": "@daily", "every": "1h"}),
        ("backup/start", {"tz": "UTC"}),
        ("backup/start", {"run": "x" * 201}),
        ("backup/start", {"deployment": "a\nb"}),
        ("x" * 201 + "/start", {}),
        (quote("a\x00b") + "/start", {}),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "backslashreplace").decode(),
)
def test_what_cannot_be_kept_is_refused_and_writes_nothing(host, path, query):
    status, answer, _ = host.ask(path, **query)
    assert (status, answer["code"]) == (400, "FT2450")
    assert not host.events("flow_run.started", "flow_run.finished")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_only_post_checks_in(host, method):
    """A link that is previewed, or a picture on somebody's page, is no backup that worked."""
    status, answer, headers = host.ask("backup/success", method=method)
    assert (status, headers["allow"]) == (405, "POST")
    assert method == "HEAD" or "curl" in answer["error"]
    time.sleep(0.2)
    assert not list_runs(host.service.store.read)


def test_a_page_of_another_site_cannot_check_in(host):
    assert host.ask("backup/success", headers={"Origin": "https://elsewhere.example"})[0] == 403


def test_a_token_to_bring_events_in_is_needed_and_enough(serve):
    with serve(**{"server.token": "s3cret"}) as host:
        _, made = create_token(host.service.store, "cron", ("ingest",), now=time.time_ns() // 1000)
        host.service.tokens.refresh()
        assert host.ask("backup/start")[0] == 401
        assert host.ask("backup/start", headers={"Authorization": f"Bearer {made}"})[0] == 200
        _, reader = create_token(host.service.store, "reader", ("read",), now=time.time_ns() // 1000)
        host.service.tokens.refresh()
        assert host.ask("backup/start", headers={"Authorization": f"Bearer {reader}"})[0] == 403
        assert host.ask("backup/start", method="GET", headers={"Authorization": f"Bearer {reader}"})[0] == 403


def test_a_body_is_bounded_and_its_end_is_kept(host):
    run = host.ping("backup/start", body=b"x" * 100_000 + b" last words")["run"]
    host.await_events(1, "log.recorded")
    (line,) = list_logs(host.service.store.read, run)
    assert (len(line.message), line.message.endswith("last words")) == (16_384, True)
    assert host.ask("backup/start", body=b"x" * (2 << 20))[0] == 413


def test_any_bytes_are_a_body(host):
    assert is_id(host.ping("backup/success", body=bytes(range(256)))["run"])
    assert host.ended(host.ping("backup/fail", body=b"\xff\xfe")["run"]).state == "failed"


def test_what_cannot_be_written_is_not_answered_as_kept(host, monkeypatch):
    from flowtell.source import writing

    monkeypatch.setattr(writing, "open_journal", _no_room)
    status, _, headers = host.ask("backup/start")
    assert (status, headers["retry-after"]) == (503, "2")
    monkeypatch.undo()
    run = host.ping("backup/start", id="again")["run"]
    assert host.open(run).state == "running"


def _no_room(*_arguments, **_options):
    from flowtell.errors import JournalUnwritable

    raise JournalUnwritable("/nowhere", "no space left")


def test_a_run_can_be_looked_at_by_its_id(host):
    run = host.ended(host.ping("backup/success")["run"])
    assert get_run(host.service.store.read, run.id[:12]).id == run.id
