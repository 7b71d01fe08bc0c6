"""One run as one file: whole, quiet, and harmless whatever its flow wrote."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from flowtell import events as e
from flowtell.errors import RunNotFound
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_dashboard.export import document as exported
from flowtell_dashboard.export.bars import bars
from flowtell_dashboard.export.document import document
from flowtell_dashboard.gantt.reading import read_gantt

SECOND = 1_000_000
MARKUP = "<script>alert(1)</script><img src=https://evil.example/x>"


@pytest.fixture
def run(house: PluginHarness) -> str:
    """A failed run of a mapped task, everything that its flow could write being markup."""
    moment = house.clock()
    run = new_id(moment)
    mine = {"time": moment, "run": run, "flow": MARKUP}
    broken = e.Failure(type="ValueError", message=MARKUP, traceback=MARKUP)
    events: list[e.Event] = [e.FlowRunStarted(id=new_id(moment), name=MARKUP, parameters={"q": MARKUP}, **mine)]
    for index in range(6):
        task = {**mine, "task_run": new_id(moment), "task": MARKUP}
        events.append(e.TaskRunStarted(id=new_id(moment), map_index=index, **task))
        events.append(e.LogRecorded(id=new_id(moment), message=f"{MARKUP} {index}", **task))
        events.append(e.TaskRunFinished(id=new_id(moment), state="failed", error=broken, duration=0.5, **task))
    events.append(e.ArtifactCreated(id=new_id(moment), key="a", kind="markdown", data=MARKUP, **mine))
    ended = {**mine, "time": moment + 90 * SECOND}
    events.append(e.FlowRunFinished(id=new_id(moment), state="failed", error=broken, duration=90.0, **ended))
    house.feed(events)
    return run


class Seen(HTMLParser):
    """Every element, and every address that one of them names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.addresses += [value for name in ("src", "href", "action", "data") if (value := given.get(name))]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""


def test_the_file_is_whole_and_asks_for_nothing(house: PluginHarness, run: str) -> None:
    """No script, no address of anything but data; the policy forbids both all the same."""
    text = document(house.store.read, run, house.clock())
    seen = Seen(text)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(seen.tags)
    assert seen.addresses == []
    assert "default-src 'none'" in seen.policy
    assert all(address.startswith("data:") for address in re.findall(r'url\("?([^")]+)', text))
    assert seen.tags.count("rect") == 6
    assert text.count("&lt;script&gt;") > 10


def test_it_says_what_the_page_says(house: PluginHarness, run: str) -> None:
    text = document(house.store.read, run, house.clock())
    for said in ("1 min 30 s", " UTC", "6 of 6, 6 ended", "State history", "Why it failed", run):
        assert said in text, said
    assert "data-moment" not in text
    assert "data-seconds" not in text


def test_what_is_left_out_is_said(house: PluginHarness, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "LINES", 2)
    monkeypatch.setattr(exported, "TASKS", 4)
    text = document(house.store.read, run, house.clock())
    assert "The newest 2 lines" in text
    assert "4 of 6, 6 ended" in text
    assert "&gt; 5" in text
    assert "&gt; 3<" not in text


def test_a_mapped_task_is_one_row(house: PluginHarness, run: str) -> None:
    drawn = bars(read_gantt(house.store.read, run, house.clock()))
    assert drawn.count("<text") == 1
    assert "\N{MULTIPLICATION SIGN}6" in drawn


def test_it_comes_as_a_file_to_keep(house: PluginHarness, client: TestClient, run: str) -> None:
    answer = client.get(f"/runs/{run}/export.html")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="run-{run}.html"'
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    missing = client.get("/runs/0123456789/export.html")
    assert missing.status_code == 404
    assert "text/plain" in missing.headers["content-type"]


def test_of_no_run_there_is_no_file(house: PluginHarness) -> None:
    with pytest.raises(RunNotFound):
        document(house.store.read, "0" * 32, 1)


def test_a_run_that_goes_on_is_told_until_now(house: PluginHarness) -> None:
    moment = house.clock()
    open_run = new_id(moment)
    started: dict[str, Any] = {"time": moment, "run": open_run, "flow": "slow"}
    house.feed([e.FlowRunStarted(id=new_id(moment), **started)])
    assert "2 min 05 s so far" in document(house.store.read, open_run, moment + 125 * SECOND)
