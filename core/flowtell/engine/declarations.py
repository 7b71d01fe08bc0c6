"""What is told of a flow or asset once, at its first run in a journal: who owns it, which rules hold, where its code is."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit, journal_path
from flowtell.events import AssetDeclared, CodePlace, FlowDeclared
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.assets import Asset
    from flowtell.engine.flows import Flow

_flows: dict[str, tuple[str, tuple[Any, ...]]] = {}
_assets: dict[Asset, tuple[str, tuple[Any, ...]]] = {}


def declare_flow(flow: Flow[..., Any]) -> None:
    """Again only where another object gives the same name other properties."""
    said = (flow.version, flow.description, flow.tags, flow.owners, flow.rules)
    if _flows.get(flow.name) == (journal_path(), said):
        return
    now = time_ns() // 1000
    emit(
        FlowDeclared(
            id=new_id(now), time=now, flow=flow.name, version=flow.version, description=flow.description, tags=flow.tags,
            owners=flow.owners, rules=flow.rules, code=code_place(flow.fn), retries=flow.retries.times,
            timeout=flow.timeout_seconds, parameters_schema=flow.parameters.schema(),
        )
    )  # fmt: skip
    _flows[flow.name] = journal_path(), said


def declare_asset(asset: Asset) -> None:
    """Again only where another object gives the same key other properties."""
    told = _assets.get(asset)
    if told == (journal_path(), asset.described):
        return
    if told is not None and told[0] == journal_path() and not any(asset.described):
        return  # a bare key says nothing against what was told of it
    now = time_ns() // 1000
    emit(
        AssetDeclared(
            id=new_id(now), time=now, asset=asset.key, name=asset.name, kind=asset.kind, owners=asset.owners,
            tags=asset.tags, description=asset.description, url=asset.url, metadata=asset.metadata,
        )
    )  # fmt: skip
    _assets[asset] = (journal_path(), asset.described)


def code_place(function: Any) -> CodePlace | None:
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    return CodePlace(file=code.co_filename, line=code.co_firstlineno, function=getattr(function, "__qualname__", ""))
