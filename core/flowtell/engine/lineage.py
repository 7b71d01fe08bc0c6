"""What a task run reads and makes: the assets behind its inputs, and the events of those that it materializes.

An upstream asset is told with the evidence for it: `declared` in `asset_deps`, `column` where a column was said to come
from it, `future` where the result of the task run that made it came in as a future, `object` where the very object that
it returned did (as an argument, or from a task or flow called in the body), `read` where the body said so, `wait_for`
where it was only waited for. A plain task hands on what came in, except what it merely waited for. Nothing is guessed:
what may come from an asset and cannot be followed is named, see `unfollowed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any, cast

from flowtell.bus import emit
from flowtell.engine.columns import joined
from flowtell.engine.declarations import declare_asset
from flowtell.engine.failure import failure_of
from flowtell.engine.inputs import WAIT_FOR
from flowtell.engine.shapes import shapes_of
from flowtell.engine.unfollowed import unfollowed
from flowtell.events import AssetFailed, AssetMaterialized, AssetMaterializing, Column, UpstreamAsset
from flowtell.ids import following_id, new_id

if TYPE_CHECKING:
    from flowtell.engine.crossing import Said
    from flowtell.engine.runs import Run
    from flowtell.engine.task_runs import TaskRun

_RANK = ("declared", "explicit", "column", "future", "object", "read", "wait_for")
"""The strongest evidence first: where an asset is known in several ways, that is told."""

Facts = dict[str, Any]
"""Fields of an asset's event."""


class Lineage:
    """The assets of one task run."""

    __slots__ = ("_begun", "_ended", "_inputs", "_made_too", "_run", "_said", "made", "metadata", "told", "unfollowed")

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self.made = run.work.assets
        self.metadata: dict[str, dict[str, Any]] = {}
        """By asset key; what `Asset.add_metadata` was told."""
        self._inputs = _inputs(run)
        """Each with the argument by which it came."""
        self.unfollowed = unfollowed(run)
        self._said: dict[str, dict[str, Facts]] = {}
        """By key of what is made and by partition; what `Asset.materialize` was told."""
        self._made_too: dict[str, UpstreamAsset] = {}
        """What the body said that it made beyond what the task is known to make."""
        self._begun: dict[str, str] = {}
        """By key, the id of the event that told that it is being made."""
        self.told: list[AssetMaterialized] = []
        """What was told of what is made, where the result is kept."""
        self._ended = False

    def inputs(self) -> tuple[list[tuple[str, UpstreamAsset]], tuple[str, ...]]:
        """What came in with the arguments, and which of these cannot be followed; for the same run in another process."""
        return self._inputs, self.unfollowed

    def take_inputs(self, inputs: list[tuple[str, UpstreamAsset]], unfollowed: tuple[str, ...]) -> None:
        """Know of the arguments what another process knows of them."""
        self._inputs, self.unfollowed = inputs, unfollowed

    def begin(self) -> None:
        for asset in (*self.made, *self._run.work.asset_deps):
            declare_asset(asset)
        for asset in self.made:
            facts = self._facts(asset.key)
            self._begun[asset.key] = facts["id"]
            emit(AssetMaterializing(**facts))

    def begin_again(self) -> None:
        """Another attempt: what the failed one has said of its work is not true of this one."""
        self.metadata, self._said, self._made_too, self.told = {}, {}, {}, []

    def say(self, key: str, facts: Facts, explicit: tuple[UpstreamAsset, ...]) -> None:
        """The body tells facts of what the task makes; those of one partition add up."""
        known = self._said.setdefault(key, {}).setdefault(facts["partition"], {"explicit": ()})
        facts["metadata"] = {**known.get("metadata", {}), **facts["metadata"]}
        known.update({name: value for name, value in facts.items() if value not in (None, "", ())})
        known["explicit"] += explicit

    @property
    def said(self) -> Mapping[str, Any]:
        return self._said

    @property
    def made_too(self) -> Mapping[str, UpstreamAsset]:
        return self._made_too

    def hear(self, said: Said) -> None:
        """The body has run elsewhere: what it has said there is said here."""
        self.metadata.update({key: dict(one) for key, one in said.metadata.items()})
        self._said.update(said.facts)
        self._made_too.update(said.made_too)
        self.told += said.told

    def has_made(self, told: AssetMaterialized) -> None:
        self._made_too[told.asset] = UpstreamAsset(asset=told.asset, version=told.version, partition=told.partition)
        self._keep(told)

    def _keep(self, told: AssetMaterialized) -> None:
        if self._run.keeps:
            self.told.append(told)

    def end(self, state: str, error: BaseException | None, result: Any) -> Mapping[str, UpstreamAsset]:
        """What the result of this run is made of, for whoever it comes to."""
        if self._ended:
            return self._run.provides
        self._ended = True
        if state != "completed":
            self._tell_failed(state, error)
            return {}
        shapes = shapes_of(result, [asset.key for asset in self.made]) if self.made else {}
        for asset in self.made:
            for facts in (self._said.get(asset.key) or {"": {}}).values():
                self._tell_made(asset.key, facts, shapes.get(asset.key, {}))
        return self.provides()

    def provides(self) -> Mapping[str, UpstreamAsset]:
        """What has been made so far, or, where nothing was, what came in."""
        made = {asset.key: self._latest(asset.key) for asset in self.made} | self._made_too
        return made or {one.asset: one for one in self.incoming() if one.evidence != "wait_for"}

    def incoming(self, output: str = "") -> tuple[UpstreamAsset, ...]:
        """What came in, in the body as well; of an output with dependencies of its own, only those."""
        dependencies = self._run.work.dependencies
        needs = dependencies.by_output.get(output) if output and dependencies is not None else None
        if needs is None:
            body = (*(self._run.received or {}).values(), *(self._run.reads or ()))
            return _strongest([*self._inputs, *(("", one) for one in body)])
        keys = {need.key for need in needs if not isinstance(need, str)}
        return _strongest(
            [pair for pair in self._inputs if pair[0] in needs or (pair[1].evidence == "declared" and pair[1].asset in keys)]
        )

    @property
    def by(self) -> str:
        return self._run.work.by

    def incomplete(self) -> tuple[str, ...]:
        """What could not be followed, and what could not in the tasks that the body called."""
        return tuple(dict.fromkeys((*self.unfollowed, *(self._run.received_unfollowed or ()))))

    def hands_on_unfollowed(self) -> bool:
        """Whether its result may be made of more than `provides`: what is made into an asset is that asset's to tell."""
        return not (self.made or self._made_too) and bool(self.incomplete())

    def _latest(self, key: str) -> UpstreamAsset:
        said = list(self._said.get(key, {}).values())
        if len(said) != 1:
            return UpstreamAsset(asset=key)
        return UpstreamAsset(asset=key, version=said[0].get("version", ""), partition=said[0].get("partition", ""))

    def _tell_failed(self, state: str, error: BaseException | None) -> None:
        told = failure_of(error, with_traceback=False) if error is not None else None
        for asset in self.made if self._run.attempt else ():
            emit(AssetFailed(**self._end_of(asset.key, self._facts(asset.key)), state=state, error=told))

    def _tell_made(self, key: str, said: Facts, shape: Facts) -> None:
        facts = {**shape, "sql": self._run.work.sql, **said}
        explicit = facts.pop("explicit", ())
        facts["columns"] = joined(shape.get("columns", ()), said.get("columns") or self._run.work.columns.get(key, ()))
        facts["metadata"] = {**facts.get("metadata", {}), **self.metadata.get(key, {})}
        told = AssetMaterialized(**self._end_of(key, self._facts(key, explicit, facts["columns"]) | facts))
        emit(told)
        self._keep(told)

    def _end_of(self, key: str, facts: Facts) -> Facts:
        """The first end's id follows its beginning's, so that a process found dead is not told to have failed it."""
        began = self._begun.pop(key, None)
        return facts if began is None else {**facts, "id": following_id(began)}

    def _facts(self, key: str, explicit: tuple[UpstreamAsset, ...] = (), columns: tuple[Column, ...] = ()) -> Facts:
        now, run = time_ns() // 1000, self._run
        scope = run.outer
        incoming = explicit or self.incoming(key)
        return {
            "id": new_id(now),
            "time": now,
            "run": scope.run,
            "root_run": scope.root_run,
            "flow": scope.flow,
            "task_run": run.id,
            "task": run.work.name,
            "asset": key,
            **made_of(incoming, columns or run.work.columns.get(key, ()), self),
        }


