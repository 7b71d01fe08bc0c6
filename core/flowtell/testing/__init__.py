"""What an author needs to test flows and plugins: a harness, a recorder, a clock, a home, and the conformance kits.

Nothing here needs a server. The kits are classes to inherit from: pytest collects their tests in the subclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.testing.clock import FakeClock
from flowtell.testing.home import temporary_home
from flowtell.testing.recording import Recorder, recorder

if TYPE_CHECKING:
    from flowtell.testing.flow_harness import FlowHarness, harness
    from flowtell.testing.histories import example_history
    from flowtell.testing.log_contract import EventLogContract
    from flowtell.testing.plugin_contract import PluginContract
    from flowtell.testing.plugin_harness import PluginHarness
    from flowtell.testing.source_contract import SourceContract
    from flowtell.testing.source_harness import SourceHarness

_LAZY = {  # these load the engine, or open a store, which imports its libraries
    "FlowHarness": "flow_harness",
    "harness": "flow_harness",
    "PluginHarness": "plugin_harness",
    "PluginContract": "plugin_contract",
    "EventLogContract": "log_contract",
    "SourceContract": "source_contract",
    "SourceHarness": "source_harness",
    "example_history": "histories",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"flowtell.testing.{_LAZY[name]}"), name)


__all__ = [
    "EventLogContract",
    "FakeClock",
    "FlowHarness",
    "PluginContract",
    "PluginHarness",
    "Recorder",
    "SourceContract",
    "SourceHarness",
    "example_history",
    "harness",
    "recorder",
    "temporary_home",
]
