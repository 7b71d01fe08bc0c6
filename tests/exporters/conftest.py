"""A real log, a real runner and the Prometheus plugin, without HTTP between them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowtell.events import Event
from flowtell.testing import PluginHarness
from flowtell_exporters.prometheus import create


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Observatory:
    """One store with the plugin on its log, seen through the page that it mounts."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.harness = PluginHarness(create, folder, name="prometheus", settings=settings)
        self.store, self.restart, self.read = self.harness.store, self.harness.restart, self.harness.read

    @property
    def page(self) -> Any:
        return self.harness.mounted["/metrics"]

    def feed(self, *events: Event) -> None:
        """Put events into the log and let the plugin have them."""
        self.harness.feed(events)

    def append(self, *events: Event, machine: str = "m1", **facts: Any) -> None:
        """Put events into the log from a writer of `machine` of which `facts` are known."""
        with self.store.write() as transaction:
            writer = self.store.log.writer(transaction, f"journal-{machine}", "journal", machine=machine)
            self.store.log.move_writer(transaction, writer, events=0, **facts)
            self.store.log.append_events(transaction, writer, events, self.harness.clock())

    def text(self, *, openmetrics: bool = False) -> str:
        return self.page.text(openmetrics=openmetrics)

    def request(self, method: str = "GET", path: str = "/metrics", **headers: str) -> Any:
        """The answer to a request with these headers, over ASGI as the server calls it."""
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "root_path": "/metrics", "headers": raw}
        return asyncio.run(_answer(self.page, scope))


async def _answer(app: Any, scope: dict[str, Any]) -> Answer:
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *rest = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message["body"] for message in rest))


@pytest.fixture
def observe(tmp_path):
    """Make an observatory: `observe(max_flows=3)`."""
    made: list[Observatory] = []

    def make(**settings: Any) -> Observatory:
        folder = tmp_path / f"observatory-{len(made)}"
        folder.mkdir()
        made.append(Observatory(folder, settings))
        return made[-1]

    yield make
    for each in made:
        each.harness.close()


@pytest.fixture
def seen(observe):
    """An observatory as it comes without configuration."""
    return observe()