def lineage_of(run: Run | None) -> Lineage | None:
    """Of a task run, opened if it had no need of one; None for a flow run or outside of any."""
    if run is None or run.kind != "task":
        return None
    return cast("TaskRun", run).open_lineage()


def made_of(incoming: tuple[UpstreamAsset, ...], columns: Iterable[Column], lineage: Lineage | None) -> Facts:
    """Upstream as the event of what is made has it: the assets that its columns come from among it."""
    sources = dict.fromkeys(origin.asset for column in columns for origin in column.origins)
    pairs = [("", one) for one in (*incoming, *(UpstreamAsset(asset=key, evidence="column") for key in sources))]
    facts: Facts = {"upstream": _strongest(pairs)}
    if lineage is not None:
        facts |= {"by": lineage.by, "unfollowed": lineage.incomplete()}
    return facts


def _inputs(run: TaskRun) -> list[tuple[str, UpstreamAsset]]:
    dependencies = run.work.dependencies
    found = [("", one) for one in dependencies.declared()] if dependencies is not None else []
    for argument, source, evidence in run.inputs.sources if run.inputs is not None else ():
        known = "wait_for" if argument == WAIT_FOR else evidence
        found.extend((argument, handed_on(one, known)) for one in source.provides.values())
    return found


def handed_on(asset: UpstreamAsset, evidence: str) -> UpstreamAsset:
    return UpstreamAsset(asset=asset.asset, version=asset.version, partition=asset.partition, evidence=evidence)


def _strongest(found: Iterable[tuple[str, UpstreamAsset]]) -> tuple[UpstreamAsset, ...]:
    """Each asset once, by its strongest evidence, with its version where any of them knows it."""
    best: dict[str, UpstreamAsset] = {}
    for _, one in sorted(found, key=lambda pair: _RANK.index(pair[1].evidence)):
        first = best.get(one.asset)
        if first is None:
            best[one.asset] = one
        elif not (first.version or first.partition):
            best[one.asset] = handed_on(one, first.evidence)
    return tuple(best.values())
