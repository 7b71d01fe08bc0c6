"""Strangers at the door: every route with wrong tokens and right ones, from other sites, under other names."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager

import pytest
import uvicorn
from tests.core.server.strangers import QUIET, Stranger

from flowtell import config
from flowtell.cli import main
from flowtell.errors import TokenNeeded
from flowtell.server.app import run_server, running_server
from flowtell.store.tokens import create_token, digest, list_tokens, revoke_token

READS = ("/", "/api/runs", "/api/events", "/metrics", "/api/plugins", "/nothing", "/api/runs/abc/logs", "/openapi.json")
WRITES = (
    ("POST", "/api/runs/abc/cancel", "operate"),
    ("PUT", "/api/incidents/1", "operate"),
    ("DELETE", "/api/silences/1", "operate"),
    ("PATCH", "/api/runs/abc", "operate"),
    ("TRACE", "/api/runs", "operate"),
    ("PROPFIND", "/api/runs", "operate"),
    ("POST", "/", "operate"),
    ("POST", "/api/events", "ingest"),
    ("POST", "/api/journal", "ingest"),
    ("POST", "/api/journal/abc", "ingest"),
    ("GET", "/api/journal/abc", "ingest"),
    ("POST", "/api/v1/lineage", "ingest"),
    ("POST", "/api/v1/lineage/batch", "ingest"),
    ("POST", "/openapi/openlineage/api/v1/lineage", "ingest"),
    ("POST", "/api/ping/nightly/start", "ingest"),
    ("DELETE", "/api/events", "operate"),
    ("POST", "/api/eventsx", "operate"),
    ("POST", "/_dash-update-component", "read"),
)
ALLOWS = {
    "read": {"read"},
    "ingest": {"ingest"},
    "operate": {"operate", "read"},
    "admin": {"admin", "operate", "ingest", "read"},
}
NOW = 1_795_000_000_000_000


@contextmanager
def serving(home, **settings):
    with running_server(config.load({**QUIET, "home": str(home), **settings}, environ={})) as (url, service):
        yield Stranger(url), service


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server whose tokens are in the store: one for each scope, one that expired, one that was revoked."""
    with serving(tmp_path_factory.mktemp("house")) as (stranger, service):
        now = time.time_ns() // 1000
        tokens = {scope: create_token(service.store, scope, (scope,), now=now)[1] for scope in ALLOWS}
        tokens["expired"] = create_token(service.store, "expired", ("admin",), now=now - 10, expires=now - 1)[1]
        revoked, tokens["revoked"] = create_token(service.store, "revoked", ("admin",), now=now)
        revoke_token(service.store, revoked.id, now=now)
        service.tokens.refresh()
        yield stranger, tokens, service


@pytest.mark.parametrize("wrong", ["none", "unknown", "expired", "revoked", "digest", "cut", "longer"])
def test_nothing_is_answered_without_a_valid_token(house, wrong):
    """On every route and method alike, so that nobody learns what there is."""
    stranger, tokens, _ = house
    given = {
        "none": "",
        "unknown": "ft_" + "A" * 43,
        "digest": digest(tokens["admin"]),
        "cut": tokens["admin"][:-1],
        "longer": tokens["admin"] + "A",
        **tokens,
    }[wrong]
    for method, path in [("GET", path) for path in READS] + [(method, path) for method, path, _ in WRITES]:
        answer = stranger.ask(path, method, **({"Authorization": f"Bearer {given}"} if given else {}))
        too_many = 503 if "lineage" in path else 429  # OpenLineage's clients come again after 503 alone
        assert answer.status in (401, too_many), (method, path)
        assert answer.status == too_many or answer.headers["www-authenticate"] == "Bearer"
        assert not given or given.encode() not in answer.body
        assert set(json.loads(answer.body)) == {"error"}
    assert stranger.lives()


@pytest.mark.parametrize("scope", list(ALLOWS))
def test_a_scope_opens_its_own_routes_only(house, scope):
    """403 names the scope that is missing; past the door each route answers for itself."""
    stranger, tokens, _ = house
    for method, path, needed in [("GET", path, "read") for path in READS] + list(WRITES):
        answer = stranger.bearing(tokens[scope], path, method)
        if needed in ALLOWS[scope]:
            assert answer.status in (200, 400, 404, 405), (method, path, answer)
        else:
            assert answer.status == 403, (method, path, answer)
            assert json.loads(answer.body)["error"] == f"this token lacks the scope '{needed}'"


