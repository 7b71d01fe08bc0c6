"""What a run says of its assets, gathered by asset, and the datasets that this makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attr
from msgspec import Struct, field
from openlineage.client.event_v2 import InputDataset, OutputDataset, StaticDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_type_dataset,
    dataset_version_dataset,
    documentation_dataset,
    input_statistics_input_dataset,
    lifecycle_state_change_dataset,
    lineage,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
    symlinks_dataset,
    tags_dataset,
)

from flowtell.events import (
    AssetCached,
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetObserved,
    Column,
    UpstreamAsset,
    encode_value,
)
from flowtell_lineage.names import split
from flowtell_lineage.openlineage.sending.run_facets import INTEGRATION
from flowtell_lineage.openlineage.sending.words import PRODUCER, tag, transformations

_MADE: Final = {AssetMaterialized: "materialized", AssetCached: "cached", AssetFailed: "failed", AssetObserved: "observed"}


@attr.define
class FlowtellAssetFacet(DatasetFacet):
    """`flowtell_asset`: what OpenLineage has no facet for. Our receiver reads it, so that nothing is lost between two."""

    state: str | None = None
    """What came of this output, where that is not what came of its run."""
    partition: str | None = None
    by: str | None = None
    metadata: dict[str, Any] | None = None
    unfollowed: list[str] | None = None
    parts: list[dict[str, Any]] | None = None
    """What came of each, where the run made several: of one partition each."""
    evidence: list[dict[str, str]] | None = None
    """How each edge of the facet `lineage` is known: {asset, kind, version, partition}."""


@attr.define
class FlowtellDeclaredFacet(DatasetFacet):
    """`flowtell_declared`: what an asset says of itself that has no facet either."""

    name: str | None = None
    metadata: dict[str, Any] | None = None


class Told(Struct):
    """All that one run said of one asset."""

    asset: str
    read: bool = False
    made: bool = False
    state: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    """The latest word for each field of the events that say something there."""
    upstream: dict[str, UpstreamAsset] = field(default_factory=dict)
    checks: list[AssetChecked] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    """By outcome, its own facts: a run makes an asset once, or once for each partition."""


_FACTS: Final = ("columns", "rows", "bytes", "version", "partition", "by", "metadata", "unfollowed", "sql", "facets")


def gathered(events: Iterable[Any]) -> list[Told]:
    """The asset events of one run by asset, in the order of their first mention."""
    found: dict[str, Told] = {}
    for event in events:
        told = found.setdefault(event.asset, Told(event.asset))
        if isinstance(event, AssetChecked):
            told.checks.append(event)
        else:
            _take(told, event)
    for one in list(found.values()):
        for up in one.upstream.values() if one.made else ():
            found.setdefault(up.asset, Told(up.asset)).read = True
    return list(found.values())


def _take(told: Told, event: Any) -> None:
    if event.role == "read":
        told.read = True
    else:
        told.made = True
        told.state = _MADE.get(type(event), told.state)
        if type(event) in _MADE:
            told.parts.append(_part(event))
    told.facts.update({name: value for name in _FACTS if (value := getattr(event, name)) not in ((), None, "", {})})
    told.upstream.update({up.asset: up for up in event.upstream})


def _part(event: Any) -> dict[str, Any]:
    facts = {name: getattr(event, name) for name in ("partition", "rows", "bytes", "version", "by")}
    facts |= {"state": _MADE[type(event)], "metadata": plain(event.metadata)}
    return {name: value for name, value in facts.items() if value not in (None, "")}


# --- datasets ---------------------------------------------------------------------------------------------------------


def inputs(told: Iterable[Told]) -> list[InputDataset]:
    """What the run read, and what it checked: a check reads."""
    return [_input(one) for one in told if one.read or one.checks]


def _input(told: Told) -> InputDataset:
    namespace, name = split(told.asset)
    facets: dict[str, Any] = {} if told.made else _of_input(told.facts)
    counts = {} if told.made else {"rowCount": told.facts.get("rows"), "size": told.facts.get("bytes")}
    held: dict[str, Any] = {}
    if any(count is not None for count in counts.values()):
        held["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            **counts, producer=PRODUCER
        )
    if told.checks:
        held["dataQualityAssertions"] = _assertions(told.checks)
    return InputDataset(namespace=namespace, name=name, facets=facets, inputFacets=held)


def _of_input(facts: dict[str, Any]) -> dict[str, DatasetFacet]:
    return {**_version(facts.get("version", "")), **_schema(facts.get("columns", ()))}


def outputs(told: Iterable[Told], state: str) -> list[OutputDataset]:
    """What the run made, or failed to make.

    Args:
        state: what an output is by the run's own end, `materialized` or `failed`; empty while it goes on.
    """
    return [_output(one, state) for one in told if one.made]


def _output(told: Told, state: str) -> OutputDataset:
    namespace, name = split(told.asset)
    counts = {"rowCount": told.facts.get("rows"), "size": told.facts.get("bytes")}
    held: dict[str, Any] = {}
    if any(count is not None for count in counts.values()):
        held["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            **counts, producer=PRODUCER
        )
    return OutputDataset(namespace=namespace, name=name, facets=_of_output(told, state), outputFacets=held)


def _of_output(told: Told, state: str) -> dict[str, DatasetFacet]:
    facts, columns = told.facts, told.facts.get("columns", ())
    return {
        **_version(facts.get("version", "")),
        **_schema(columns),
        **_column_lineage(columns),
        "lineage": _lineage(told.upstream, columns),
        "flowtell_asset": FlowtellAssetFacet(
            state=told.state if told.state != state else None,
            partition=facts.get("partition"),
            by=facts.get("by"),
            metadata=plain(facts.get("metadata")),
            unfollowed=list(facts.get("unfollowed", ())) or None,
            parts=told.parts if len(told.parts) > 1 else None,
            evidence=_evidence(told.upstream.values()),
            producer=PRODUCER,
        ),
    }


def declared(event: AssetDeclared) -> StaticDataset:
    """An asset by itself: what it is called, whose it is, what it is said to be made of."""
    namespace, name = split(event.asset)
    return StaticDataset(namespace=namespace, name=name, facets=_of_declared(event))


def _of_declared(event: AssetDeclared) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if event.description:
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(
            description=event.description, producer=PRODUCER
        )
    if event.owners:
        owners = [ownership_dataset.Owner(name=owner) for owner in event.owners]
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(owners=owners, producer=PRODUCER)
    if event.tags:
        facets["tags"] = _tags(event.tags)
    if event.aliases:
        facets["symlinks"] = _symlinks(event.aliases)
    if event.kind:
        facets["datasetType"] = dataset_type_dataset.DatasetTypeDatasetFacet(
            datasetType=event.kind.upper(), producer=PRODUCER
        )
    if event.upstream:
        facets["lineage"] = _lineage({up.asset: up for up in event.upstream}, ())
        facets["flowtell_asset"] = FlowtellAssetFacet(evidence=_evidence(event.upstream), producer=PRODUCER)
    if event.name or event.metadata:
        facets["flowtell_declared"] = FlowtellDeclaredFacet(
            name=event.name or None, metadata=plain(event.metadata), producer=PRODUCER
        )
    return facets


def removed(asset: str) -> StaticDataset:
    namespace, name = split(asset)
    gone = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
        lifecycleStateChange=lifecycle_state_change_dataset.LifecycleStateChange.DROP, producer=PRODUCER
    )
    return StaticDataset(namespace=namespace, name=name, facets={"lifecycleStateChange": gone})


def observed(told: Told) -> StaticDataset:
    """What was seen of an asset by nobody's run."""
    namespace, name = split(told.asset)
    facets: dict[str, Any] = _of_output(told, "observed")
    if not told.upstream and not told.facts.get("columns"):
        del facets["lineage"]
    if told.checks:
        facets["dataQualityAssertions"] = _assertions(told.checks)
    return StaticDataset(namespace=namespace, name=name, facets=facets)


