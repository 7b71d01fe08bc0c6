"""The server: one port, the core's routes first, plugins' prefixes, the dashboard last at `/`."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config as UvicornConfig
from uvicorn import Server as UvicornServer

from flowtell.check_file import read_checks
from flowtell.config import Config
from flowtell.errors import PortInUse, TokenNeeded
from flowtell.limits.stated import configured
from flowtell.machine import machine_name
from flowtell.rule_file import read_rules
from flowtell.runner import system_clock
from flowtell.server.answer_routes import answer_routes
from flowtell.server.cancel_routes import cancel_routes
from flowtell.server.complaints import OncePerMinute
from flowtell.server.discovery import check_settings
from flowtell.server.door import Door
from flowtell.server.forks import not_for_forks
from flowtell.server.guard import Guard
from flowtell.server.http import routes
from flowtell.server.journal_routes import JournalApi, journal_routes
from flowtell.server.keepalive import keep_asking
from flowtell.server.limit_routes import limit_routes
from flowtell.server.limits import BODY_BYTES, WEBSOCKET_MESSAGE_BYTES, Limits
from flowtell.server.mounts import Mounts
from flowtell.server.origins import is_loopback
from flowtell.server.ping_routes import ping_routes
from flowtell.server.role import server_role
from flowtell.server.service import Service
from flowtell.server.want_routes import want_routes
from flowtell.server.wire import bounded_protocol
from flowtell.store.tokens import any_valid

_GRACE_SECONDS = 3


def build_app(service: Service, journals: JournalApi | None = None) -> ASGIApp:
    """The guarded ASGI application over a started service."""
    shipped = journal_routes(journals or JournalApi(service))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service.mounts.lifespans():
            yield

    acting = [*answer_routes(service), *cancel_routes(service), *want_routes(service)]
    own = [*routes(service), *ping_routes(service), *limit_routes(service), *acting, *shipped]
    app = Starlette(routes=[*own, Mount("/", app=_Rest(service.mounts))], lifespan=lifespan)
    config, limits = service.config, Limits.of(service.config)
    loopback = is_loopback(config["server.host"])
    door = Door(service.tokens, limits, loopback=loopback, allowed_hosts=config["server.allowed_hosts"])
    return Guard(app, door, limits)


class _Rest:
    """What the core has no route for: plugins' applications, but JSON 404 for the rest of `/api` and `/metrics`."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reserved = f"{scope['path']}/".startswith(("/api/", "/metrics/"))
        await (self._mounts.below_root if reserved else self._mounts)(scope, receive, send)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        PortInUse: somebody listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        keep_asking(listener)
        listener.bind((host.strip("[]"), port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise
    not_for_forks(listener)
    return listener


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _reached_at(listener: socket.socket) -> str:
    """The address for other machines: one that listens everywhere is reached by its machine's name."""
    url = address(listener)
    for everywhere in ("0.0.0.0", "[::]"):  # noqa: S104  # compared, not listened on
        url = url.replace(f"//{everywhere}:", f"//{machine_name()}:")
    return url


def run_server(config: Config, *, announce: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGINT or SIGTERM. `announce` is told the address once requests are answered.

    Raises:
        ConfigError: a rule of the configuration file is at fault.
        TokenNeeded, PortInUse, RoleTaken: before anything was started.
    """
    with _prepared(config) as (service, listener):
        server = _uvicorn(service, announce=lambda: announce(address(listener)))
        server.run(sockets=[listener])


@contextmanager
def running_server(config: Config) -> Iterator[tuple[str, Service]]:
    """A server on a thread of this process, for the demo and for tests: its address, and its service."""
    with _prepared(config) as (service, listener):
        started = threading.Event()
        server = _uvicorn(service, announce=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="flowtell-http", daemon=True)
        thread.start()
        _await(started, thread)
        try:
            yield address(listener), service
        finally:
            server.should_exit = True
            thread.join(_GRACE_SECONDS + 7)


def _await(started: threading.Event, thread: threading.Thread) -> None:
    until = time.monotonic() + 40
    while not started.wait(0.05):
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("the HTTP server did not start; see the log above")


@contextmanager
def _prepared(config: Config) -> Iterator[tuple[Service, socket.socket]]:
    _check_tokens(config)
    if config.rules_path:
        read_rules(config.rules_path)  # a slip is told now; the plugin that reads them later would start without
    if config.channels_plugin:
        check_settings(config.channels_plugin, config)  # likewise: else nobody is told of anything
    if config.checks_path:
        read_checks(config.checks_path)
    configured(config.limits)
    listener = bind(config["server.host"], config["server.port"])
    try:
        with server_role(config.home):
            service = Service(config, address=config["server.address"] or _reached_at(listener))
            service.start()
            try:
                yield service, listener
            finally:
                service.stop()
    finally:
        listener.close()


def _check_tokens(config: Config) -> None:
    """A server that others reach, and whose tokens have all ended, would serve nobody."""
    host = config["server.host"]
    others_reach_it = not is_loopback(host) or config["server.allowed_hosts"]
    if others_reach_it and not config["server.token"] and not any_valid(config.store_url, system_clock()):
        raise TokenNeeded(host)


class _Announcing(UvicornServer):
    """Tells when it answers requests, which uvicorn itself only logs, and ends streams before it waits for their end."""

    def __init__(self, config: UvicornConfig, announce: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce, self._leave = announce, leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        await super().shutdown(sockets)


def _uvicorn(service: Service, *, announce: Callable[[], None]) -> UvicornServer:
    limits, proxies = Limits.of(service.config), list(service.config["server.proxies"])
    options: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,  # it would hold addresses with what they ask for
        "server_header": False,
        "lifespan": "on",
        "timeout_graceful_shutdown": _GRACE_SECONDS,
        # uvicorn's own default believes whoever connects from this machine
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies,
        "limit_concurrency": limits.connections,
        "ws_max_size": WEBSOCKET_MESSAGE_BYTES,
        "http": bounded_protocol(connections=2 * limits.connections, body_bytes=max(limits.ingest_bytes, BODY_BYTES)),
    }
    journals = JournalApi(service)
    configured = UvicornConfig(build_app(service, journals), **options)
    logging.getLogger("uvicorn.error").addFilter(_COMPLAINTS)
    server = _Announcing(configured, announce, journals.end_streams)
    journals.connections = server.server_state.connections
    return server


_COMPLAINTS: Final = OncePerMinute()
