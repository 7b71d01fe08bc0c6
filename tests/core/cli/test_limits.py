"""`flowtell limits`: what is stated, what is held, what waits."""

from __future__ import annotations

import json

import pytest

from flowtell import flow
from flowtell.limits.book import Request
from flowtell.limits.desk import LocalDesk


def test_a_limit_that_is_set_is_listed_and_cleared(flowtell):
    assert flowtell("limits", "set", "tag:db", "3").code == 0
    assert flowtell("limits", "list").out.rstrip().split("\t") == ["tag:db", "3", "0", "0", "command"]
    assert flowtell("limits", "set", "tag:db", "0").err == "At most 0 at a time: tag:db.\n"
    assert flowtell("limits", "clear", "tag:db").code == 0
    listed = flowtell("limits", "list")
    assert (listed.out, "flowtell limits set" in listed.err) == ("", True)


@pytest.mark.parametrize(
    "words",
    [("set", "tag:", "1"), ("set", "db", "-1"), ("clear", "db"), ("set", "a\nb", "1")],
    ids=["no tag", "below nought", "not set", "two lines"],
)
def test_what_no_limit_can_be_is_refused(flowtell, words):
    outcome = flowtell("limits", *words)
    assert outcome.code in (1, 2)
    assert outcome.err.startswith("Error FT")


def test_who_holds_and_who_waits_is_shown(flowtell, home):
    desk = LocalDesk(str(home), {})
    requests = [
        Request(ticket=f"{number}" * 32, owner=desk.owner, run=f"{number}" * 32, limits={"db": 2}) for number in range(4)
    ]
    desk.ask(requests)
    (row,) = [line.split("\t") for line in flowtell("limits", "list").out.splitlines()]
    assert row[:5] == ["db", "2", "2", "2", "code"]
    assert row[5].startswith("0000")
    (state,) = json.loads(flowtell("limits", "list", "--json").out)
    assert [holder["run"] for holder in state["holders"]] == ["0" * 32, "1" * 32]
    desk.close()


def test_what_the_configuration_states_is_listed_and_a_slip_in_it_is_told(flowtell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowtell.toml").write_text("[limits.tag]\ndb = 2\n[limits.name]\nwarehouse = 1\n")
    assert [line.split("\t")[:2] for line in flowtell("limits", "list").out.splitlines()] == [
        ["tag:db", "2"],
        ["warehouse", "1"],
    ]
    (tmp_path / "flowtell.toml").write_text("[limits.tags]\ndb = 2\n")
    assert "FT2451" in flowtell("limits", "list").err


def test_what_a_run_holds_is_listed_as_long_as_it_goes_on(flowtell, home):
    @flow(concurrency_limit=1)
    def limited():
        return json.loads(flowtell("limits", "list", "--json").out)

    (state,) = limited()
    assert (state["name"], state["used"]) == ("flow:limited", 1)
    assert json.loads(flowtell("limits", "list", "--json").out) == []
