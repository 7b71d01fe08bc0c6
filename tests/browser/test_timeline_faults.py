"""What an open timeline does when the world around it breaks: it says what happened, and comes back by itself."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest

from flowtell import bus
from flowtell.config import load
from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.ids import new_id
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token, revoke_token
from flowtell_dashboard.policy import Pages


def start(flow: str) -> None:
    named = {"run": new_id(), "flow": flow, "environment": "prod"}
    now = time.time_ns() // 1000
    bus.emit(FlowRunStarted(id=new_id(), time=now, **named))
    bus.emit(FlowRunFinished(id=new_id(), time=now + 1, state="completed", duration=0.1, **named))


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def shows(page, selector: str, text: str, seconds: float = 30) -> None:
    page.locator(selector).filter(has_text=text).first.wait_for(state="visible", timeout=seconds * 1000)


WHOLE = "body:not(:has(> #stage)) #timeline[data-painted]"


@pytest.mark.slow
def test_where_websockets_are_barred_pages_poll(page, home, monkeypatch):
    """By a proxy, say: the page is live all the same, the timeline and the list of runs."""

    async def refuse(_pages, _scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    monkeypatch.setattr(Pages, "_talk", refuse)
    with running_server(load({"server.port": 0})) as (address, _):
        page.goto(f"{address}/timeline?last=1h")
        page.wait_for_selector(WHOLE)
        shows(page, "#live", "Live")
        start("came-by-polling")
        shows(page, ".lane-label", "came-by-polling")
        page.goto(f"{address}/")
        shows(page, "#live", "Live")
        start("came-to-the-list")
        shows(page, "#runs", "came-to-the-list")
    bus.renew()


def test_a_store_that_is_being_written_to_is_read(page, server, home):
    """Another process holds SQLite's write lock: the picture comes all the same."""
    start("before")
    page.goto(f"{server}/timeline?last=1h")
    shows(page, ".lane-label", "before")
    with contextlib.closing(sqlite3.connect(home / "flowtell.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        page.goto(f"{server}/timeline?last=6h")
        page.wait_for_selector(WHOLE)
        shows(page, ".lane-label", "before")
        start("meanwhile")
        other.execute("ROLLBACK")
    shows(page, ".lane-label", "meanwhile")


@pytest.mark.slow
def test_a_server_that_comes_back_finds_its_page_again(page, home):
    """Without a reload: not live within ten seconds, what happened meanwhile is there afterwards."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with running_server(load({"server.port": 0})) as (address, _):
        page.goto(f"{address}/timeline?last=1h")
        page.wait_for_selector(WHOLE)
        shows(page, "#live", "Live")
        start("before")
        shows(page, ".lane-label", "before")
    bus.renew()
    gone = time.monotonic()
    shows(page, "#live", "Not live")
    assert time.monotonic() - gone < 12  # ten, and what this machine takes to look
    page.locator("#timeline-lanes").press("+")
    shows(page, "#timeline-instead", "The server does not answer")
    start("while it was away")
    with running_server(load({"server.port": int(address.rsplit(":", 1)[1])})):
        shows(page, "#live", "Live", 60)
        page.locator("#timeline-lanes").press("0")
        shows(page, ".lane-label", "while it was away")
        start("after")
        shows(page, ".lane-label", "after")
    assert errors == []
    bus.renew()


@pytest.mark.slow
def test_a_sign_in_that_ends_is_said(page, home):
    """A token is revoked under an open page: it says so, keeps the picture, and lives again once signed in."""
    with running_server(load({"server.port": 0})) as (address, service):
        now = time.time_ns() // 1000
        found, token = create_token(service.store, "one", ("read",), now=now)
        service.tokens.refresh()
        page.goto(f"{address}/timeline?token={token}")
        page.wait_for_selector(WHOLE)
        shows(page, "#live", "Live")
        revoke_token(service.store, found.id, now=now + 1)
        service.tokens.refresh()
        page.locator("#timeline-lanes").press("+")
        shows(page, "#timeline-instead", "You are signed out")
        shows(page, "#live", "Signed out")
    bus.renew()
