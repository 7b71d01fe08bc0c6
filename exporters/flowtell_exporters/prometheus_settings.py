"""What `[plugin.prometheus]` may say: bounds on series, buckets, who gets task histograms, and when the unseen expire."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from flowtell.errors import BadValue
from flowtell.plugin_settings import settings
from flowtell_exporters.families import DURATION_BUCKETS

MOST_BUCKETS: Final = 50


class Settings(Struct, frozen=True, kw_only=True):
    """`max_*`: how many label sets of a kind have series of their own; what is beyond counts as `__overflow__`.

    The defaults hold 350 flows of 12 tasks in two environments twice over.
    """

    max_flows: int = 1_500
    """Flows times environments: some 25 series each, and 13 more where runs have a due time."""
    max_tasks: int = 18_000
    """Tasks times flows times environments: some 3 series each."""
    max_deployments: int = 1_500
    """Deployments times environments: 7 series each."""
    max_measures: int = 5_000
    """Measures times tasks, flows and environments: 1 series each."""
    max_assets: int = 5_000
    """Assets times environments: 4 series each."""
    max_capacities: int = 2_000
    """Pools, queues, workers and limits: up to 3 series each."""
    max_incidents: int = 500
    """Kinds of rules times severities times environments: 2 series each."""
    max_channels: int = 100
    """Channels that notifications went to: 3 series each."""

    expire_days: float = 100.0
    """Days after which a flow, task, deployment, measure or asset that no event has named loses its series; 0 for never."""
    worker_expire_days: float = 1.0
    """The same for workers, whose names end with their process; and only once they are not seen any more."""
    duration_buckets: tuple[float, ...] = DURATION_BUCKETS
    """Upper bounds in seconds, of flows' durations and of tasks' where they have a histogram."""
    delay_buckets: tuple[float, ...] = DURATION_BUCKETS
    """Upper bounds in seconds, of how long after its due time a run started."""
    task_histograms: tuple[str, ...] = ()
    """Names of flows, or patterns such as `etl-*`, whose tasks have histograms; a flow asks by the tag `task-histograms`."""


def settings_of(config: Mapping[str, Any], plugin: str = "prometheus") -> Settings:
    """The table as it was checked.

    Raises:
        UnknownKey: a key that there is not.
        BadValue: a value of another type, or buckets that are no rising row of positive numbers.
    """
    found = settings(Settings, config, plugin)
    return replace(
        found,
        duration_buckets=_buckets(found.duration_buckets, "duration_buckets", plugin),
        delay_buckets=_buckets(found.delay_buckets, "delay_buckets", plugin),
    )


def _buckets(bounds: tuple[float, ...], key: str, plugin: str) -> tuple[float, ...]:
    """The bounds; the registry's own object where they are equal, which is how a row leaves them out."""
    rising = all(low < high for low, high in pairwise((0.0, *bounds)))
    if not (rising and 0 < len(bounds) <= MOST_BUCKETS and math.isfinite(bounds[-1])):
        raise BadValue(key, f"[plugin.{plugin}]", f"expected 1 to {MOST_BUCKETS} rising numbers of seconds")
    return DURATION_BUCKETS if bounds == DURATION_BUCKETS else bounds
