"""Prefect as it is: documents recorded from a server, and a server of one's own with flows that know nothing of flowtell.

Prefect lives in an environment of its own, as its dependencies are not ours: `make prefect-environment` makes it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec
import pytest

HERE = Path(__file__).parent
WORKLOAD = HERE / "workload" / "mixed.py"
RECORDED = HERE / "recorded"
ENVIRONMENT = Path(os.environ.get("PREFECT_ENVIRONMENT", Path.home() / ".cache" / "flowtell-tests" / "prefect"))

_TRIES = 10


class Recorded:
    """Documents that a Prefect server of one version gave after one round of the mixed workload."""

    def __init__(self, version: str) -> None:
        self.version = version

    def __call__(self, name: str) -> list[Any]:
        lines = (RECORDED / self.version / f"{name}.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]


@pytest.fixture(scope="session", params=["3.8.8", "3.9.1"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Of each version that there is a recording of: see `record`."""
    return Recorded(request.param)


class PrefectServer:
    """A real Prefect server on a free port of loopback, its database in a folder of the test."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home, self.settings = home, settings
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FLOWTELL_"))}
        return {
            **kept,
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_CLIENT_MAX_RETRIES": "30",
            **self.settings,
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [ENVIRONMENT / "bin" / "python", "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 90
        while time.monotonic() < until:
            try:
                with urlopen(f"{self.url}/health", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"Prefect did not start: {(self.home / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL, to all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None

    def stand_still(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        os.killpg(self.pid, number)

    def play(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the workload's script."""
        command = [ENVIRONMENT / "bin" / "python", WORKLOAD, *words]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def play_through(self, *words: str) -> None:
        process = self.play(*words)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output

    # --- what its REST API says -----------------------------------------------------------------------------------

    def ask(self, path: str, body: Any = None) -> Any:
        """What it answers to a POST; asked again while it is too busy for its database, as Prefect's client does."""
        request = Request(f"{self.url}{path}", msgspec.json.encode(body or {}), {"content-type": "application/json"})
        for attempt in range(_TRIES):
            try:
                with urlopen(request, timeout=30) as answer:
                    return msgspec.json.decode(answer.read() or b"null")
            except HTTPError as error:
                with error:
                    if error.code != 503 or attempt == _TRIES - 1:
                        raise
            time.sleep(1.0)
        return None

    def delete(self, path: str) -> None:
        with urlopen(Request(f"{self.url}{path}", method="DELETE"), timeout=30):
            pass

    def get(self, address: str) -> Any:
        """What a whole address answers, such as `next_page` of a page of events."""
        with urlopen(address, timeout=30) as answer:
            return msgspec.json.decode(answer.read())

    def all(self, what: str, body: Any = None) -> list[Any]:
        found: list[Any] = []
        while True:
            page = self.ask(f"/{what}/filter", {**(body or {}), "limit": 200, "offset": len(found)})
            found += page
            if len(page) < 200:
                return found


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One for all tests of a module, which add to what it holds."""
    yield from _running(tmp_path_factory.mktemp("prefect"))


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One that a test may kill and start again."""
    yield from _running(tmp_path_factory.mktemp("prefect"))


@pytest.fixture
def own_locked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One that wants `admin:right`."""
    yield from _running(tmp_path_factory.mktemp("prefect"), PREFECT_SERVER_API_AUTH_STRING="admin:right")


@pytest.fixture
def own_guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One that wants a CSRF token with each POST."""
    yield from _running(tmp_path_factory.mktemp("prefect"), PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true")


@pytest.fixture
def own_forgetful_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One that tells of events and stores none."""
    persister = "PREFECT_SERVER_SERVICES_EVENT_PERSISTER"
    yield from _running(
        tmp_path_factory.mktemp("prefect"), **{f"{persister}_FLUSH_INTERVAL": "3600", f"{persister}_BATCH_SIZE": "1000000"}
    )


def _running(home: Path, **settings: str) -> Iterator[PrefectServer]:
    if not (ENVIRONMENT / "bin" / "prefect").exists():
        pytest.skip(f"no Prefect in {ENVIRONMENT}: make prefect-environment")
    server = PrefectServer(home, **settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def flowtell_script() -> Path:
    return Path(sys.executable).with_name("flowtell")
