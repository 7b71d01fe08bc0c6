"""A browser at a server that asks for tokens: signed in once, it has live pages; not signed in, nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from flowtell import bus
from flowtell.config import load
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token


@pytest.fixture
def locked(home) -> Iterator[tuple[str, str, object]]:
    """The address of a server with a token in its store, that token, and the service."""
    with running_server(load({"server.port": 0})) as (address, service):
        _, token = create_token(service.store, "browser", ("read",), now=time.time_ns() // 1000)
        service.tokens.refresh()
        yield address, token, service
    bus.renew()


@pytest.fixture
def page(chromium) -> Iterator[object]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_signed_in_once_the_pages_are_live(locked, page, nightly):
    """The address loses the token; callbacks and the websocket go by the cookie, which no script can read."""
    address, token, _ = locked
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/?token={token}")
    assert page.url == f"{address}/"
    page.locator("[data-live=live]").wait_for(timeout=10_000)
    nightly()
    page.get_by_text("nightly-orders").or_(page.get_by_text("nightly_orders")).first.wait_for(timeout=10_000)
    assert page.evaluate("() => document.cookie") == ""
    assert token not in page.content()
    assert errors == []


def test_without_signing_in_there_is_nothing(locked, page):
    address, _, _ = locked
    assert page.goto(f"{address}/").status == 401
    assert "a token is needed" in page.content()


def test_a_revoked_token_ends_the_page(locked, page, nightly):
    """The page says that it is not live any more, and a new one is refused."""
    from flowtell.store.tokens import revoke_token

    address, token, service = locked
    page.goto(f"{address}/?token={token}")
    page.locator("[data-live=live]").wait_for(timeout=10_000)
    revoke_token(service.store, "browser", now=time.time_ns() // 1000)
    page.locator("[data-live=stale]").wait_for(timeout=25_000)
    assert page.goto(f"{address}/runs").status == 401


def test_another_site_cannot_frame_or_use_it(locked, page):
    """A page of another origin, in a browser that is signed in: no frame, no answer, no websocket."""
    address, token, _ = locked
    page.goto(f"{address}/?token={token}")
    elsewhere = address.replace("127.0.0.1", "localhost")
    page.route(f"{elsewhere}/stranger", lambda route: route.fulfill(content_type="text/html", body="<p>hello</p>"))
    page.goto(f"{elsewhere}/stranger")
    tried = page.evaluate(
        """async address => {
            const said = {};
            for (const [name, options] of [["get", {}], ["post", {method: "POST", body: "{}"}]])
                said[name] = await fetch(address + "/api/runs", {credentials: "include", ...options})
                    .then(() => "read", () => "no");
            said.websocket = await new Promise(done => {
                const socket = new WebSocket(address.replace("http", "ws") + "/_dash-ws-callback");
                socket.onopen = () => done("open");
                socket.onerror = () => done("no");
            });
            return said;
        }""",
        address,
    )
    assert tried == {"get": "no", "post": "no", "websocket": "no"}
