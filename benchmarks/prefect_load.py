"""What the bridge costs a real Prefect server while flows run: its requests and its socket, as shares of that server's work.

A minute of the mixed workload without the bridge, one with it, then the requests of that minute over and over, and its
events. The server's processor time is its own, by /proc. Measures nothing where there is no Prefect.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from figure import Figure
from prefect_server import PrefectServer, there_is_prefect
from prefect_socket import Event, measure_listening

MINUTE = 60.0
SETTLES = 30.0

BRIDGE = """
import json, sys, time
from pathlib import Path
from flowtell.testing import SourceHarness
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.bridge import create
send = PrefectApi._send
def noted(self, method, path, body, params):
    print(json.dumps([time.time(), method, path, body, params]), flush=True)
    return send(self, method, path, body, params)
PrefectApi._send = noted
with SourceHarness(create, Path(sys.argv[2]), name="prefect", settings={"api_url": sys.argv[1]}) as harness:
    while True:
        harness.turn()
"""
"""The source with the settings that it has by itself, which says what it asks for."""

Request = tuple[float, str, str, Any, Any]


def measure(quick: bool = False) -> list[Figure]:
    if not there_is_prefect():
        return []
    rounds = 1 if quick else 4
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        server = PrefectServer(Path(folder))
        with server.running():
            server.play("arrange")
            server.play("3")  # so many runs that the bridge knows whether there are traces
            without = _spent(server, lambda: _minute(server, rounds))
            began, with_it, requests = _beside(server, rounds, folder)
            events = _events(server, began)
            each = _each(server, requests, times=5 if quick else 30)
        (beside := Path(folder) / "listening").mkdir()
        listening = measure_listening(beside, events, rounds=1 if quick else 5, number=600, quiet=5.0 if quick else 20.0)
    asked, heard = each * len(requests), listening.of(len(events), MINUTE * rounds / 4)
    note = f"{len(requests)} requests of {each * 1e3:.1f} ms for {9 * rounds} flow runs that cost {without:.2f} s"
    socket = f"{len(events)} events of {listening.an_event * 1e3:.2f} ms, {listening.a_second * 1e3:.2f} ms a second besides"
    clock = f"{with_it:.2f} s with it, {without:.2f} s without; one minute each, so within the noise of the machine"
    return [
        Figure("prefect load: requests, of the server's processor time", asked / without * 100, "%", note=note),
        Figure("prefect load: socket, of the server's processor time", heard / without * 100, "%", note=socket),
        Figure("prefect load: both", (asked + heard) / without * 100, "%", at_most=2),
        Figure("prefect load: both, by the clock of two minutes", (with_it / without - 1) * 100, "%", note=clock),
    ]


def _events(server: PrefectServer, since: float) -> list[Event]:
    """Those that the server had in that minute."""
    occurred = {"since": datetime.fromtimestamp(since, UTC).isoformat(), "until": datetime.now(UTC).isoformat()}
    page = _json(server, "/api/events/filter", {"filter": {"occurred": occurred}, "limit": 50})
    found: list[Event] = page["events"]
    while page["next_page"]:
        page = _json(server, page["next_page"].partition(str(server.port))[2])
        found += page["events"]
    return found


def _json(server: PrefectServer, path: str, body: Any = None) -> Any:
    text = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", text, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _minute(server: PrefectServer, rounds: int) -> None:
    until = time.monotonic() + MINUTE * rounds / 4
    server.play(str(rounds))
    time.sleep(max(until - time.monotonic(), 0.0))


def _spent(server: PrefectServer, work: Callable[[], None]) -> float:
    before = server.processor()
    work()
    return server.processor() - before


def _beside(server: PrefectServer, rounds: int, folder: str) -> tuple[float, float, list[Request]]:
    """The minute with the bridge, which has read what was before: when it began, the server's seconds, what was asked."""
    (log := Path(folder) / "beside").mkdir()
    command = [sys.executable, "-c", BRIDGE, server.url, str(log)]
    with (log / "requests").open("w") as out, subprocess.Popen(command, stdout=out) as bridge:
        try:
            time.sleep(SETTLES)
            began = time.time()
            spent = _spent(server, lambda: _minute(server, rounds))
        finally:
            bridge.terminate()
    asked = [json.loads(line) for line in (log / "requests").read_text().splitlines()]
    return began, spent, [request for request in asked if request[0] >= began]


def _each(server: PrefectServer, requests: list[Request], times: int) -> float:
    """Seconds of the idle server's processor for one of these requests, without what it uses when nobody asks."""
    time.sleep(5.0)
    idle = _spent(server, lambda: time.sleep(10.0)) / 10.0
    began = time.monotonic()
    spent = _spent(server, lambda: _repeat(server, requests, times))
    return (spent - idle * (time.monotonic() - began)) / (times * max(len(requests), 1))


def _repeat(server: PrefectServer, requests: list[Request], times: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _, method, path, body, params in requests * times:
        query = f"?{urlencode(params)}" if params else ""
        text = json.dumps(body) if body is not None else None
        connection.request(method, f"/api{path}{query}", text, {"content-type": "application/json"})
        connection.getresponse().read()
    connection.close()


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
