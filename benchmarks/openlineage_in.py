"""OpenLineage events a second, in batches, into a server with its store and its lineage plugin on.

The server is a process's own thread; the clock runs from the first request to the last event in the log, and for the answers
alone. The floor is the decoding of the same bodies, which no receiver can do without.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Iterator

import msgspec
from figure import Figure

from flowtell import config
from flowtell.server.app import running_server

PATH, BATCH = "/api/v1/lineage/batch", 100
QUIET = "dashboard,prometheus,alerts,notifications,incidents"


def measure(quick: bool = False) -> list[Figure]:
    documents = list(_documents(200 if quick else 2_500))
    bodies = [msgspec.json.encode(documents[at : at + BATCH]) for at in range(0, len(documents), BATCH)]
    began = time.perf_counter()
    for body in bodies:
        msgspec.json.decode(body)
    floor = len(documents) / (time.perf_counter() - began)
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home:
        answered, logged = _rates(home, bodies, len(documents))
    note = f"{len(documents):,} events in batches of {BATCH}; decoding alone {floor:,.0f}/s"
    return [
        Figure("OpenLineage events a second, answered", answered, "1/s", at_least=1_000, note=note),
        Figure("OpenLineage events a second, in the log", logged, "1/s", at_least=1_000, note="with their assets and edges"),
    ]


def _rates(home: str, bodies: list[bytes], count: int) -> tuple[float, float]:
    """Events a second until the last answer, and until the log's head stands still with all of them."""
    settings = {"home": home, "server.port": 0, "plugins.disable": QUIET}
    with running_server(config.load(settings, environ={})) as (url, service):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        began = time.perf_counter()
        for body in bodies:
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            assert msgspec.json.decode(answer.read())["status"] == "success"
        answered = time.perf_counter() - began
        connection.close()
        head, moved = service.store.window.head, began
        while time.perf_counter() - moved < 3:
            if service.store.window.head != head:
                head, moved = service.store.window.head, time.perf_counter()
            time.sleep(0.01)
        assert head >= 4 * count, f"only {head} events are in the log"
        return count / answered, count / (moved - began)


def _documents(runs: int) -> Iterator[dict[str, object]]:
    """Starts and ends of tasks that read two tables and make one, with its columns."""
    for n in range(runs):
        run = {"runId": f"01970000-0000-7000-8000-{n:012d}", "facets": {}}
        job = {"namespace": "bench", "name": f"job_{n % 300}", "facets": {}}
        tables = [_table(f"in_{(n + part) % 500}") for part in range(2)]
        made = {**_table(f"out_{n % 300}"), "outputFacets": {"outputStatistics": {"rowCount": n, "size": n}}}
        for kind in ("START", "COMPLETE"):
            yield {
                "eventType": kind,
                "eventTime": f"2026-11-20T02:{n // 60 % 60:02d}:{n % 60:02d}.{n % 1000:03d}Z",
                "producer": "https://example.org",
                "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
                "run": run,
                "job": job,
                "inputs": tables,
                "outputs": [made],
            }


def _table(name: str) -> dict[str, object]:
    fields = [{"name": f"column_{n}", "type": "VARCHAR"} for n in range(8)]
    return {"namespace": "postgres://shop:5432", "name": f"shop.public.{name}", "facets": {"schema": {"fields": fields}}}
