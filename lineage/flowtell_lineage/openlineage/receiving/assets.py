"""What a document says of one dataset, as events of that asset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from flowtell import events as e
from flowtell.events import Event
from flowtell_lineage.names import key_of
from flowtell_lineage.openlineage.receiving.documents import Dataset
from flowtell_lineage.openlineage.receiving.facets import (
    OURS,
    Exact,
    columns,
    exact_of_dataset,
    facet,
    key_in,
    number,
    owners,
    parts,
    tags,
    text,
)

DECLARED: Final = "flowtell_declared"
_TOLD_ELSEWHERE: Final = frozenset(
    {"schema", "columnLineage", "lineage", "version", "documentation", "ownership", "tags", "symlinks",
     "dataQualityAssertions", "outputStatistics", "inputStatistics", OURS, DECLARED}
)  # fmt: skip
"""Facets that have fields of their own in our events."""


def asset_of(dataset: Dataset) -> str:
    return key_of(dataset.namespace, dataset.name)


def is_made(dataset: Dataset) -> bool:
    """Whether an output is one. To `dbt-ol` each test of dbt makes a table, which is where dbt would keep failing rows."""
    return facet(facet(dataset.facets, "dbt_model"), "config").get("materialized") != "test"


def facts_of(dataset: Dataset, exact: Exact | None = None) -> dict[str, Any]:
    """The fields that an event about this asset gets from its facets; those that say something."""
    exact = exact or exact_of_dataset(dataset.facets)
    counts = facet(dataset.output_facets, "outputStatistics") or facet(dataset.input_facets, "inputStatistics")
    facts: dict[str, Any] = {
        "columns": columns(dataset.facets, exact.origins if exact else {}),
        "rows": number(counts, "rowCount"),
        "bytes": number(counts, "size"),
        "version": text(facet(dataset.facets, "version"), "datasetVersion"),
        "facets": _rest(dataset),
        **_ours(facet(dataset.facets, OURS)),
    }
    return {name: value for name, value in facts.items() if value not in ((), None, "", {})}


def _ours(told: dict[str, Any]) -> dict[str, Any]:
    """Fields that another flowtell filled."""
    unfollowed, metadata = told.get("unfollowed"), told.get("metadata")
    return {
        "partition": text(told, "partition"),
        "by": text(told, "by"),
        "metadata": metadata if isinstance(metadata, dict) else {},
        "unfollowed": tuple(map(str, unfollowed)) if isinstance(unfollowed, list) else (),
    }


def facts_of_part(part: dict[str, Any]) -> dict[str, Any]:
    """Fields of one of several that a run of another flowtell made of one asset."""
    counts = {"rows": number(part, "rows"), "bytes": number(part, "bytes"), "version": text(part, "version")}
    return {name: value for name, value in {**_ours(part), **counts}.items() if value not in ((), None, "", {})}


def _rest(dataset: Dataset) -> dict[str, Any]:
    """Facets as they came for which there is no field."""
    held = (dataset.facets, dataset.input_facets, dataset.output_facets)
    return {
        str(name): value
        for container in held
        if isinstance(container, dict)
        for name, value in container.items()
        if name not in _TOLD_ELSEWHERE and value is not None
    }


def descriptions(dataset: Dataset, common: dict[str, Any]) -> Iterator[Event]:
    """`asset.declared` where it is described, `asset.removed` where it was dropped."""
    facets, ours = dataset.facets, facet(dataset.facets, DECLARED)
    metadata = ours.get("metadata")
    said: dict[str, Any] = {
        "name": text(ours, "name"),
        "metadata": metadata if isinstance(metadata, dict) else {},
        "description": text(facet(facets, "documentation"), "description"),
        "owners": owners(facets),
        "tags": tags(facets),
        "aliases": _aliases(dataset),
        "kind": text(facet(facets, "datasetType"), "datasetType").lower(),
    }
    said = {name: value for name, value in said.items() if value}
    if said:
        yield e.AssetDeclared(asset=asset_of(dataset), **said, **common)
    if text(facet(facets, "lifecycleStateChange"), "lifecycleStateChange").upper() == "DROP":
        yield e.AssetRemoved(asset=asset_of(dataset), **common)


def _aliases(dataset: Dataset) -> tuple[str, ...]:
    """Its other names: symlinks, and the one that it had before it was renamed."""
    change = facet(dataset.facets, "lifecycleStateChange")
    found = [key_in(one) for one in parts(facet(dataset.facets, "symlinks"), "identifiers")]
    if text(change, "lifecycleStateChange").upper() == "RENAME":
        found.append(key_in(facet(change, "previousIdentifier")))
    own = asset_of(dataset)
    return tuple(dict.fromkeys(alias for alias in found if alias and alias != own))


def checks(dataset: Dataset, common: dict[str, Any]) -> Iterator[Event]:
    """`asset.checked` for each assertion, wherever its facet stands; `dbt-ol` has it in two places."""
    found = (
        check
        for container in (dataset.input_facets, dataset.output_facets, dataset.facets)
        for check in parts(facet(container, "dataQualityAssertions"), "assertions")
        if isinstance(check.get("success"), bool)
    )
    each = {msgspec.json.encode(check, order="deterministic"): check for check in found}
    for check in each.values():
        yield _checked(asset_of(dataset), check, common)


def _checked(asset: str, check: dict[str, Any], common: dict[str, Any]) -> Event:
    told = {key: check[key] for key in ("description", "expected", "content", "contentType", "params") if check.get(key)}
    return e.AssetChecked(
        asset=asset,
        check=text(check, "name") or text(check, "assertion"),
        column=text(check, "column"),
        passed=check["success"],
        severity=text(check, "severity"),
        value=check.get("actual"),
        metadata={**told, **({"assertion": text(check, "assertion")} if text(check, "name") else {})},
        **common,
    )