def test_another_method_by_header_is_not_believed(house):
    stranger, tokens, _ = house
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert stranger.bearing(tokens["read"], "/api/runs", "POST", **{name: "GET"}).status == 403
    assert stranger.bearing(tokens["read"], "/api/runs?_method=DELETE").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/../api/runs",
        "/healthz/%2e%2e/api/runs",
        "//healthz",
        "/healthz/",
        "/healthz;/api/runs",
        "/healthz%2f..%2fapi/runs",
        "/api/../healthz",
        "/HEALTHZ",
        "/healthz%00",
        "/api//runs",
        "/./api/runs",
        "/readyz/x",
    ],
)
def test_no_path_leads_round_the_door(house, path):
    """What is not exactly a health path needs a token, however it is spelled; with one, no trick finds a file."""
    stranger, tokens, _ = house
    assert stranger.ask(path).status in (401, 429)
    assert stranger.bearing(tokens["read"], path).status in (404, 200)


def test_health_says_nothing_whatever_is_sent(house):
    stranger, tokens, _ = house
    for method in ("POST", "DELETE", "OPTIONS"):
        assert stranger.ask("/healthz", method, b"x" * 1000).status == 401
    assert stranger.handshake("/healthz") == 401
    assert stranger.ask("/healthz", "HEAD").body == b""
    assert stranger.ask("/healthz?token=" + tokens["admin"])[:2] == (200, b'{"status":"ok"}')
    assert set(json.loads(stranger.ask("/readyz").body)) == {"status"}


def test_head_and_options_are_read(house):
    stranger, tokens, _ = house
    assert stranger.ask("/api/runs", "HEAD").status == 401
    assert stranger.bearing(tokens["read"], "/api/runs", "HEAD").status == 200
    options = stranger.ask("/api/runs", "OPTIONS", Origin="https://evil.example")
    assert options.status == 401
    assert not [name for name in options.headers if name.startswith("access-control")]


# --- the cookie ---------------------------------------------------------------------------------------------------


