"""What an open page does when what it shows goes away, or its address makes no sense: it says so, and goes on."""

from __future__ import annotations

import time

import pytest

from flowtell import bus
from flowtell.config import load
from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.ids import new_id
from flowtell.server.app import running_server
from flowtell.server.retention import prune
from flowtell.store.tokens import create_token, revoke_token

DAY = 86_400_000_000


def tell(kind, **facts):
    bus.emit(kind(**{"id": new_id(), "time": time.time_ns() // 1000, **facts}))


def test_a_run_that_is_pruned_while_one_looks_says_so(home, chromium):
    """The page says what may have happened and where to go on, and the list has the others."""
    config = load({"server.port": 0, "retention.runs_days": 1, "retention.events_days": 1})
    with running_server(config) as (address, service):
        page = chromium.new_context().new_page()
        run, old = new_id(), time.time_ns() // 1000 - 3 * DAY
        tell(FlowRunStarted, run=run, flow="old", time=old)
        tell(FlowRunFinished, run=run, flow="old", time=old + 1, duration=1.0)
        page.goto(f"{address}/runs/{run}")
        page.locator("#run-head h1", has_text="old").wait_for(timeout=10_000)
        page.locator("[data-live=live]").wait_for(timeout=10_000)
        prune(service.store, config, now=time.time_ns() // 1000, go_on=lambda: True)
        tell(FlowRunStarted, run=new_id(), flow="new")
        page.locator(".notice", has_text="Run not found").wait_for(timeout=10_000)
        page.locator(".notice", has_text="pruned").wait_for()
        page.get_by_text("See all runs").click()
        page.locator("#runs-table", has_text="new").wait_for(timeout=10_000)
        page.context.close()
    bus.renew()


ODD = "%3Cb%3E%F0%9F%98%80" + "x" * 500


@pytest.mark.parametrize(
    "address",
    [
        f"/?state=nonsense,{ODD}&since=never&before=9e99.{ODD}&flow={ODD}",
        f"/flow?name={ODD}&environment={ODD}",
        f"/assets?only={ODD}&after={ODD}&text=%25",
        f"/asset?key={ODD}&up={ODD}&down=&up=",
        f"/compare?run={ODD}&with=%00",
        "/runs/zzzz?tasks=-1",
        "/incidents/%2e%2e",
        "/?" + "&".join(f"a{n}=1" for n in range(500)),
    ],
    ids=["runs", "flow", "assets", "asset", "compare", "run", "incident", "many"],
)
def test_an_address_typed_by_hand_is_no_error(visit, server, address):
    """A notice with a way on, or the page as if it had not been said; nothing of it becomes markup."""
    page = visit(address)
    page.waits_for(".notice")
    assert page.page.locator("#page b", has_text="😀").count() == 0
    assert page.page.locator("#trouble .trouble").count() == 0
    assert not page.scrolls_sideways()


@pytest.mark.slow
def test_a_sign_in_that_ends_keeps_what_was_typed(home, chromium):
    """A list that one has filtered, and a palette that is open: both say that one is signed out."""
    with running_server(load({"server.port": 0})) as (address, service):
        found, token = create_token(service.store, "one", ("read",), now=time.time_ns() // 1000)
        service.tokens.refresh()
        page = chromium.new_context().new_page()
        page.goto(f"{address}/?token={token}")
        page.locator("[data-live=live]").wait_for(timeout=10_000)
        revoke_token(service.store, found.id, now=time.time_ns() // 1000)
        service.tokens.refresh()
        page.keyboard.press("Control+k")
        page.keyboard.type("night")
        page.locator("#palette-count", has_text="signed out").wait_for(timeout=10_000)
        assert page.locator("#palette-text").input_value() == "night"
        page.keyboard.press("Escape")
        page.locator("#live", has_text="Signed out").wait_for(timeout=30_000)
        _, token = create_token(service.store, "two", ("read",), now=time.time_ns() // 1000)
        service.tokens.refresh()
        page.goto(f"{address}/?token={token}")
        page.locator("[data-live=live]").wait_for(timeout=10_000)
        page.context.close()
    bus.renew()
