"""The timeline as a person sees it: painted, live, by keys, by link, in the dark and on a phone."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest

from flowtell import bus, deadline, flow
from flowtell.events import FlowDeclared, FlowRunFinished, FlowRunScheduled, FlowRunStarted, PredictionMade
from flowtell.ids import new_id

SECOND = 1_000_000


def tell(kind, **facts):
    bus.emit(kind(**{"id": new_id(), "time": time.time_ns() // 1000, "environment": "prod", **facts}))


@pytest.fixture
def night(server):
    """Forty runs of four flows over the last hours; the twentieth failed."""
    now = time.time_ns() // 1000
    for number in range(40):
        named = {"run": new_id(), "flow": f"flow-{number % 4}"}
        begin = now - (40 - number) * 600 * SECOND
        tell(FlowRunStarted, **named, time=begin, name=f"run-{number}")
        state = "failed" if number == 20 else "completed"
        tell(FlowRunFinished, **named, time=begin + 300 * SECOND, state=state, duration=300.0)


def painted(page):
    """The picture is there and says so, on Dash's page."""
    page.waits_for("#react-entry-point #timeline[data-painted]")
    return page


def pixels(page, colour):
    """How many pixels of the canvas are of a state's colour."""
    return page.page.evaluate(
        """(state) => {
            const probe = document.createElement("span");
            probe.dataset.state = state; probe.style.color = "var(--state)"; document.body.append(probe);
            const wanted = getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).map(Number); probe.remove();
            const canvas = document.getElementById("timeline-canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
                if (wanted.every((value, n) => data[i + n] === value) && data[i + 3] === 255) found += 1;
            return found;
        }""",
        colour,
    )


def drawn_soon(page, colour):
    """The labels come at once, the picture with the next frame."""
    deadline = time.monotonic() + 5
    while not pixels(page, colour):
        assert time.monotonic() < deadline, f"nothing of {colour} is drawn"
        page.page.wait_for_timeout(50)


