"""Holds events against OpenLineage's own schemas, formats on, each facet against the definition for where it stands."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from openlineage.client.serde import Serde
from referencing import Registry, Resource

SPEC = Path(__file__).parent / "spec"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
CONTAINERS = {"run": "RunFacet", "job": "JobFacet", "dataset": "DatasetFacet"}


@functools.cache
def _registry() -> Registry[Any]:
    files = [SPEC / "OpenLineage.json", *sorted((SPEC / "facets").glob("*.json"))]
    schemas = [json.loads(file.read_text()) for file in files]
    assert len(schemas) == 39
    return Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)


@functools.cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference}, registry=_registry(), format_checker=FormatChecker())


def plain(event: Any) -> dict[str, Any]:
    """As it goes over the wire."""
    return json.loads(Serde.to_json(event))


def faults(event: dict[str, Any]) -> list[str]:
    """Everything that the schemas find."""
    found = [f"{problem.json_path}: {problem.message}" for problem in _validator(event["schemaURL"]).iter_errors(event)]
    for where, facets in _facets(event):
        for name, facet in facets.items():
            problems = _validator(facet["_schemaURL"]).iter_errors(facet)
            found += [f"{where}.{name}{problem.json_path[1:]}: {problem.message}" for problem in problems]
            if name.startswith("flowtell_"):
                assert facet["_schemaURL"].startswith(CORE)
            else:
                assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/"), name
    return found


def _facets(event):
    for element in ("run", "job", "dataset"):
        if element in event:
            yield element, event[element].get("facets", {})
    for side in ("inputs", "outputs"):
        for place, dataset in enumerate(event.get(side, ())):
            for kind in ("facets", "inputFacets", "outputFacets"):
                yield f"{side}[{place}].{kind}", dataset.get(kind, {})


def kinds(events):
    """Names of the facets in these events."""
    return {name for event in events for _, facets in _facets(event) for name in facets}
