"""The lineage of a run that took a known result: what the run that computed it made, told again as `asset.cached`."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from flowtell.bus import emit
from flowtell.engine.declarations import declare_asset
from flowtell.events import AssetCached, AssetMaterialized, UpstreamAsset
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.kept_runs import KeptTaskRun
    from flowtell.results.record import Known

_FACTS: Final = (
    "upstream", "columns", "rows", "bytes", "version", "partition", "by", "metadata", "unfollowed", "sql", "job_type"
)  # fmt: skip


class KeptLineage:
    """In the place of `Lineage`."""

    __slots__ = ("_known", "_run", "_told")

    def __init__(self, run: KeptTaskRun, known: Known) -> None:
        self._run, self._known, self._told = run, known, False

    def end(self, state: str, error: BaseException | None, result: Any) -> Mapping[str, UpstreamAsset]:
        """Tell of the assets; what the value is made of, for whoever it comes to."""
        if not self._told:
            self._told = True
            for asset in (*self._run.work.assets, *self._run.work.asset_deps):
                declare_asset(asset)
            for made in self._known.made:
                self._tell(made)
        return self.provides()

    def provides(self) -> Mapping[str, UpstreamAsset]:
        return {one.asset: one for one in self._known.provides}

    def incomplete(self) -> tuple[str, ...]:
        return self._known.unfollowed

    def hands_on_unfollowed(self) -> bool:
        return bool(self._known.unfollowed)

    def _tell(self, made: AssetMaterialized) -> None:
        now, run = time_ns() // 1000, self._run
        emit(
            AssetCached(
                id=new_id(now), time=now, run=run.outer.run, root_run=run.outer.root_run, flow=run.outer.flow,
                task_run=run.id, task=run.work.name, asset=made.asset, role=made.role,
                **{name: getattr(made, name) for name in _FACTS},
            )
        )  # fmt: skip
