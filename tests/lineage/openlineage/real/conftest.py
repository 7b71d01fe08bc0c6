"""dbt and Airflow as they are, and a server of ours that they send to.

Each lives in an environment of its own, as their dependencies are not ours: `make lineage-environments` makes them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtell.events import Event
from flowtell.store import open_store
from flowtell_lineage.questions import columns_of
from flowtell_lineage.reading import Graph, whole_graph

HERE = Path(__file__).parent
ENVIRONMENTS = Path(os.environ.get("LINEAGE_ENVIRONMENTS", Path.home() / ".cache" / "flowtell-tests"))
FLOWTELL = Path(sys.executable).with_name("flowtell")


def environment(name: str) -> Path:
    """The folder of its commands, or a skip."""
    place = ENVIRONMENTS / name
    if not (place / ".made").exists():
        pytest.skip(f"no {name} in {place}: make lineage-environments")
    return place / "bin"


def clean(**more: str) -> dict[str, str]:
    """What a process gets from outside, without what would lead it elsewhere."""
    ours = ("FLOWTELL_", "OPENLINEAGE_", "AIRFLOW_", "DBT_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


class Receiving:
    """`flowtell up` as a process of its own, and what it made of what it was sent."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environ = clean(FLOWTELL_HOME=str(home))
        with (home / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [FLOWTELL, "up", "--port", "0"], env=self._environ, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split("\t")[1].strip()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def get(self, path: str) -> str:
        with urlopen(Request(self.url + path), timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def command(self, *words: str) -> Any:
        """What a command of ours answers as JSON."""
        done = subprocess.run([FLOWTELL, *words, "--json"], env=self._environ, capture_output=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def metrics(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Samples that are not 0, by their labels."""
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return {frozenset(sample.labels.items()): sample.value for sample in samples if sample.value}

    def has_ended(self, flow: str, runs: int = 1) -> bool:
        """Whether so many runs of a flow have ended, and every plugin has read of it."""
        ends = [event for event in self.log(flow) if event.type == "flow_run.finished"]
        plugins = json.loads(self.get("/api/plugins"))["plugins"]
        return len(ends) >= runs and not any(plugin["lag_events"] for plugin in plugins)

    def log(self, flow: str) -> list[Event]:
        """The events of one flow, in the log's order."""
        return [event for event in self._read(lambda store: store.log.read(0, 100_000)) if event.flow == flow]

    def graph(self) -> Graph:
        return self._read(lambda store: whole_graph(store.read))

    def columns(self, asset: str) -> set[tuple[str, str, str]]:
        """Each column of an asset with the asset and the column that it is made of."""
        found = self._read(lambda store: columns_of(store.read, asset))
        return {(edge.downstream_column, edge.upstream, edge.upstream_column) for edge in found}

    def _read(self, question: Callable[[Any], Any]) -> Any:
        store = open_store(f"sqlite:///{self.home}/flowtell.db", read_only=True)
        try:
            return question(store)
        finally:
            store.close()


def until(true: Callable[[], object], seconds: float, what: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    server = Receiving(tmp_path_factory.mktemp("receiving"))
    try:
        yield server
    finally:
        server.stop()
