"""Prefect's asset events: materializations with what they were made from, and assets that were read."""

from __future__ import annotations

import json
from typing import Any, Final

from flowtell import events as e
from flowtell.events import Event, UpstreamAsset
from flowtell_sources.prefect.documents import Message
from flowtell_sources.prefect.identity import fact_id, moment

PREFIX: Final = "prefect.asset."
_SUCCEEDED: Final = "prefect.asset.materialization.succeeded"
_FAILED: Final = "prefect.asset.materialization.failed"
_REFERENCED: Final = "prefect.asset.referenced"


def asset_events(message: Message, facts: dict[str, Any]) -> list[Event]:
    """The events that one of Prefect's is; none for a kind of asset event that is not known.

    Args:
        message: its event.
        facts: fields of the run and task run that it belongs to.
    """
    at = moment(message.occurred)
    if at is None or not message.subject or message.event not in (_SUCCEEDED, _FAILED, _REFERENCED):
        return []
    made: dict[str, Any] = {"id": fact_id(at, "asset", message.id), "time": at, "asset": message.subject, **facts}
    if message.event == _REFERENCED:
        return [e.AssetObserved(role="read", **made), *_declared(message, at)]
    upstream = tuple(UpstreamAsset(asset=asset, evidence="declared") for asset in message.related_ids("asset"))
    by = next(iter(message.related_ids("asset-materialized-by")), "")
    kind = e.AssetMaterialized if message.event == _SUCCEEDED else e.AssetFailed
    touched = kind(upstream=upstream, by=by, metadata=dict(message.payload), **made)
    return [touched, *_declared(message, at)]


def _declared(message: Message, at: int) -> list[Event]:
    """What Prefect says of the asset itself, where it says anything."""
    labels = {key: str(value) for key, value in message.resource.items() if value}
    name, description = labels.get("prefect.resource.name", ""), labels.get("prefect.asset.description", "")
    owners, url = _owners(labels.get("prefect.asset.owners", "")), labels.get("prefect.asset.url", "")
    if not (name or description or owners or url):
        return []
    return [
        e.AssetDeclared(
            id=fact_id(at, "asset", message.id, "declared"),
            time=at,
            asset=message.subject,
            name=name,
            description=description,
            owners=owners,
            url=url,
        )
    ]


def _owners(text: str) -> tuple[str, ...]:
    """Prefect writes them as a JSON list in a text."""
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return (text,)
    return tuple(map(str, found)) if isinstance(found, list) else (text,)