def test_an_address_with_a_token_becomes_a_cookie(house):
    """Out of reach of scripts and other sites; the address loses the token and keeps the rest."""
    stranger, tokens, _ = house
    answer = stranger.ask(f"/runs?state=failed&token={tokens['read']}&text=a%20b")
    assert (answer.status, answer.headers["location"]) == (303, "/runs?state=failed&text=a+b")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert stranger.ask("/api/runs", Cookie=f"a=b; {cookie.partition(';')[0]}").status == 200
    assert stranger.ask(f"/?token={tokens['expired']}").status in (401, 429)


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "///evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:%20a=b", "/%ff%fe"]
)
def test_a_sign_in_leads_to_this_server_only(house, path):
    """Not to the host that two slashes name, nor into a header of somebody's own."""
    stranger, tokens, _ = house
    raw = stranger.raw(
        f"GET {path}?token={tokens['read']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    head = raw.partition(b"\r\n\r\n")[0].decode("latin-1")
    if " 303 " in head.splitlines()[0]:
        location = next(line[10:] for line in head.splitlines() if line.lower().startswith("location: "))
        assert location.startswith("/")
        assert location[1:2] not in ("/", "\\")
        assert head.lower().count("\nset-cookie:") == 1


def test_a_page_of_another_site_gets_nothing_by_the_cookie(house):
    """A write or a websocket that a cookie lets in comes from the server's own page; a bearer needs no origin."""
    stranger, tokens, _ = house
    own, cookie = f"http://{stranger.host}:{stranger.port}", f"flowtell_token={tokens['operate']}"
    for origin in ("https://evil.example", "null", f"http://{stranger.host}:1", f"http://{stranger.host}", "", "http://["):
        assert stranger.ask("/api/runs/1/cancel", "POST", Cookie=cookie, Origin=origin).status == 403, origin
        assert stranger.handshake(Cookie=cookie, Origin=origin) == 403
    assert stranger.ask("/api/runs/1/cancel", "POST", Cookie=cookie).status == 403
    assert stranger.ask("/api/runs/1/cancel", "POST", Cookie=cookie, Origin=own).status in (404, 405)
    assert stranger.handshake(Cookie=cookie, Origin=own) == 403 == stranger.handshake(Cookie=cookie, Origin="http://evil")
    assert stranger.bearing(tokens["operate"], "/api/runs/1/cancel", "POST", Origin="https://x").status in (404, 405)
    assert stranger.ask("/api/runs", Cookie=cookie, Origin="https://evil.example").status == 200


@pytest.mark.parametrize(
    "cookie",
    [
        "flowtell_token",
        "flowtell_token=",
        "=;;=;flowtell_token",
        'flowtell_token="',
        "flowtell_token=%",
        "flowtell_token=%ff%00",
        "flowtell_token=" + "a" * 20_000,
        "; ".join(f"flowtell_token={n}" for n in range(500)),
        "a:b=[c]; flowtell_token=\\073",
        "flowtell_token=\xff\xfe",
    ],
)
def test_a_strange_cookie_lets_nobody_in(house, cookie):
    assert house[0].ask("/api/runs", Cookie=cookie).status in (401, 429, 431)


def test_a_bearer_counts_before_a_cookie(house):
    """A wrong one is wrong, whatever else is there; what a proxy's own login sends is not a bearer."""
    stranger, tokens, _ = house
    cookie = f"flowtell_token={tokens['read']}"
    assert stranger.ask("/api/runs", Cookie=cookie, Authorization="Bearer no").status in (401, 429)
    assert stranger.ask("/api/runs", Cookie=cookie, Authorization="Basic dTpw").status == 200
    assert stranger.ask("/api/runs", Cookie=f"flowtell_token=x; {cookie}").status == 200
    assert stranger.ask("/api/runs", Authorization=f"bearer   {tokens['read']} ").status == 200


# --- what a running server notices --------------------------------------------------------------------------------


def until(condition, seconds=2.0):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_store(request, monkeypatch):
    """Both kinds of store, empty, for the server and the commands."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    monkeypatch.setenv("FLOWTELL_STORE", url)
    return {"store": url}


def test_a_running_server_hears_of_tokens_made_and_revoked(home, any_store, capfd):
    """Within two seconds, by the command line; once there was a token, revoking it opens nothing."""
    with serving(home, **any_store) as (stranger, _):
        assert stranger.ask("/api/runs").status == 200
        main(["tokens", "create", "web", "--scope", "read", "--json"])
        token = json.loads(capfd.readouterr().out)["token"]
        until(lambda: stranger.ask("/api/runs").status == 401)
        assert stranger.bearing(token, "/api/runs").status == 200
        main(["tokens", "revoke", "web"])
        until(lambda: stranger.bearing(token, "/api/runs").status == 401)
        assert stranger.ask("/api/runs").status == 401
        main(["tokens", "clear", "--yes"])
        until(lambda: stranger.ask("/api/runs").status == 200)
        capfd.readouterr()


def test_a_stream_ends_when_its_token_is_revoked(home):
    """What was let in once is not let in for ever."""
    with serving(home) as (stranger, service):
        now = time.time_ns() // 1000
        made, token = create_token(service.store, "web", ("read",), now=now)
        service.tokens.refresh()
        with stranger.connect() as wire:
            wire.sendall(
                f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                "Accept: text/event-stream\r\n\r\n".encode()
            )
            assert b" 200 " in wire.recv(4000)
            revoke_token(service.store, made.id, now=now)
            service.tokens.refresh()
            say_something()
            wire.settimeout(5)
            rest = b""
            while part := wire.recv(4000):
                rest += part
                if rest.endswith(b"0\r\n\r\n"):
                    break
        assert b"hush" not in rest


def test_a_stream_of_an_open_server_ends_when_it_is_locked(home):
    """Whoever came in while it was open does not stay once a token is made."""
    with serving(home) as (stranger, service), stranger.connect() as wire:
        wire.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        assert b" 200 " in wire.recv(4000)
        create_token(service.store, "web", ("read",), now=NOW)
        service.tokens.refresh()
        say_something()
        assert wire.recv(4000) == b"0\r\n\r\n"


def say_something():
    from flowtell import bus
    from flowtell import events as e
    from flowtell.ids import new_id

    bus.emit(e.LogRecorded(id=new_id(), time=time.time_ns() // 1000, message="hush"))


def test_when_a_token_was_used_is_noted(home):
    with serving(home) as (stranger, service):
        _, token = create_token(service.store, "web", ("read",), now=NOW)
        service.tokens.refresh()
        stranger.bearing(token, "/api/runs")
        service.tokens.note()
        assert list_tokens(service.store)[0].last_used >= NOW


def test_a_token_that_expires_ends_while_the_server_runs(home):
    with serving(home) as (stranger, service):
        now = time.time_ns() // 1000
        _, token = create_token(service.store, "web", ("read",), now=now, expires=now + 700_000)
        service.tokens.refresh()
        assert stranger.bearing(token, "/api/runs").status == 200
        until(lambda: stranger.bearing(token, "/api/runs").status == 401)


def test_nobody_is_let_in_by_what_cannot_be_checked(home):
    """A store that has not been read for half a minute may hold revocations: 503, and what is configured still holds."""
    with serving(home, **{"server.token": "s3cret"}) as (stranger, service):
        _, token = create_token(service.store, "web", ("read",), now=NOW)
        service.tokens.refresh()
        service.tokens.refresh = lambda: 1 / 0
        service.tokens._read_at -= 31
        answer = stranger.bearing(token, "/api/runs")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert stranger.bearing("s3cret", "/api/runs").status == 200


# --- names --------------------------------------------------------------------------------------------------------


def test_off_loopback_some_token_must_be_valid(any_store, capfd):
    """Refused before anything listens, with the command that makes one; a token in the store is enough."""
    settings = {**QUIET, **any_store, "server.host": "0.0.0.0"}
    with pytest.raises(TokenNeeded, match="flowtell tokens create"):
        run_server(config.load(settings))
    main(["tokens", "create", "web", "--scope", "read"])
    with running_server(config.load(settings)) as (url, _):
        assert Stranger(url.replace("0.0.0.0", "127.0.0.1")).ask("/api/runs").status == 401
    main(["tokens", "revoke", "web"])
    with pytest.raises(TokenNeeded):
        run_server(config.load(settings))
    with pytest.raises(TokenNeeded):
        run_server(config.load({**QUIET, **any_store, "server.allowed_hosts": "flowtell.example"}))
    capfd.readouterr()


def test_behind_a_proxy_only_its_names_are_answered(home):
    with serving(home, **{"server.token": "s3cret", "server.allowed_hosts": "flowtell.example"}) as (stranger, _):
        for host in ("flowtell.example", "FLOWTELL.example:443", "flowtell.example.", "localhost"):
            assert stranger.bearing("s3cret", "/api/runs", Host=host).status == 200, host
        for host in ("evil.example", "flowtell.example.evil", "xflowtell.example", "", "flowtell.example@evil", "[::1"):
            assert stranger.bearing("s3cret", "/api/runs", Host=host).status == 421, host
        cookie, own = "flowtell_token=s3cret", "https://flowtell.example"
        assert stranger.ask("/api/x", "POST", Cookie=cookie, Origin=own, Host="flowtell.example").status in (404, 405)
        assert stranger.ask("/api/x", "POST", Cookie=cookie, Origin=own, Host="127.0.0.1").status in (404, 405)
        assert stranger.ask("/api/x", "POST", Cookie=cookie, Origin="https://other", Host="flowtell.example").status == 403


def test_an_open_server_does_not_answer_a_proxy(home):
    """It would let everybody in whom the proxy lets in."""
    with serving(home) as (stranger, _):
        for name in ("X-Forwarded-For", "Forwarded", "X-Forwarded-Host"):
            assert stranger.ask("/api/runs", headers={name: "for=203.0.113.9"}).status == 421


def test_https_is_believed_of_named_proxies_only(home):
    """The cookie is Secure where the proxy that is named says https; nobody else's word counts."""
    for proxies, secure in (("", False), ("127.0.0.1", True), ("203.0.113.1", False)):
        with serving(home, **{"server.token": "s3cret", "server.proxies": proxies}) as (stranger, _):
            cookie = stranger.ask("/?token=s3cret", X_Forwarded_Proto="https").headers["set-cookie"]
            assert ("Secure" in cookie) is secure


# --- leaks --------------------------------------------------------------------------------------------------------


def test_no_log_holds_a_token(home, caplog):
    """At the most talkative level, of any library, whatever comes in."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
    assert uvicorn  # its loggers are what this is about
    with serving(home) as (stranger, service):
        _, token = create_token(service.store, "web", ("read",), now=NOW)
        service.tokens.refresh()
        wrong = "ft_" + "B" * 43
        for one in (token, wrong):
            answers = [stranger.bearing(one, "/api/runs"), stranger.ask(f"/?token={one}")]
            answers += [stranger.ask("/api/runs", Cookie=f"flowtell_token={one}"), stranger.bearing(one, "/nothing", "POST")]
            stranger.handshake(Authorization=f"Bearer {one}")
            stranger.raw(f"GET /{one} HTTP/9.9\r\nAuthorization: {one}\r\n\r\n".encode())
            assert all(one.encode() not in answer.body for answer in answers)
        assert token not in caplog.text
        assert wrong not in caplog.text
        assert token not in repr(service.config)


def test_answers_carry_what_protects_a_browser(house):
    stranger, tokens, _ = house
    for answer in (stranger.ask("/api/runs"), stranger.bearing(tokens["read"], "/api/runs"), stranger.ask("/healthz")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "server" not in answer.headers
