"""A run in time, as a person sees it."""

from __future__ import annotations

import time

import pytest

from flowtell import bus, flow, get_run_logger, task, unmapped
from flowtell.events import FlowRunStarted, LogRecorded
from flowtell.ids import new_id


@pytest.fixture
def mapped(server):
    """A run of a task, twelve mapped ones and a last one, whose logs say which was at work."""

    @task
    def extract() -> list[int]:
        print("extracting")
        time.sleep(0.1)
        return list(range(12))

    @task
    def transform(row: int) -> int:
        time.sleep(0.002)
        return row

    @task
    def load(rows: list[int]) -> int:
        print("loading")
        return len(rows)

    @flow(log_prints=True)
    def nightly() -> None:
        load([future.result() for future in transform.map(extract())])

    nightly()


def opened(visit, **how):
    page = visit("/", **how)
    href = page.waits_for("#runs-table a.run-link", "nightly").get_attribute("href")
    page = visit(href, **how)
    page.waits_for("#gantt[data-painted]")
    return page


def test_mapped_tasks_are_one_row_until_asked(visit, mapped):
    """A click unfolds them; the summary counts all."""
    page = opened(visit)
    page.waits_for("#gantt-summary", "14 task runs, ")
    page.has(".gantt-label", 3)
    page.waits_for("button.gantt-label", "transform").click()
    page.waits_for(".gantt-label.inside", "transform")
    page.has("#gantt[data-rows='15']", 1)


def test_only_the_critical_path(visit, mapped):
    """The switch leaves what decided the run's length: unfolded, some of the mapped tasks go."""
    page = opened(visit)
    page.waits_for("button.gantt-label", "transform").click()
    page.page.wait_for_function("() => document.getElementById('gantt').dataset.rows === '15'")
    page.page.locator("#gantt-path").check(force=True)
    page.page.wait_for_function("() => Number(document.getElementById('gantt').dataset.rows) < 15")


def test_a_bar_and_its_log_lines_light_each_other(visit, mapped):
    """Pointing at a log line marks its row, pointing at a bar marks its lines."""
    page = opened(visit)
    page.waits_for(".logs li", "loading").hover()
    page.waits_for(".gantt-label[data-lit=yes]", "load")
    page.page.locator("#gantt").scroll_into_view_if_needed()
    label = page.waits_for(".gantt-label", "extract").bounding_box()
    canvas = page.page.locator("#gantt-canvas").bounding_box()
    page.page.mouse.move(canvas["x"] + canvas["width"] * 0.2, label["y"] + label["height"] / 2)
    page.waits_for(".logs li[data-lit=yes]", "extracting")
    page.waits_for("#gantt-tip", "critical path")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit, mapped, scheme):
    """Nothing scrolls sideways."""
    page = opened(visit, width=390, scheme=scheme)
    assert not page.scrolls_sideways()


@pytest.fixture
def wordy(server):
    """A run of three thousand lines, one of them a warning of two."""

    @flow
    def chatty() -> None:
        log = get_run_logger()
        for number in range(3000):
            log.info("line %d", number)
        log.warning("disk is\nnearly full")

    chatty()


def test_thousands_of_lines_are_searched_and_scrolled(visit, wordy):
    """The newest first; only those on the screen are in the document; a search says n of N."""
    page = visit("/")
    page = visit(page.waits_for("#runs-table a.run-link", "chatty").get_attribute("href"))
    page.waits_for("#logs-summary", "3,001 lines")
    page.waits_for(".logs li", "nearly full")
    assert page.page.locator(".logs li").count() < 120
    page.page.locator("#logs").evaluate("(list) => { list.scrollTop = 0 }")
    page.waits_for(".logs li", "line 0")
    page.page.locator("#logs-text").fill("line 29")
    page.waits_for("#logs-summary", "111 of 3,001 lines match")
    page.page.locator("#logs-text").fill("disk")
    page.waits_for("#logs-summary", "1 of 3,001 lines match")
    page.has(".logs li[data-level=warning]", 2)


def test_lines_come_while_one_looks(visit, server):
    """Without a reload, and the end stays in view."""
    run = new_id()
    now = time.time_ns() // 1000
    bus.emit(FlowRunStarted(id=new_id(), time=now, run=run, flow="slow", environment="prod"))
    page = visit(f"/runs/{run}")
    page.waits_for("#logs-summary", "Nothing was logged")
    for number in range(3):
        bus.emit(LogRecorded(id=new_id(), time=now, run=run, flow="slow", environment="prod", message=f"said {number}"))
        page.waits_for(".logs li", f"said {number}")
    page.waits_for("#logs-summary", "3 lines")


def test_dependencies_are_a_picture_and_a_table(visit, server):
    """A box for each task, all of a mapped one in one; a line for each result that was passed on, and a row."""

    @task
    def extract() -> int:
        return 3

    @task
    def transform(day: int, rows: int) -> int:
        return rows + day

    @task
    def load(parts: list[int]) -> int:
        return sum(parts)

    @flow
    def nightly() -> None:
        load(transform.map([1, 2, 3], unmapped(extract.submit())))

    nightly()
    page = visit("/", width=390)
    page = visit(page.waits_for("#runs-table a.run-link", "nightly").get_attribute("href"))
    page.waits_for("#task-graph-frame .asset-box", "transform \N{MULTIPLICATION SIGN}3")
    page.has("#task-graph-frame .asset-box", 3)
    page.has("#task-graph-frame .asset-edge", 2)
    page.waits_for("#task-graph-summary", "3 tasks, 2 results passed on")
    page.waits_for("#task-graph-twin summary", "As a table").click()
    page.waits_for("#task-graph-twin td", "transform \N{MULTIPLICATION SIGN}3")
    page.waits_for("#task-graph-twin td", "parts")
    assert not page.scrolls_sideways()
