"""Which plugins there are, which of them are on, and why one is refused.

Built-in plugins are those of flowtell's own distributions: on unless switched off. An outsider's is on when
`plugins.enable` names it. Nothing is imported for a plugin that is off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from flowtell.config import Config
from flowtell.errors import FlowtellError, PluginRefused
from flowtell.plugin import API_VERSION, Factory, Plugin
from flowtell.runner import Runner
from flowtell.store.store import Store

GROUP: Final = "flowtell.plugins"
OWN_DISTRIBUTIONS: Final = frozenset(
    {"flowtell", "flowtell-exporters", "flowtell-lineage", "flowtell-alerts", "flowtell-dashboard", "flowtell-sources"}
)


class PluginSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that is installed."""

    name: str
    distribution: str = ""
    version: str = ""
    built_in: bool = False
    enabled: bool = False
    problem: str = ""
    entry: EntryPoint | None = None

    def load(self) -> Factory:
        """Its factory, imported now.

        Raises:
            PluginRefused: it cannot be imported, or is nothing that can be called.
        """
        assert self.entry is not None
        try:
            factory = self.entry.load()
        except (Exception, SystemExit) as error:
            raise PluginRefused(
                self.name, self.distribution, f"{self.entry.value} cannot be imported ({type(error).__name__}: {error})"
            ) from error
        if not callable(factory):
            raise PluginRefused(self.name, self.distribution, f"{self.entry.value} is no factory: it cannot be called")
        return factory  # type: ignore[no-any-return]


def discover(config: Config) -> Sequence[PluginSpec]:
    """Every installed plugin, by name."""
    specs = sorted(
        (_spec(entry, config) for entry in entry_points(group=GROUP)), key=lambda spec: (spec.name, spec.distribution)
    )
    taken = Counter(spec.name for spec in specs)
    return [_clash(spec) if taken[spec.name] > 1 else spec for spec in specs]


def _spec(entry: EntryPoint, config: Config) -> PluginSpec:
    distribution = entry.dist.name if entry.dist else ""
    built_in = distribution in OWN_DISTRIBUTIONS
    enabled = entry.name not in config["plugins.disable"] and (built_in or entry.name in config["plugins.enable"])
    version = entry.dist.version if entry.dist else ""
    return PluginSpec(
        name=entry.name, distribution=distribution, version=version, built_in=built_in, enabled=enabled, entry=entry
    )


def _clash(spec: PluginSpec) -> PluginSpec:
    if spec.built_in:
        return spec
    problem = f"the name '{spec.name}' is taken by another distribution"
    return msgspec.structs.replace(spec, enabled=False, problem=problem)


def make_runners(config: Config, store: Store, *, effects: bool = True) -> tuple[list[Runner], list[PluginRefused]]:
    """A runner for each plugin that is on and configured, and what was refused and why."""
    runners: list[Runner] = []
    refused: list[PluginRefused] = []
    for spec in discover(config):
        try:
            plugin = make_plugin(spec, config) if spec.enabled else None
        except PluginRefused as error:
            refused.append(error)
            continue
        if plugin is not None and (effects or not plugin.effects):
            runners.append(_runner(spec, plugin, config, store))
    return runners, refused


def make_plugin(spec: PluginSpec, config: Config) -> Plugin | None:
    """The plugin from its factory; None when it says that it is not configured.

    Raises:
        PluginRefused: it cannot be imported or made, or has the wrong shape.
    """
    factory = spec.load()
    try:
        plugin = factory(settings_of(spec.name, config))
    except FlowtellError as error:
        raise PluginRefused(spec.name, spec.distribution, str(error)) from error
    except (Exception, SystemExit) as error:
        raise PluginRefused(spec.name, spec.distribution, f"its factory raised {type(error).__name__}: {error}") from error
    problem = misfit(plugin) if plugin is not None else ""
    if problem:
        raise PluginRefused(spec.name, spec.distribution, problem)
    return plugin


def settings_of(name: str, config: Config) -> dict[str, Any]:
    """A plugin's own keys; `values` is the runner's (`flowtell.plugin.CONFIDENTIAL`)."""
    return {key: value for key, value in config.plugin(name).items() if key != "values"}


def _runner(spec: PluginSpec, plugin: Plugin, config: Config, store: Store) -> Runner:
    runner = Runner(
        spec.name,
        spec.load(),
        store,
        settings=config.plugin(spec.name),
        home=config.home,
        environment=config["environment"],
        deadline=config["plugins.deadline_seconds"],
        distribution=spec.distribution,
        version=spec.version,
    )
    plugin.name = spec.name
    runner.adopt(plugin)
    return runner


def misfit(plugin: object) -> str:
    """What is wrong with the shape of a plugin; empty when nothing is."""
    if not isinstance(plugin, Plugin):
        missing = [
            name
            for name in ("name", "wants", "effects", "tables", "api", "tick_seconds", "open", "handle", "tick", "close")
            if not hasattr(plugin, name)
        ]
        return f"it lacks {', '.join(missing)}; inherit from flowtell.plugin.BasePlugin"
    if plugin.api != API_VERSION:
        return f"it was written for version {plugin.api} of the contract, this flowtell has {API_VERSION}"
    if isinstance(plugin.wants, str):
        return "wants is a text; write a tuple of event types"
    return ""
