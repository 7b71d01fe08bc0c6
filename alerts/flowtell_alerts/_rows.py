"""Facts and incidents as rows of the evaluator's tables, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from flowtell.events import RuleData
from flowtell_alerts._facts import End, FlowFacts, RunSpan
from flowtell_alerts.incidents import Incident

Values = Mapping[str, Any]

_json: Final = msgspec.json.Encoder(order="deterministic")
_decode: Final = msgspec.json.decode
_NAMES: Final = tuple[str, ...]
_INCIDENT_JSON: Final = {"rule": RuleData, "runs": _NAMES, "owners": _NAMES, "evidence": dict[str, Any]}


def as_json(value: Any) -> str:
    return _json.encode(value).decode()


# --- what is known of a flow --------------------------------------------------------------------------------------


def flow_row(facts: FlowFacts) -> Values:
    return {
        "flow": facts.flow,
        "environment": facts.environment,
        "declared": facts.declared,
        "declaration": facts.declaration,
        "owners": as_json(facts.owners),
        "ends": as_json(facts.ends),
        "last_good": as_json(facts.last_good),
    }


def flow_of(row: Row[Any]) -> FlowFacts:
    facts = FlowFacts(row.flow, row.environment)
    facts.declared, facts.declaration = row.declared, row.declaration
    facts.owners = _decode(row.owners, type=tuple[str, ...])
    facts.ends = _decode(row.ends, type=list[End])
    facts.last_good = _decode(row.last_good, type=End | None)
    return facts


def span_row(facts: FlowFacts, span: RunSpan) -> Values:
    return {"flow": facts.flow, "environment": facts.environment, **msgspec.structs.asdict(span)}


def span_of(row: Row[Any]) -> RunSpan:
    return RunSpan(**{name: getattr(row, name) for name in RunSpan.__struct_fields__})


# --- incidents ----------------------------------------------------------------------------------------------------


def incident_row(incident: Incident) -> Values:
    fields = msgspec.structs.asdict(incident)
    return fields | {name: as_json(fields[name]) for name in _INCIDENT_JSON}


def incident_of(row: Row[Any]) -> Incident:
    fields = {name: getattr(row, name) for name in Incident.__struct_fields__}
    for name, kind in _INCIDENT_JSON.items():
        fields[name] = _decode(fields[name], type=kind)
    return Incident(**fields)
