"""A real server with every plugin, and Debian's Chromium looking at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowtell import bus, flow, task
from flowtell.config import load
from flowtell.server.app import running_server

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The browser, or a reason to skip.

    For one module: Playwright keeps an event loop running on the test's thread, where others call `asyncio.run`.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(home: Path) -> Iterator[str]:
    """The address of a server on this test's home."""
    with running_server(load({"server.port": 0})) as (address, _):
        yield address
    bus.renew()


class Visit:
    """One page, with what went wrong on it: errors on the console, and requests to elsewhere."""

    def __init__(self, page: object, address: str) -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note)

    def _note(self, request: object) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def go(self, path: str) -> Visit:
        self.page.goto(self.address + path)
        return self

    def waits_for(self, selector: str, text: str = "") -> object:
        """The first element that matches and shows `text`, within ten seconds."""
        found = self.page.locator(selector).filter(has_text=text).first
        found.wait_for(state="visible", timeout=10_000)
        return found

    def has(self, selector: str, count: int) -> None:
        """So many elements match, within ten seconds: what a page fills in comes when its parts have answered."""
        expect = pytest.importorskip("playwright.sync_api").expect
        expect(self.page.locator(selector)).to_have_count(count, timeout=10_000)

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture
def visit(chromium, server: str) -> Iterator[object]:
    """Open a page: `visit("/", width=390, scheme="dark")`. In the end, nothing went wrong on any."""
    contexts, visits = [], []

    def open_page(path: str, *, width: int = 1280, scheme: str = "light") -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        visits.append(Visit(context.new_page(), server))
        return visits[-1].go(path)

    yield open_page
    for context in contexts:
        context.close()
    assert [error for each in visits for error in each.errors] == []
    assert [url for each in visits for url in each.elsewhere] == []


@pytest.fixture
def nightly():
    """A flow of three tasks; `nightly("bad")` fails in its second."""

    @task
    def extract(day: str) -> int:
        print(f"extracting {day}")
        return len(day)

    @task
    def load(rows: int, day: str) -> None:
        if day == "bad":
            raise ValueError(f"no rows for {day}")

    @flow(log_prints=True)
    def nightly_orders(day: str = "2026-11-20") -> None:
        load(extract(day), day)

    return nightly_orders
