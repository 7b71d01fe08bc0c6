"""The tables of the plugins that are installed, to move them with the store. No plugin is opened for it."""

from __future__ import annotations

from sqlalchemy import Table

from flowtell.config import Config
from flowtell.errors import PluginRefused
from flowtell.runner.apart import Apart
from flowtell.server.discovery import discover, make_plugin


def plugin_names(config: Config) -> list[str]:
    """Also of those that are off."""
    return [spec.name for spec in discover(config) if not spec.problem]


def plugin_tables(config: Config) -> dict[str, Table]:
    """By name, of those that are on and can be made."""
    found: dict[str, Table] = {}
    for spec in discover(config):
        try:
            plugin = make_plugin(spec, config) if spec.enabled else None
        except PluginRefused:
            continue
        if plugin is not None and plugin.tables is not None:
            found |= plugin.tables.tables
        if isinstance(plugin, Apart):  # making it has started its process
            plugin.end()
    return found
