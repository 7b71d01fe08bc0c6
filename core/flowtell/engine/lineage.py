"""What a task run reads and makes: the assets behind its inputs, and the events of those that it materializes.

An upstream asset is told with the evidence for it: `declared` in `asset_deps`, `future` where the result of the task run
that made it came in as a future, `object` where the very object that it returned did. A plain task hands on what came in.
Nothing is guessed. An argument of a materializing task that holds data, and of which neither is known, is named in
`unfollowed`: it may come from an asset all the same.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine.declarations import declare_asset
from flowtell.engine.failure import failure_of
from flowtell.engine.provenance import holds_data
from flowtell.events import AssetFailed, AssetMaterialized, AssetMaterializing, UpstreamAsset
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun


class Lineage:
    """The assets of one task run."""

    __slots__ = ("_run", "_unfollowed", "made", "metadata", "upstream")

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self.made = run.work.assets
        self.metadata: dict[str, dict[str, Any]] = {}
        """By asset key; what `Asset.add_metadata` was told."""
        self.upstream = _upstream(run)
        """Asset key and evidence."""
        self._unfollowed = _unfollowed(run) if self.made else ()

    def begin(self) -> None:
        for asset in (*self.made, *self._run.work.asset_deps):
            declare_asset(asset)
        for asset in self.made:
            emit(AssetMaterializing(**self._facts(asset.key)))

    def end(self, state: str, error: BaseException | None) -> dict[str, str]:
        """What the result of this run is made of, for whoever it comes to."""
        made = [asset.key for asset in self.made]
        if state != "completed":
            told = failure_of(error, with_traceback=False) if error is not None else None
            for key in made if self._run.attempt else ():
                emit(AssetFailed(**self._facts(key), state=state, error=told))
            return {}
        for key in made:
            emit(AssetMaterialized(**self._facts(key), metadata=self.metadata.get(key, {})))
        return dict.fromkeys(made, "") or self.upstream

    def _facts(self, key: str) -> dict[str, Any]:
        now, run = time_ns() // 1000, self._run
        scope = run.outer
        return {
            "id": new_id(now),
            "time": now,
            "run": scope.run,
            "root_run": scope.root_run,
            "flow": scope.flow,
            "task_run": run.id,
            "task": run.work.name,
            "asset": key,
            "by": run.work.by,
            "upstream": tuple(UpstreamAsset(asset=one, evidence=evidence) for one, evidence in self.upstream.items()),
            "unfollowed": self._unfollowed,
        }


def _upstream(run: TaskRun) -> dict[str, str]:
    """What is declared comes first: where an asset is known in two ways, the stronger evidence is told."""
    found = {asset.key: "declared" for asset in run.work.asset_deps}
    sources = run.inputs.sources if run.inputs is not None else []
    for wanted in ("future", "object"):
        for _, source, evidence in sources:
            if evidence == wanted:
                for key in source.provides:
                    found.setdefault(key, evidence)
    return found


def _unfollowed(run: TaskRun) -> tuple[str, ...]:
    if run.inputs is None:
        return ()
    followed = {argument for argument, _, _ in run.inputs.sources}
    names = [name for name, value in run.inputs.named() if name not in followed and holds_data(value)]
    return tuple(dict.fromkeys(names))
