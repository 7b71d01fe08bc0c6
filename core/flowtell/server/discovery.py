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
from flowtell.errors import ConfigError, FlowtellError, PluginRefused
from flowtell.plugin import Factory, Plugin
from flowtell.runner import Runner
from flowtell.runner.shape import misfit
from flowtell.server.isolating import RUNNER_KEYS, isolation_of, runner_keys
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
    """A runner for each plugin that is on and configured, and what was refused and why.

    Without `effects`, for a reading command, those with a process of their own are left to the server as well.
    """
    runners: list[Runner] = []
    refused: list[PluginRefused] = []
    for spec in discover(config):
        try:
            wanted = spec.enabled and (effects or not isolation_of(spec.name, spec.distribution, config))
            plugin = make_plugin(spec, config) if wanted else None
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
    factory = factory_of(spec, config)
    try:
        plugin = factory(settings_of(spec.name, config))
    except PluginRefused as error:
        raise PluginRefused(spec.name, spec.distribution, error.problem) from error
    except FlowtellError as error:
        raise PluginRefused(spec.name, spec.distribution, str(error)) from error
    except (Exception, SystemExit) as error:
        raise PluginRefused(spec.name, spec.distribution, f"its factory raised {type(error).__name__}: {error}") from error
    problem = misfit(plugin) if plugin is not None else ""
    if problem:
        raise PluginRefused(spec.name, spec.distribution, problem)
    return plugin


def check_settings(name: str, config: Config) -> None:
    """See that the plugin of that name can be made as it is configured, where it is on.

    Raises:
        ConfigError: a key or value of its configuration cannot be used.
    """
    for spec in discover(config):
        if spec.name != name or not spec.enabled:
            continue
        try:
            make_plugin(spec, config)
        except PluginRefused as error:
            if isinstance(error.__cause__, ConfigError):
                raise error.__cause__ from None


def settings_of(name: str, config: Config) -> dict[str, Any]:
    """A plugin's own keys; the others are the runner's (`flowtell.plugin.CONFIDENTIAL`, `flowtell.server.isolating`)."""
    return {key: value for key, value in config.plugin(name).items() if key not in RUNNER_KEYS}


def factory_of(spec: PluginSpec, config: Config) -> Factory:
    """Its factory; one that makes it in a process of its own where the configuration says so. Then nothing is imported.

    Raises:
        PluginRefused: it cannot be imported, or its isolation is configured wrongly.
    """
    isolation = isolation_of(spec.name, spec.distribution, config)
    if isolation is None:
        return spec.load()
    from flowtell.runner.isolation.isolated import isolated

    assert spec.entry is not None
    return isolated(spec.entry.value, spec.name, isolation)


def _runner(spec: PluginSpec, plugin: Plugin, config: Config, store: Store) -> Runner:
    runner = Runner(
        spec.name,
        factory_of(spec, config),
        store,
        settings=settings_of(spec.name, config),
        values=runner_keys(spec.name, spec.distribution, config).values,
        home=config.home,
        environment=config["environment"],
        deadline=config["plugins.deadline_seconds"],
        distribution=spec.distribution,
        version=spec.version,
        shared=spec.built_in,
        trace=config["plugins.trace"],
    )
    plugin.name = spec.name
    runner.adopt(plugin)
    return runner
