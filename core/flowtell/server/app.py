"""The server: one port, the core's routes first, plugins' prefixes, the dashboard last at `/`."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config as UvicornConfig
from uvicorn import Server as UvicornServer

from flowtell.config import Config
from flowtell.errors import PortInUse, TokenNeeded
from flowtell.server.guard import Guard, is_loopback
from flowtell.server.http import routes
from flowtell.server.mounts import Mounts
from flowtell.server.role import server_role
from flowtell.server.service import Service

_GRACE_SECONDS = 3


def build_app(service: Service) -> ASGIApp:
    """The guarded ASGI application over a started service."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service.mounts.lifespans():
            yield

    app = Starlette(routes=[*routes(service), Mount("/", app=_Rest(service.mounts))], lifespan=lifespan)
    return Guard(app, service.config["server.token"])


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
        listener.bind((host.strip("[]"), port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise
    return listener


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run_server(config: Config, *, announce: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGINT or SIGTERM. `announce` is told the address once requests are answered.

    Raises:
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
    host = config["server.host"]
    if not is_loopback(host) and not config["server.token"]:
        raise TokenNeeded(host)
    listener = bind(host, config["server.port"])
    try:
        with server_role(config.home):
            service = Service(config)
            service.start()
            try:
                yield service, listener
            finally:
                service.stop()
    finally:
        listener.close()


class _Announcing(UvicornServer):
    """Tells when it answers requests, which uvicorn itself only logs."""

    def __init__(self, config: UvicornConfig, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def _uvicorn(service: Service, *, announce: Callable[[], None]) -> UvicornServer:
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "lifespan": "on"}
    return _Announcing(UvicornConfig(build_app(service), timeout_graceful_shutdown=_GRACE_SECONDS, **options), announce)
