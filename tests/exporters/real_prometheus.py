"""A Prometheus of one's own, as Debian ships it, and what it answers."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest


class RealPrometheus:
    """Scrapes `target` once a second into a folder of its own, with the rules of another."""

    def __init__(self, folder: Path, target: str, rules: Path | None = None) -> None:
        binary = shutil.which("prometheus")
        if binary is None:
            pytest.skip("prometheus is not installed: apt-get install prometheus")
        self._folder, self.url = folder, f"http://127.0.0.1:{free_port()}"
        scrape = {"job_name": "flowtell", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        settings = {
            "scrape_configs": [scrape],
            "global": {"evaluation_interval": "1s"},
            "rule_files": [str(rules)] if rules else [],
        }
        (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
        command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--enable-feature=exemplar-storage",
        ]
        with open(folder / "prometheus.log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.until(self._is_ready, "ready")

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
        try:
            with urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except URLError:
            return False

    def ask(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer of the HTTP API."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str, **parameters: Any) -> list[dict[str, Any]]:
        return self.ask("query", query=expr, **parameters)["result"]

    def value(self, expr: str, **parameters: Any) -> float | None:
        """The only number that the expression comes to, or None."""
        found = self.query(expr, **parameters)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def until(self, condition: Any, what: str, seconds: float = 60.0) -> None:
        stop = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < stop, f"not within {seconds} s: {what}"
            time.sleep(0.1)

    def scrapes(self, number: int) -> None:
        """Wait for so many more scrapes."""
        counted = "count_over_time(up[10m])"
        before = self.value(counted) or 0
        self.until(lambda: (self.value(counted) or 0) >= before + number, f"{number} scrapes")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
