"""`asset_deps`: what a task reads, for all that it makes or output by output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowtell.engine.assets import Asset, as_asset, is_key
from flowtell.errors import BadDependencies
from flowtell.events import UpstreamAsset


class Dependencies:
    """What one task was told in `asset_deps`.

    A list holds for all outputs. A mapping says for each output what it is made of and nothing else: assets, and names of
    parameters, by which whatever assets come in at that parameter are meant. Outputs that it leaves out depend on all.
    """

    __slots__ = ("assets", "by_output")

    def __init__(self, given: Any, made: tuple[Asset, ...], function: Callable[..., Any]) -> None:
        self.by_output: dict[str, tuple[Asset | str, ...]] = {}
        """By key of an output: assets and names of parameters."""
        if isinstance(given, Mapping):
            self.by_output = dict(_of_output(one, needs, made, function) for one, needs in given.items())
            listed: Iterable[Any] = (need for needs in self.by_output.values() for need in needs if isinstance(need, Asset))
        else:
            listed = [given] if isinstance(given, str | Asset) else given or ()
        self.assets = tuple(dict.fromkeys(as_asset(one) for one in listed))

    def declared(self) -> list[UpstreamAsset]:
        return [UpstreamAsset(asset=one.key, evidence="declared") for one in self.assets]


def as_upstream(given: Asset | str | UpstreamAsset, evidence: str) -> UpstreamAsset:
    if not isinstance(given, UpstreamAsset):
        return UpstreamAsset(asset=as_asset(given).key, evidence=evidence)
    return UpstreamAsset(
        asset=as_asset(given.asset).key, version=given.version, partition=given.partition, evidence=evidence
    )


def _of_output(
    output: Any, needs: Any, made: tuple[Asset, ...], function: Callable[..., Any]
) -> tuple[str, tuple[Asset | str, ...]]:
    asset = as_asset(output)
    if asset not in made:
        raise BadDependencies(f"the task does not make {asset.key}")
    needs = [needs] if isinstance(needs, str | Asset) else needs
    return asset.key, tuple(as_asset(need) if is_key(need) else _parameter(need, function) for need in needs)


def _parameter(name: Any, function: Callable[..., Any]) -> str:
    names = _parameters(function)
    if names is not None and name not in names:
        raise BadDependencies(f"{name!r} is neither an asset's key nor a parameter of the function")
    return str(name)


def _parameters(function: Callable[..., Any]) -> list[str] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return None
    return None if any(one.kind is one.VAR_KEYWORD for one in parameters) else [one.name for one in parameters]
