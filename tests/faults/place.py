"""A house whose store is SQLite or a database of the tests' own PostgreSQL, with the processes around it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from pathlib import Path
from typing import Any

from tests.e2e.conftest import CHILDREN as E2E
from tests.e2e.conftest import House, parse_metrics
from tests.faults.cluster import free_port
from tests.faults.ledger import Ledger, PostgresLedger, check_lineage, check_notifications, check_order

CHILDREN = Path(__file__).parent / "children"
COMMAND = Path(sys.executable).parent / "flowtell"

ON_THEIR_WAY = (
    "SELECT 1 FROM notifications_letters WHERE state IN ('waiting', 'sending') "
    "AND NOT (about = 'digest' AND told <> '' AND kind = 'updated')"  # which may wait for five minutes
)
OWN = ("flowtell_plugin_", "flowtell_leader", "flowtell_build_info", "flowtell_writer_skew", "flowtell_series_overflow")
"""Families that speak of the server that is asked, not of what happened."""


class Place(House):
    """`store` is the URL that its processes are given; empty for SQLite in the home."""

    def __init__(self, home: Path, folder: Path, ledger: Ledger, store: str = "", beside: Place | None = None) -> None:
        super().__init__(home, folder)
        self.ledger = ledger
        self.database = ""
        """Its name, on PostgreSQL."""
        self.settings = {
            "FLOWTELL_HOME": str(home),
            "FLOWTELL_PLUGINS__DISABLE": "dashboard",
            "FLOWTELL_PLUGIN__NOTIFICATIONS__TERMINAL": "false",
        }
        if store:
            self.settings["FLOWTELL_STORE"] = store
        if beside is not None:
            self.sides = beside.sides  # one log: what both noted is looked for together

    def server(self, wait: bool = True, **options: Any) -> subprocess.Popen[bytes]:
        """`flowtell up` itself, on a free port. Given back once it answers."""
        port = free_port()
        (self.folder / "address").write_text(f"http://127.0.0.1:{port}")
        process = self.run("up", COMMAND, "up", "--port", port, stdout=subprocess.DEVNULL, **options)
        if wait:
            self.until(lambda: process.poll() is not None or self.answers(), 60, "the server answers")
            assert process.poll() is None, self.errors()
        return process

    def child(self, script: str, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        path = next(path for path in (CHILDREN / script, E2E / script) if path.exists())
        return self.run(script, path, *arguments, **options)

    def run(self, name: str, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """A Python with these arguments; `before` is put in front of it."""
        command = [*options.pop("before", ()), sys.executable, *map(str, arguments)]
        environment = {**os.environ, **self.settings, **options.pop("env", {})}
        with open(self.folder / f"{name}.err", "ab") as log:
            process = subprocess.Popen(command, stderr=log, env=environment, **options)
        self.processes.append(process)
        return process

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.ledger.rows(statement, *values)

    def without_proxy(self) -> None:
        """Straight to the cluster, where time counts."""
        if isinstance(self.ledger, PostgresLedger):
            self.settings["FLOWTELL_STORE"] = self.ledger.url

    # --- what can be seen -----------------------------------------------------------------------------------------

    def ready(self, query: str = "") -> int:
        """The status of `/readyz`; 0 where nobody answers."""
        try:
            self.get(f"/readyz{query}")
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
        return 200

    def answers(self) -> bool:
        try:
            return bool(self.get("/healthz"))
        except OSError:
            return False

    def leads(self) -> float | None:
        """What `flowtell_leader` says; None where nobody answers."""
        try:
            found = re.search(r"^flowtell_leader (\S+)$", self.get("/metrics").decode(), re.MULTILINE)
        except OSError:
            return None
        return float(found[1]) if found else None

    def shared_metrics(self) -> dict[Any, float]:
        """All samples that any server on the store must give alike."""
        series = parse_metrics(self.get("/metrics").decode())
        return {key: value for key, value in series.items() if not key[0].startswith(OWN)}

    def moving(self) -> Any:
        """A condition that becomes true when the log has grown since now."""
        before = self.head()
        return lambda: self.head() > before

    def head(self) -> int:
        return int((self.sql("SELECT max(seq) FROM events") or [(0,)])[0][0] or 0)

    def quiet(self, seconds: float = 4.0) -> None:
        """Wait until the log has not grown for so long and no message is on its way: what follows from events was said."""
        head, since = self.head(), time.monotonic()
        until = since + 60
        while time.monotonic() - since < seconds or self.sql(ON_THEIR_WAY):
            assert time.monotonic() < until, f"still at work\n{self.errors()}"
            time.sleep(0.1)
            if self.head() != head:
                head, since = self.head(), time.monotonic()

    def stop_writing(self, *writers: subprocess.Popen[bytes]) -> None:
        """Let flows end by themselves, so that every one of their runs has an end."""
        for writer in writers:
            Path(f"{writer.side}.stop").touch()  # type: ignore[attr-defined]
        for writer in writers:
            assert writer.wait(40) == 0, self.errors()

    # --- what must hold -------------------------------------------------------------------------------------------

    def check(self, deliveries: Counter[str] | None = None) -> str:
        """Every invariant there is, when all has settled. What was counted, in words."""
        noted, held = self.check_nothing_lost()
        check_order(self.ledger)
        ended = self.check_every_run_ended()
        series = self.check_totals()
        edges = check_lineage(self.ledger)
        assert self.sql("SELECT plugin, seq, error FROM dead_events") == []
        told = check_notifications(self.ledger, deliveries) if deliveries is not None else ""
        return f"{noted} acknowledged, {held} in the log, {dict(ended)}, {series} series, {edges} edges, {dict(told) or ''}"
