"""What `[plugin.prefect_metrics]` may say."""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec import Struct


class Settings(Struct, frozen=True):
    enabled: bool = False
    """Off until somebody asks for it: whoever has no dashboards of the other exporter needs none of this."""
    sources: str = "prefect*"
    """Patterns of the sources that count, divided by commas; `*` counts flowtell's own runs too."""
    offset_minutes: float = 5.0
    """Minutes that a run is counted under the state in which it ended."""
    failed_runs_offset_minutes: float = 1440.0
    """Minutes that a failed or crashed run is named; a day at the most."""
    failed_runs_limit: int = 1
    """How many of those are named of each deployment and state: the newest."""
    max_series: int = 2_000
    """Series of one metric."""
    max_runs: int = 50_000
    """Runs that are kept: those that have not ended, and those of the last day."""

    def counts(self, source: str) -> bool:
        return any(fnmatchcase(source, pattern.strip()) for pattern in self.sources.split(","))
