"""What a run's body says of assets: made, read, looked at, checked. Outside a run nothing is said, as with `measure`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine.capture import captured
from flowtell.engine.columns import columns_of
from flowtell.engine.context import current
from flowtell.engine.declarations import declare_asset
from flowtell.engine.dependencies import as_upstream
from flowtell.engine.lineage import lineage_of, made_of
from flowtell.engine.logs import record
from flowtell.engine.statements import place
from flowtell.errors import MetadataOutsideTask
from flowtell.events import AssetChecked, AssetMaterialized, AssetObserved, UpstreamAsset
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.assets import Asset
    from flowtell.engine.columns import ColumnOrigins
    from flowtell.engine.runs import Run

ROLES = ("read", "output")
SEVERITIES = ("error", "warn")


def add_metadata(asset: Asset, metadata: Mapping[str, Any]) -> None:
    run = current.get()
    lineage = lineage_of(run)
    if run is None or lineage is None:
        raise MetadataOutsideTask(asset.key)
    if asset not in lineage.made:
        raise ValueError(f"{run.kind} '{run.work.name}' does not make {asset.key}; name it in @materialize")
    lineage.metadata.setdefault(asset.key, {}).update(_kept(metadata))


def materialize(
    asset: Asset,
    said: dict[str, Any],
    metadata: Mapping[str, Any],
    upstream: Iterable[Asset | str | UpstreamAsset],
    columns: ColumnOrigins,
) -> None:
    run = current.get()
    if run is None:
        return
    facts = _facts(run, said, metadata)
    facts["columns"] = columns_of(columns)
    explicit = tuple(as_upstream(one, "explicit") for one in upstream)
    lineage = lineage_of(run)
    if lineage is not None and asset in lineage.made:
        lineage.say(asset.key, facts, explicit)
        return
    declare_asset(asset)
    incoming = explicit or (tuple(run.reads or ()) if lineage is None else lineage.incoming())
    told = AssetMaterialized(**_event(), asset=asset.key, **facts, **made_of(incoming, facts["columns"], lineage))
    emit(told)
    if lineage is not None:
        lineage.has_made(told)


def observe(asset: Asset, role: str, said: dict[str, Any], metadata: Mapping[str, Any]) -> None:
    if role not in ROLES:
        raise ValueError(f"the role of an observed asset is 'read' or 'output', not {role!r}")
    run = current.get()
    if run is None:
        return
    declare_asset(asset)
    facts = _facts(run, said, metadata)
    emit(AssetObserved(**_event(), asset=asset.key, role=role, **facts))
    if role == "read":
        read = UpstreamAsset(asset=asset.key, version=facts["version"], partition=facts["partition"], evidence="read")
        run.reads = [*(run.reads or ()), read]


def check(asset: Asset, passed: Any, said: dict[str, Any], metadata: Mapping[str, Any]) -> bool:
    if said["severity"] not in SEVERITIES:
        raise ValueError(f"the severity of a check is 'error' or 'warn', not {said['severity']!r}")
    well = bool(passed)
    if current.get() is not None:
        declare_asset(asset)
        said |= _kept({"value": said["value"]})
        emit(AssetChecked(**_event(), asset=asset.key, passed=well, metadata=_kept(metadata), **said))
    return well


def _event() -> dict[str, Any]:
    now = time_ns() // 1000
    return {"id": new_id(now), "time": now, **place()}


def _facts(run: Run, said: dict[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("rows", "bytes"):
        said[name] = _count(run, name, said[name])
    said["version"], said["partition"] = str(said["version"]), str(said["partition"])
    return {**said, "metadata": _kept(metadata)}


def _count(run: Run, name: str, value: Any) -> int | None:
    """A wrong figure is no reason to fail: it is left out, with a line in the run's log."""
    if value is None:
        return None
    try:
        count = operator.index(value)
    except TypeError:
        count = -1
    if count < 0:
        record(run, "WARNING", "flowtell.assets", f"{name} is no count and was left out: {value!r:.200}")
        return None
    return count


def _kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """Taken down now, as the caller may change them, and so that no value of theirs can lose the event."""
    return captured({str(name): _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own: whatever says that it is one item."""
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) and getattr(value, "shape", None) == () else value
    except Exception:  # noqa: BLE001  # whatever a stranger's item() raises
        return value
