"""The runner's keys under `[plugin.NAME]`: which plugins run in a process of their own, and which see values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from flowtell.config import Config
from flowtell.decoders import convert
from flowtell.errors import PluginRefused

if TYPE_CHECKING:
    from flowtell.runner.isolation.isolated import Isolation


class RunnerKeys(msgspec.Struct, frozen=True):
    """The keys, as text where they come from the environment."""

    values: Annotated[bool, Meta(description="Whether an effect plugin sees the values that users passed.")] = False
    isolate: Annotated[Literal["", "process"], Meta(description="'process': in a process of its own.")] = ""
    isolate_memory_mb: Annotated[int, Meta(ge=0, description="MiB that the process may hold; 0 for no bound.")] = 0
    isolate_nice: Annotated[int, Meta(ge=0, le=19, description="How much it stands back for other processes.")] = 0


RUNNER_KEYS: Final = frozenset(RunnerKeys.__struct_fields__)
"""Keys that are not handed to the plugin's factory."""

_LEAST_MEMORY: Final = 64
"""MiB: an interpreter with the store's libraries takes about 50."""


def isolation_of(name: str, distribution: str, config: Config) -> Isolation | None:
    """How the plugin is isolated; None where it runs in the server's own process.

    Raises:
        PluginRefused: a value that cannot be.
    """
    keys = runner_keys(name, distribution, config)
    if not keys.isolate:
        return None
    from flowtell.runner.isolation.isolated import Home, Isolation
    from flowtell.runner.isolation.process import Bounds

    return Isolation(
        Home(config.store_url, config.home, config["environment"]),
        config["plugins.deadline_seconds"],
        Bounds(keys.isolate_memory_mb << 20, keys.isolate_nice),
    )


def runner_keys(name: str, distribution: str, config: Config) -> RunnerKeys:
    """What the configuration says of the plugin to its runner.

    Raises:
        PluginRefused: a value that cannot be.
    """
    given = {key: value for key, value in config.plugin(name).items() if key in RUNNER_KEYS}
    try:
        keys = convert(given, RunnerKeys, strict=False)
    except msgspec.ValidationError as error:
        raise PluginRefused(name, distribution, f"[plugin.{name}]: {error}") from error
    if keys.isolate_memory_mb and keys.isolate_memory_mb < _LEAST_MEMORY:
        raise PluginRefused(name, distribution, f"isolate_memory_mb is less than {_LEAST_MEMORY}, which no plugin fits in")
    return keys


def keys_schema() -> dict[str, Any]:
    """JSON Schema of those keys, by their names."""
    _, parts = msgspec.json.schema_components([RunnerKeys])
    found: dict[str, Any] = parts[RunnerKeys.__name__]["properties"]
    return found
