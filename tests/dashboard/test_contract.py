"""The dashboard keeps what every plugin must keep."""

from __future__ import annotations

from typing import Any

from flowtell.plugin import Factory
from flowtell.testing import PluginContract, PluginHarness
from flowtell_dashboard.plugin import create


class TestDashboard(PluginContract):
    name = "dashboard"

    def factory(self) -> Factory:
        return create

    def observe(self, harness: PluginHarness) -> Any:
        """How far the pages may look: the end of the log, however it was handed over."""
        return harness.runner.plugin.pulse.seq > 0
