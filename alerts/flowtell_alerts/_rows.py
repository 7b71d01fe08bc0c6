"""Incidents as rows of the evaluator's tables, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from flowtell.decoders import decoder
from flowtell.events import RuleData
from flowtell_alerts.incidents import Change, Incident

Values = Mapping[str, Any]

_json: Final = msgspec.json.Encoder(order="deterministic")
_NAMES: Final = tuple[str, ...]
_INCIDENT_JSON: Final = {"rule": RuleData, "runs": _NAMES, "owners": _NAMES, "tags": _NAMES, "evidence": dict[str, Any]}


def as_json(value: Any) -> str:
    return _json.encode(value).decode()


def incident_row(incident: Incident) -> Values:
    fields = msgspec.structs.asdict(incident)
    return fields | {name: as_json(fields[name]) for name in _INCIDENT_JSON}


def incident_of(row: Row[Any]) -> Incident:
    fields = {name: getattr(row, name) for name in Incident.__struct_fields__}
    for name, kind in _INCIDENT_JSON.items():
        fields[name] = decoder(kind)(fields[name])
    return Incident(**fields)


def change_row(change: Change, now: int) -> Values:
    incident = change.incident
    return {
        "incident": incident.incident,
        "n": incident.changes,
        "kind": change.kind,
        "at": now,
        "severity": incident.severity,
        "run": incident.latest_run,
        "inhibited_by": incident.inhibited_by,
        "actor": change.actor,
        "reason": incident.reason,
    }
