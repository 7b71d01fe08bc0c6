"""What whoever may does to a run from its page, and what a reader is told instead."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from datetime import date
from typing import Literal

import pytest

from flowtell import RunInput, bus, flow, pause_flow_run
from flowtell.config import load
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token

LONG = """
import time
from flowtell import flow

@flow(name="long")
def long():
    print("begun", flush=True)
    while True:
        time.sleep(0.05)

long()
"""


class Place(RunInput):
    city: str
    depth: int


class Review(RunInput):
    """Look at the rows before they are published."""

    verdict: Literal["publish", "discard"]
    note: str = "as always"
    rows: int
    share: float = 0.5
    sure: bool = False
    day: date
    where: Place


@pytest.fixture
def paused(server):
    """A run that asks for a review, and what it was answered; at the end it has an answer."""
    answers = []

    @flow(name="reviewed")
    def reviewed() -> None:
        answers.append(pause_flow_run(wait_for_input=Review, key="review", timeout=30))

    def carry_out() -> None:
        with contextlib.suppress(Exception):  # nobody answered: the test has failed before
            reviewed()

    thread = threading.Thread(target=carry_out)
    thread.start()
    yield answers
    thread.join(60)


def opened(visit, flow, **how):
    page = visit("/", **how)
    found = page.waits_for("#runs-table a.run-link", flow)
    page.go(found.get_attribute("href"))
    return page


def test_a_form_is_made_of_the_question_and_its_answer_goes_to_the_run(visit, paused):
    """A control for each kind, what does not fit beside its field, and the run goes on with what was typed."""
    page = opened(visit, "reviewed")
    page.waits_for(".question h2", "Review")
    page.waits_for(".question", "Look at the rows")
    form = page.page.locator(".question form")
    kinds = {
        each.get_attribute("data-field"): each.get_attribute("data-kind") for each in form.locator("[data-field]").all()
    }
    assert kinds == {
        "verdict": "select-one", "note": "textarea", "rows": "number", "share": "number",
        "sure": "checkbox", "day": "date", "where": "textarea",
    }  # fmt: skip
    form.get_by_label("Your name").fill("Ann")
    form.get_by_label("Where").fill('{"city": "Berlin", "depth": "deep"}')
    form.get_by_role("button", name="Answer").click()
    page.waits_for("[data-field=verdict] .field-wrong", "it is missing")
    page.waits_for("[data-field=rows] .field-wrong", "it is missing")
    page.waits_for("[data-field=where] .field-wrong", "depth: it is to be a whole number")
    assert page.page.evaluate("() => document.activeElement.closest('[data-field]').dataset.field") == "verdict"
    form.get_by_label("Verdict").select_option(label="publish")
    form.get_by_label("Rows").fill("12")
    form.get_by_label("Sure").check()
    form.get_by_label("Day").fill("2026-11-20")
    form.get_by_label("Where").fill("{")
    form.get_by_role("button", name="Answer").click()
    page.waits_for("[data-field=where] .field-wrong", "no JSON")
    form.get_by_label("Where").fill('{"city": "Berlin", "depth": 3}')
    form.get_by_role("button", name="Answer").click()
    page.waits_for("#run-head .state", "Completed")
    page.has(".question", 0)
    page.waits_for("#run-story", "Ann")
    answer = paused[0]
    assert (answer.verdict, answer.note, answer.rows, answer.sure) == ("publish", "as always", 12, True)
    assert (answer.day, answer.where.depth) == (date(2026, 11, 20), 3)
    page.errors[:] = [error for error in page.errors if "422" not in error]  # Chromium reports each refused request


@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_typed_stays_while_the_page_is_told_of_news(visit, paused, nightly, width):
    """Another run's events fill the page anew; the form is left alone, and fits a phone."""
    page = opened(visit, "reviewed", width=width)
    note = page.waits_for(".question [data-field=note] textarea")
    note.fill("three rows less")
    nightly()
    page.page.wait_for_timeout(1500)
    assert note.input_value() == "three rows less"
    assert not page.scrolls_sideways()
    answer = {"verdict": "discard", "rows": 1, "day": "2026-11-20", "where": {"city": "x", "depth": 1}}
    page.page.evaluate(
        """async answer => {
            const run = document.querySelector(".question").dataset.run;
            await fetch(`/api/runs/${run}/resume`, {method: "POST", body: JSON.stringify({answer})});
        }""",
        answer,
    )
    page.waits_for("#run-head .state", "Completed")


def test_a_question_of_a_single_value_and_one_of_none(visit, server):
    """A number has one field; leave to go on has none."""
    answers = []

    @flow(name="asks")
    def asks() -> None:
        answers.append(pause_flow_run(wait_for_input=int, key="how many", timeout=60))
        answers.append(pause_flow_run(key="go", timeout=60))

    thread = threading.Thread(target=asks)
    thread.start()
    page = opened(visit, "asks")
    page.waits_for(".question [data-field] input[type=number]").fill("7")
    page.page.get_by_role("button", name="Answer").click()
    page.page.get_by_role("button", name="Let it go on").click()
    page.waits_for("#run-head .state", "Completed")
    thread.join(10)
    assert answers[0] == 7


def test_a_run_is_cancelled_from_its_page(visit, server, tmp_path):
    """By name and with a reason; the page shows it as soon as the run has ended."""
    script = tmp_path / "long.py"
    script.write_text(LONG)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        page = opened(visit, "long")
        page.waits_for("#run-head button", "Cancel").click()
        form = page.page.locator("#cancel-form")
        form.get_by_label("Why").fill("the wrong day")
        form.get_by_label("Your name").fill("Ann")
        page.page.keyboard.press("Escape")
        form.wait_for(state="hidden")
        page.waits_for("#run-head button", "Cancel").click()
        form.get_by_role("button", name="Cancel the run").click()
        page.waits_for("#run-head .state", "Cancelled")
        page.waits_for("#cancel-form .outcome", "The run is cancelled")
        page.has("#run-head button", 0)
        page.waits_for("#run-story", "the wrong day")


def test_a_reader_is_told_what_it_takes_and_refused_in_any_case(home, chromium, tmp_path):
    """No button and no form; the route says 403 to whoever asks past the page."""
    script = tmp_path / "long.py"
    script.write_text(LONG)
    with running_server(load({"server.port": 0})) as (address, service):
        _, token = create_token(service.store, "reader", ("read",), now=time.time_ns() // 1000)
        service.tokens.refresh()
        with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.readline()
            context = chromium.new_context()
            page = context.new_page()
            page.goto(f"{address}/?token={token}")
            page.locator("#runs-table a.run-link").first.click()
            page.get_by_text("To cancel it takes a token of scope operate.").wait_for(timeout=10_000)
            assert not page.locator("#run-head button").is_visible()
            run = page.url.rpartition("/")[2]
            status = page.evaluate(
                "async run => (await fetch(`/api/runs/${run}/cancel`, {method: 'POST', body: '{}'})).status", run
            )
            assert status == 403
            assert process.poll() is None
            context.close()
            process.kill()
    bus.renew()
