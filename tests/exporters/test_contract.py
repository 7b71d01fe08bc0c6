"""Our own exporters keep the contract that any plugin must keep."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from flowtell.testing import PluginContract, PluginHarness
from flowtell_exporters import jsonlines, prometheus


class TestPrometheus(PluginContract):
    name = "prometheus"

    def factory(self):
        return prometheus.create

    def observe(self, harness):
        return harness.mounted["/metrics"].text()


class TestJsonLines(PluginContract):
    name = "jsonlines"
    settings = MappingProxyType({"path": "never-opened.jsonl"})

    def factory(self):
        return jsonlines.create

    def harness(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        return PluginHarness(self.factory(), folder, name=self.name, settings={"path": str(folder / "events.jsonl")})

    def observe(self, harness):
        """Each event once: what a crash wrote twice is told by its id."""
        lines = Path(harness.folder, "events.jsonl").read_bytes().splitlines()
        return list(dict.fromkeys(lines))
