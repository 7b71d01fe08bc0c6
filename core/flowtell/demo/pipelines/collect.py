"""Collect the readings from a weather station that is still starting: tries are refused until one is not."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from flowtell import exponential_backoff, failed, flow, materialize, measure, task
from flowtell.demo.pipelines import place


@task(retries=9, retry_delay_seconds=exponential_backoff(0.05))
def download(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # the address of our own station
        return bytes(answer.read())


@materialize(place.READINGS, asset_deps=[place.STATION])
def keep(readings: bytes) -> None:
    place.FOLDER.mkdir(parents=True, exist_ok=True)
    place.LANDING.write_bytes(readings)
    measure("size", len(readings), "bytes")


@contextmanager
def station() -> Iterator[str]:
    """Start the station, and give its address at once: it answers when Python and its web server are up."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(place.SHIPPED)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/seattle-weather.csv"
        finally:
            process.terminate()


@flow(rules=[failed()])
def collect() -> None:
    """Download the station's file into the landing folder."""
    with station() as url:
        keep(download(url))


if __name__ == "__main__":
    collect()