def test_it_is_painted_before_dash_is_there_and_taken_over(chromium, server, night):
    """Without any of Dash's scripts the night is on the picture and keys move it; Dash's page goes on from there."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    held: list[object] | None = []

    def hold(route):
        if held is None:
            route.continue_()
        else:
            held.append(route)

    context.route("**/_dash-component-suites/**", hold)
    page = context.new_page()
    page.goto(f"{server}/timeline?last=6h", wait_until="commit")  # what is held may hold up its load
    page.wait_for_selector("#stage #timeline[data-painted]")
    page.wait_for_function("() => document.getElementById('timeline-summary').textContent.includes('1 ended badly')")
    page.locator("#timeline-lanes").focus()
    page.keyboard.press("+")
    assert page.evaluate("() => window.React") is None
    waiting, held = held, None
    for route in waiting:
        route.continue_()
    page.wait_for_selector("#react-entry-point #timeline[data-painted]")
    page.wait_for_selector("#stage", state="detached")
    assert page.locator("#timeline").count() == 1
    assert page.evaluate("() => location.search").startswith("?from=")
    assert page.evaluate("() => document.activeElement.id") == "timeline-lanes"
    page.wait_for_url("**from=*")
    page.wait_for_selector("#live[data-live=live]")
    context.close()


def test_the_night_is_on_the_picture_and_in_its_table(visit, night):
    """Lanes, counts, and the failure in its colour; the table says the same to whoever cannot see it."""
    page = painted(visit("/timeline"))
    page.waits_for("#timeline-summary", "40 runs, 1 ended badly, in 4 lanes")
    assert pixels(page, "failed") > 0
    assert pixels(page, "completed") > 0
    page.page.locator("#timeline .twin summary").click()
    rows = page.page.locator("#timeline-table tbody tr").all_inner_texts()
    assert sorted(row.split() for row in rows) == [
        [f"flow-{n}", "prod", "10", "1" if n == 0 else "0", "0"] for n in range(4)
    ]


def test_a_run_appears_and_ends_by_itself(visit, night):
    """Without a reload: its lane, and then its end."""
    page = painted(visit("/timeline?last=1h"))
    named = {"run": new_id(), "flow": "just-now"}
    tell(FlowRunStarted, **named)
    page.waits_for(".lane-label", "just-now")
    drawn_soon(page, "running")
    tell(FlowRunFinished, **named, state="crashed")
    page.waits_for("#timeline-summary", "ended badly")


def test_a_run_to_come_has_a_mark(visit, server):
    """Where it is due."""
    due = time.time_ns() // 1000 + 20 * SECOND
    tell(FlowRunScheduled, run=new_id(), flow="soon", due=due, time=due - 60 * SECOND)
    page = painted(visit("/timeline?last=1h"))
    page.waits_for("#timeline-summary", "1 due and not started")
    page.waits_for(".lane-label", "soon")


def test_a_deadline_and_a_predicted_end_have_marks(visit, server):
    """In their lane, in the numbers above, in the table below, and where one points at them."""
    now = time.time_ns() // 1000
    at = datetime.fromtimestamp(now / 1e6, UTC) - timedelta(minutes=20)
    rules = (deadline(f"{at.hour:02}:{at.minute:02}"),)
    run = new_id()
    bus.emit(FlowDeclared(id=new_id(), time=now, flow="nightly", environment="prod", rules=rules))
    tell(FlowRunStarted, run=run, flow="nightly", time=now - 1800 * SECOND)
    page = painted(visit("/timeline?last=1h"))
    page.waits_for("#timeline-summary", "1 deadline, in 1 lane")
    bus.emit(PredictionMade(id=new_id(), time=now, run=run, flow="nightly", expected=now + 30 * SECOND))
    page.waits_for("#timeline-summary", "1 predicted end")
    page.page.locator("#timeline .twin summary").click()
    page.waits_for("#timeline-table td", "deadline")
    page.waits_for("#timeline-table td", "expected end")
    canvas = page.page.locator("#timeline-canvas").bounding_box()
    ago = now / 1e6 - at.replace(second=0, microsecond=0).timestamp()
    place = canvas["x"] + canvas["width"] * (0.98 - ago / 3600)
    for step in range(-60, 60, 3):
        page.page.mouse.move(place + step, canvas["y"] + 8)
        if page.page.locator("#timeline-tip", has_text="Deadline of nightly").is_visible():
            return
    raise AssertionError("no words at the deadline's mark")


def test_keys_move_the_window_and_the_address_follows(visit, night):
    """A view is a link: opened again it shows the same."""
    page = painted(visit("/timeline?last=6h"))
    page.page.keyboard.press("+")
    page.page.wait_for_url("**from=*")
    zoomed = page.page.url
    page.page.keyboard.press("ArrowLeft")
    page.page.wait_for_function("(old) => location.href !== old", arg=zoomed)
    words = page.waits_for("#timeline-summary", "runs").inner_text()
    again = painted(visit(page.page.url.removeprefix(page.address)))
    again.waits_for("#timeline-summary", words)
    page.page.keyboard.press("0")
    page.page.wait_for_url("**/timeline")


def test_filters_are_in_the_address_and_say_n_of_n(visit, night):
    """By link, and by the controls."""
    page = painted(visit("/timeline?state=failed"))
    page.waits_for("#timeline-summary", "1 of 40 runs match, 1 ended badly, in 1 lane")
    page = painted(visit("/timeline"))
    page.page.locator("#tl-text").fill("flow-2")
    page.waits_for("#timeline-summary", "10 of 40 runs match")
    page.page.wait_for_url("**text=flow-2*")


def test_nothing_there_says_what_to_do(visit, night):
    """No run passes, or none is in the window."""
    page = painted(visit("/timeline?text=nosuch"))
    page.waits_for("#timeline-instead", "No run in this time passes the filters")
    page = painted(visit("/timeline?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z"))
    page.waits_for("#timeline-instead", "Zoom out, or choose a longer time")


def test_a_click_on_a_bar_opens_its_run(visit, night):
    """And pointing at it says which it is."""
    page = painted(visit("/timeline?last=6h&state=failed"))
    page.waits_for("#timeline-summary", "1 of")
    canvas = page.page.locator("#timeline-canvas").bounding_box()
    place = page.page.evaluate(
        """() => {
            const canvas = document.getElementById("timeline-canvas");
            const ratio = canvas.width / canvas.clientWidth, y = 12;
            const row = canvas.getContext("2d").getImageData(0, y * ratio, canvas.width, 1).data;
            for (let x = 0; x < canvas.width; x += 1) {
                const [red, green, , alpha] = row.slice(x * 4, x * 4 + 4);
                if (alpha === 255 && red > 200 && green < 120) return [x / ratio + 1, y];
            }
            return null;
        }"""
    )
    assert place is not None
    page.page.mouse.move(canvas["x"] + place[0], canvas["y"] + place[1])
    page.waits_for("#timeline-tip", "flow-0 run-20")
    page.page.mouse.click(canvas["x"] + place[0], canvas["y"] + place[1])
    page.page.wait_for_url("**/runs/*")
    page.waits_for("#run-head", "flow-0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit, night, scheme):
    """Nothing scrolls sideways, and the picture is still a picture."""
    page = painted(visit("/timeline", width=390, scheme=scheme))
    page.waits_for("#timeline-summary", "40 runs")
    assert not page.scrolls_sideways()
    assert pixels(page, "failed") > 0


def test_names_are_text(visit, server):
    """Markup in a flow's name is shown, not run; a name of ten thousand characters is cut by the page."""
    now = time.time_ns() // 1000
    for name in ("<img src=x onerror=alert(1)>", "ünïcode ✓", "x" * 10_000):
        tell(FlowRunStarted, run=new_id(), flow=name, time=now - 60 * SECOND)
    page = painted(visit("/timeline?last=1h"))
    page.waits_for(".lane-label", "<img src=x onerror=alert(1)>")
    page.waits_for(".lane-label", "ünïcode ✓")
    assert not page.scrolls_sideways()


def test_an_address_typed_by_hand_is_no_error(visit, night):
    """What makes no sense counts as not said."""
    for address in (
        "/timeline?last=banana&by=x&order=y",
        "/timeline?from=yesterday&to=tomorrow",
        "/timeline?last=99999d",
        "/timeline?fold=maybe",
    ):
        painted(visit(address)).waits_for("#timeline-summary", "runs")


def test_a_flow_of_ones_own_is_there_at_once(visit, server):
    """From the decorator to the picture."""

    @flow
    def hello() -> None: ...

    page = visit("/timeline?last=1h")
    page.waits_for("#live", "Live")
    with contextlib.suppress(Exception):
        hello()
    page.waits_for(".lane-label", "hello")
