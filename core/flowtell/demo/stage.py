"""Where the tour plays: a home, a server in this process, and a folder for the pipelines' own files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

from flowtell.config import Config, load
from flowtell.errors import PortInUse

if TYPE_CHECKING:
    from flowtell.server.service import Service

ENVIRONMENT: Final = "demo"
_SECONDS: Final = 10.0
_QUIET: Final = 1.5
"""Seconds without an event after which none is due: messages about incidents are sent twice a second."""


class Stage:
    """A running server and what may be asked of it."""

    def __init__(self, config: Config, url: str, service: Service, *, moved: bool) -> None:
        self.config, self.url, self._service = config, url, service
        self.moved = moved
        """Whether the port that was asked for is somebody else's."""
        self.began = time.time_ns() // 1000
        self.head = service.store.log.head()
        """The newest event from before the tour."""
        self.folder = os.path.join(config.home, "demo")
        os.makedirs(self.folder, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """Of the pipelines' processes."""
        return {**os.environ, "FLOWTELL_HOME": self.config.home, "FLOWTELL_DEMO": self.folder}

    def read(self, statement: Any) -> Sequence[Any]:
        """All rows of a SELECT, as the functions of `flowtell.store.reading` want it."""
        return self._service.store.read(statement)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of what the server answers."""
        try:
            with urlopen(self.url + path, timeout=_SECONDS) as answer:  # noqa: S310  # our own server
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, ""

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Events of the tour, by their type."""
        _, text = self.get(f"/api/events?after={self.head}&limit=10000&type={','.join(types)}")
        return list(json.loads(text)["events"])

    def plugins(self) -> set[str]:
        """Names of those that are installed and on."""
        return {status.name for status in self._service.statuses()}

    def settle(self, seconds: float = 15.0) -> None:
        """Wait until the log has been quiet for a while and every plugin has seen it all, or `seconds` are over."""
        until, quiet_since, head = time.monotonic() + seconds, time.monotonic(), -1
        while time.monotonic() < min(until, quiet_since + _QUIET) or self._is_behind():
            if time.monotonic() >= until:
                return
            newest = self._service.store.log.head()
            if newest != head:
                head, quiet_since = newest, time.monotonic()
            time.sleep(0.05)

    def _is_behind(self) -> bool:
        return any(status.lag_events for status in self._service.statuses())


@contextmanager
def open_stage(port: int | None = None) -> Iterator[Stage]:
    """Serve the configured home in the environment `demo`, on a free port where the configured one is taken.

    Raises:
        RoleTaken: a server runs on this home already.
    """
    from flowtell.server.app import running_server

    os.environ["FLOWTELL_ENVIRONMENT"] = ENVIRONMENT
    os.environ["FLOWTELL_URL"] = ""  # the tour is looked at here
    wanted = load({"server.port": port})
    config = load({"server.port": _usable_port(wanted)})
    with running_server(config) as (url, service):
        yield Stage(config, url, service, moved=wanted["server.port"] not in (0, config["server.port"]))


def _usable_port(config: Config) -> int:
    """The configured port, or a free one; what is sent about incidents then links to it."""
    from flowtell.server.app import bind

    host = config["server.host"]
    try:
        listener = bind(host, config["server.port"])
    except PortInUse:
        listener = bind(host, 0)
    port = int(listener.getsockname()[1])
    listener.close()
    os.environ.setdefault("FLOWTELL_PLUGIN__NOTIFICATIONS__URL", f"http://{host}:{port}")
    return port
