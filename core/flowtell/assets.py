"""The names of `prefect.assets`, so that a script changes only its import: `from flowtell.assets import …`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowtell.engine.assets import Asset, AssetProperties, as_asset
from flowtell.engine.tasks import materialize
from flowtell.events import UpstreamAsset


def add_asset_metadata(asset: Asset | str, metadata: Mapping[str, Any]) -> None:
    """As `Asset.add_metadata`, also for a key.

    Raises:
        ValueError: the task around the caller makes another asset.
        MetadataOutsideTask: no task is around the caller. A RuntimeError, as in Prefect.
    """
    as_asset(asset).add_metadata(metadata)


__all__ = ["Asset", "AssetProperties", "UpstreamAsset", "add_asset_metadata", "materialize"]
