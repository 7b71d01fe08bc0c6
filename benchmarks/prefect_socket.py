"""What listening costs a Prefect server: its processor time with a subscriber of the bridge's and without, in alternation.

On a server of its own whose other services are off, as theirs are a hundred times that: events of a workload come again, and
then nothing does.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from prefect_server import PrefectServer

OTHERS = ("EVENT_PERSISTER", "TASK_RUN_RECORDER", "TRIGGERS", "SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS")
A_SECOND = 50.0

Event = dict[str, Any]


class Listening(NamedTuple):
    """Seconds of the server's processor."""

    an_event: float
    """For each that is published, taken or not."""
    a_second: float
    """Of silence."""

    def of(self, events: int, seconds: float) -> float:
        return self.an_event * events + self.a_second * seconds


def measure_listening(folder: Path, events: list[Event], *, rounds: int, number: int, quiet: float) -> Listening:
    """Publish `number` events and be quiet so many seconds, with and without a subscriber, `rounds` times."""
    server = PrefectServer(folder, **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in OTHERS})
    costs: dict[bool, list[float]] = {False: [], True: []}
    silence: dict[bool, list[float]] = {False: [], True: []}
    with server.running(), _publisher(server, events) as publish:
        publish(100)
        for _ in range(rounds):
            for listens in (False, True):
                with _subscriber(server) if listens else nullcontext():
                    costs[listens].append(_spent(server, lambda: publish(number)))
                    silence[listens].append(_spent(server, lambda: time.sleep(quiet)))
    return Listening(_more(costs) / number, _more(silence) / quiet)


def _more(found: dict[bool, list[float]]) -> float:
    return max(statistics.mean(found[True]) - statistics.mean(found[False]), 0.0)


def _spent(server: PrefectServer, work: Callable[[], None]) -> float:
    before = server.processor()
    work()
    return server.processor() - before


@contextmanager
def _publisher(server: PrefectServer, events: list[Event]) -> Iterator[Callable[[int], None]]:
    """Sends so many of them, each as a new one, at a steady pace."""
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    url = f"ws{server.url.removeprefix('http')}/events/in"
    with connect(url, subprotocols=[Subprotocol("prefect")], compression=None) as connection:
        connection.send('{"type": "auth", "token": null}')
        connection.recv()

        def publish(number: int) -> None:
            began = time.monotonic()
            for place in range(number):
                event = {**events[place % len(events)], "id": str(uuid4()), "occurred": datetime.now(UTC).isoformat()}
                connection.send(json.dumps({**event, "follows": None}))
                time.sleep(max(began + (place + 1) / A_SECOND - time.monotonic(), 0.0))

        yield publish


@contextmanager
def _subscriber(server: PrefectServer) -> Iterator[None]:
    """Listens as the bridge does, on a thread."""
    from flowtell_sources.prefect.settings import Settings
    from flowtell_sources.prefect.socket import EventSocket

    connection, over = EventSocket(Settings(api_url=server.url), time.time_ns() // 1000), threading.Event()

    def listen() -> None:
        probed = 0.0
        while not over.is_set():
            if time.monotonic() - probed >= 10.0:
                probed = time.monotonic()
                connection.probe(time.time_ns() // 1000)
            connection.receive(0.2)

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        over.set()
        thread.join()
        connection.close()
