"""What facets say, where they say it as the specification has it; else nothing. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from flowtell.events import Column, ColumnSource, Failure, UpstreamAsset
from flowtell_lineage.names import key_of

OURS: Final = "flowtell_asset"
"""What another flowtell says beyond OpenLineage's own facets."""
_LARGEST: Final = 1 << 62
_DEEPEST: Final = 32
_TRACEBACK_LETTERS: Final = 65_536


def facet(container: Any, name: str) -> dict[str, Any]:
    """One facet; empty where it is missing, deleted or none."""
    found = container.get(name) if isinstance(container, dict) else None
    return found if isinstance(found, dict) and not found.get("_deleted") else {}


def text(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def number(holder: dict[str, Any], name: str) -> int | None:
    """A count; some write it as text."""
    value = holder.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST
    return int(value) if whole and value is not None else None


def parts(holder: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The objects of a list."""
    found = holder.get(name)
    for part in found if isinstance(found, list) else ():
        if isinstance(part, dict):
            yield part


def named(holder: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in an object."""
    found = holder.get(name)
    for key, part in found.items() if isinstance(found, dict) else ():
        if isinstance(part, dict):
            yield str(key), part


def key_in(holder: dict[str, Any]) -> str:
    """The asset that namespace and name there are; empty where they are missing."""
    namespace, name = text(holder, "namespace"), text(holder, "name")
    return key_of(namespace, name) if namespace and name else ""


def owners(container: Any) -> tuple[str, ...]:
    return tuple(found for owner in parts(facet(container, "ownership"), "owners") if (found := text(owner, "name")))


def tags(container: Any) -> tuple[str, ...]:
    """Of the whole, `key` or `key:value`. Not those with which OpenLineage's client tells its own version."""
    found = (tag for tag in parts(facet(container, "tags"), "tags") if not text(tag, "field"))
    return tuple(_tag(tag) for tag in found if text(tag, "key") and text(tag, "source") != "OPENLINEAGE_CLIENT")


def _tag(tag: dict[str, Any]) -> str:
    """Airflow writes its tags into both key and value."""
    key, value = text(tag, "key"), text(tag, "value")
    return key if value in ("", "true", key) else f"{key}:{value}"


def failure(container: Any) -> Failure | None:
    found = facet(container, "errorMessage")
    message, trace = text(found, "message"), text(found, "stackTrace")
    if not message and not trace:
        return None
    return Failure(type=_type_of(trace, message), message=message, traceback=trace[:_TRACEBACK_LETTERS])


def _type_of(trace: str, message: str) -> str:
    """The exception's name, where a stack trace of Python (its last line) or Java (its first) has it."""
    lines = trace.strip().splitlines()
    line = "" if not lines else lines[-1] if lines[0].startswith("Traceback") else lines[0]
    name = line.partition(":")[0].strip()
    return name[:200] if name and name.replace(".", "").replace("_", "").isalnum() else ""


# --- columns and exact edges ----------------------------------------------------------------------------------------


class Exact(NamedTuple):
    """What a dataset is made of, as it says itself."""

    upstream: dict[str, str]
    """Evidence by asset: `explicit` or `column`."""
    origins: dict[str, tuple[ColumnSource, ...]]
    """By column."""

    def add(self, asset: str, evidence: str) -> None:
        if self.upstream.get(asset) != "explicit":
            self.upstream[asset] = evidence


def exact_of_dataset(facets: Any) -> Exact | None:
    """By its facets `lineage` or `columnLineage`; None where it has neither."""
    lineage, columns = facet(facets, "lineage"), facet(facets, "columnLineage")
    if "inputs" in lineage or "fields" in lineage:
        exact = exact_of_entry(lineage)
        exact.upstream.update({up.asset: up.evidence for up in known_edges(facets) if up.asset in exact.upstream})
        return exact
    if not columns:
        return None
    exact = Exact({}, {})
    for name, column in named(columns, "fields"):
        older = {"type": text(column, "transformationType"), "description": text(column, "transformationDescription")}
        _add_column(exact, name, parts(column, "inputFields"), "column", older)
    _add_whole(exact, parts(columns, "dataset"), "column")
    return exact if exact.upstream else None


def known_edges(facets: Any) -> Iterator[UpstreamAsset]:
    """How another flowtell knows its edges (see `sending.datasets`), with the versions that were read."""
    for one in parts(facet(facets, OURS), "evidence"):
        asset, kind = text(one, "asset"), text(one, "kind")
        if asset and kind:
            yield UpstreamAsset(asset=asset, evidence=kind, version=text(one, "version"), partition=text(one, "partition"))


def exact_of_entry(entry: dict[str, Any]) -> Exact:
    """By one entry of a job's facet `lineage`, or a dataset's (LineageFacet 1-0-0)."""
    exact = Exact({}, {})
    _add_whole(exact, parts(entry, "inputs"), "explicit")
    for name, column in named(entry, "fields"):
        _add_column(exact, name, parts(column, "inputs"), "explicit", {})
    return exact


def _add_whole(exact: Exact, inputs: Iterator[dict[str, Any]], evidence: str) -> None:
    for source in inputs:
        if source.get("type", "DATASET") != "JOB" and (asset := key_in(source)):
            exact.add(asset, evidence)


def _add_column(exact: Exact, name: str, inputs: Iterator[dict[str, Any]], evidence: str, older: dict[str, Any]) -> None:
    found = []
    for source in inputs:
        asset, column = key_in(source), text(source, "field")
        if source.get("type") == "JOB" or not asset:
            continue
        exact.add(asset, evidence)
        if column:
            found.append(ColumnSource(asset=asset, column=column, transformation=_transformation(source, older)))
    if found:
        exact.origins[name] = tuple(found)


def _transformation(source: dict[str, Any], older: dict[str, Any]) -> str:
    """`DIRECT:AGGREGATION` and the like; several are joined by commas. Deprecated ones stand at the column."""
    told = list(parts(source, "transformations")) or [older]
    return ",".join(
        dict.fromkeys(":".join(word for word in (text(one, "type"), text(one, "subtype")) if word) for one in told)
    )


def columns(facets: Any, origins: dict[str, tuple[ColumnSource, ...]]) -> tuple[Column, ...]:
    """Of the facet `schema`, nested ones as `outer.inner`, and those that only lineage names."""
    types = dict(_fields(facet(facets, "schema"), "", 0))
    return tuple(Column(name=name, type=types.get(name, ""), origins=origins.get(name, ())) for name in {**types, **origins})


def _fields(holder: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for field in parts(holder, "fields"):
        name = text(field, "name")
        if name:
            yield prefix + name, text(field, "type")
            if depth < _DEEPEST:
                yield from _fields(field, f"{prefix}{name}.", depth + 1)
