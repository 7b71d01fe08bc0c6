"""Whether an object has the shape of a plugin."""

from __future__ import annotations

from flowtell.plugin import API_VERSION, Plugin

_MEMBERS = ("name", "wants", "effects", "tables", "api", "tick_seconds", "open", "handle", "tick", "close")


def misfit(plugin: object) -> str:
    """What is wrong with the shape of a plugin; empty when nothing is."""
    if not isinstance(plugin, Plugin):
        missing = [name for name in _MEMBERS if not hasattr(plugin, name)]
        return f"it lacks {', '.join(missing)}; inherit from flowtell.plugin.BasePlugin"
    if plugin.api != API_VERSION:
        return f"it was written for version {plugin.api} of the contract, this flowtell has {API_VERSION}"
    if isinstance(plugin.wants, str):
        return "wants is a text; write a tuple of event types"
    return ""
