"""What the graph says to `flowtell why`: why an asset is missing or old, and what waits for what a run has not made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from flowtell.store.reading import Read
from flowtell.why import Fact, Found, Hit
from flowtell_lineage import questions
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.reading import Asset, get_asset
from flowtell_lineage.walk import View

HITS: Final = 100
"""Assets that an answer names at most."""
_WELL: Final = frozenset({"materialized", "cached"})


class AssetExplainer:
    """See `flowtell.why.Explainer`."""

    def about(self, read: Read, wanted: str, at: int) -> Found | None:
        view = View(as_of=at)
        try:
            asset = get_asset(read, wanted, view)
        except AssetNotFound:
            return None
        subject = f"asset {asset.asset}"
        last = asset.latest
        if last is not None and last.state not in _WELL:
            text = f"the last attempt to make it {last.state.replace('_', ' ')}"
            return Found(subject=subject, facts=(_fact("asset_failed", text, last.time, last.run, last.id),), run=last.run)
        return self._above(read, asset, view) or _made(subject, asset)

    def _above(self, read: Read, asset: Asset, view: View) -> Found | None:
        """Where the first that fails above it, or what was made since, is the reason."""
        subject = f"asset {asset.asset}"
        for cause in questions.root_causes(read, asset.asset, view=view):
            above = get_asset(read, cause.asset, view)
            way = " → ".join(cause.path)
            text = f"{cause.asset}, {_steps(cause.distance)} above it, {cause.why.replace('_', ' ')} ({way})"
            run = above.latest.run if above.latest is not None else ""
            since = above.latest.time if above.latest is not None else None
            return Found(subject=subject, facts=(_fact("upstream_failed", text, since, run),), run=run)
        newer = [one for one in questions.staleness(read, asset.asset, view=view).causes if one.kind == "data"]
        if not newer or asset.made is None:
            return None
        text = f"{newer[0].asset}{f' and {len(newer) - 1} more' if len(newer) > 1 else ''} was made since"
        fact = _fact("asset_stale", text, newer[0].since, asset.made.run)
        return Found(subject=subject, facts=(fact,), flow=asset.made.flow, environment=asset.made.environment)

    def impact(self, read: Read, assets: Sequence[str], at: int) -> Sequence[Hit]:
        view, hits = View(as_of=at), {asset: Hit(asset=asset, distance=0) for asset in assets}
        for asset in assets:
            try:
                own, below = get_asset(read, asset, view), questions.downstream(read, asset, view=view)
            except AssetNotFound:
                continue
            hits[asset] = Hit(asset=asset, distance=0, owners=own.owners)
            _add(hits, (Hit(asset=one.asset, distance=one.distance, owners=one.owners) for one in below))
        return sorted(hits.values(), key=lambda hit: (hit.distance, hit.asset))[:HITS]


def _add(hits: dict[str, Hit], more: Iterable[Hit]) -> None:
    for hit in more:
        known = hits.get(hit.asset)
        if known is None or known.distance > hit.distance:
            hits[hit.asset] = hit


def _made(subject: str, asset: Asset) -> Found:
    """Nothing is wrong with the data that is there; whether the next is late, the flow that makes it tells."""
    if asset.made is None:
        return Found(subject=subject)
    by = f" by {asset.made.flow}" if asset.made.flow else ""
    fact = _fact("asset_made", f"it was made{by}, and nothing it is made of is newer", asset.made.time, asset.made.run)
    flow, environment = asset.made.flow, asset.made.environment
    return Found(subject=subject, facts=(fact,), flow=flow, environment=environment, well=True)


def _fact(cause: str, text: str, since: int | None, run: str, *events: str) -> Fact:
    return Fact(cause=cause, text=text, since=since, run=run, events=events)


def _steps(distance: int) -> str:
    return "a step" if distance == 1 else f"{distance} steps"