# --- facets -----------------------------------------------------------------------------------------------------------


def plain(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """As JSON has it: a user's values may be of any type."""
    import json

    found: dict[str, Any] | None = json.loads(encode_value(metadata)) if metadata else None
    return found


def _version(version: str) -> dict[str, DatasetFacet]:
    if not version:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version, producer=PRODUCER)}


def _schema(columns: Iterable[Column]) -> dict[str, DatasetFacet]:
    fields = [schema_dataset.SchemaDatasetFacetFields(name=one.name, type=one.type or None) for one in columns]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)} if fields else {}


def _column_lineage(columns: Iterable[Column]) -> dict[str, DatasetFacet]:
    """For those who do not read the facet `lineage` yet."""
    fields = {
        column.name: column_lineage_dataset.Fields(inputFields=[_input_field(origin) for origin in column.origins])
        for column in columns
        if column.origins
    }
    if not fields:
        return {}
    return {"columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields, producer=PRODUCER)}


def _input_field(origin: Any) -> column_lineage_dataset.InputField:
    namespace, name = split(origin.asset)
    found = [
        column_lineage_dataset.Transformation(type=kind, subtype=subtype or None)
        for kind, subtype in transformations(origin.transformation)
    ]
    return column_lineage_dataset.InputField(namespace=namespace, name=name, field=origin.column, transformations=found)


def _lineage(upstream: dict[str, UpstreamAsset], columns: Iterable[Column]) -> DatasetFacet:
    """Exact: of what this one is made, which is not all that its run read. Without an input it is made of nothing known."""
    sources: list[Any] = [_source(asset) for asset in upstream]
    fields = {
        column.name: lineage.LineageFieldEntry(
            inputs=[_source(origin.asset, origin.column, origin.transformation) for origin in column.origins]
        )
        for column in columns
        if column.origins
    }
    return lineage.LineageDatasetFacet(inputs=sources, fields=fields or None, producer=PRODUCER)


def _source(asset: str, column: str = "", transformation: str = "") -> lineage.LineageDatasetInput:
    namespace, name = split(asset)
    found = [
        lineage.LineageTransformation(type=kind, subtype=subtype or None)
        for kind, subtype in transformations(transformation)
    ]
    return lineage.LineageDatasetInput(
        namespace=namespace, name=name, type="DATASET", field=column or None, transformations=found or None
    )


def _evidence(upstream: Iterable[UpstreamAsset]) -> list[dict[str, str]] | None:
    found = [{"asset": up.asset, "kind": up.evidence, "version": up.version, "partition": up.partition} for up in upstream]
    return [{key: value for key, value in one.items() if value} for one in found] or None


def _tags(tags: Iterable[str]) -> DatasetFacet:
    found = [tags_dataset.TagsDatasetFacetFields(key=key, value=value, source=INTEGRATION) for key, value in map(tag, tags)]
    return tags_dataset.TagsDatasetFacet(tags=found, producer=PRODUCER)


def _symlinks(aliases: Iterable[str]) -> DatasetFacet:
    pairs = (split(alias) for alias in aliases)
    found = [symlinks_dataset.Identifier(namespace=one.namespace, name=one.name, type="TABLE") for one in pairs]
    return symlinks_dataset.SymlinksDatasetFacet(identifiers=found, producer=PRODUCER)


def _assertions(checks: Iterable[AssetChecked]) -> Any:
    found = [
        data_quality_assertions_dataset.Assertion(
            assertion=str(check.metadata.get("assertion") or check.check or "check"),
            name=check.check or None,
            success=check.passed,
            column=check.column or None,
            severity=check.severity or None,
            actual=None if check.value is None else encode_value(check.value).decode().strip('"'),
        )
        for check in checks
    ]
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=found, producer=PRODUCER)
