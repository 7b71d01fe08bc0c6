"""Messages to hand to a channel: an ordinary one, one of five megabytes, a digest, a test."""

from __future__ import annotations

from typing import Any

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell_alerts.message import (
    Digest,
    Guilty,
    IncidentShown,
    Kind,
    Message,
    Pages,
    RuleShown,
    Subject,
    digest_message,
    message_of,
    message_of_test,
)

AT = 1_767_225_600_000_000
PAGES = Pages("https://flowtell.example", "https://tempo.example/trace/{trace}")
INCIDENT = derived_id(AT, "incident")
RUN = derived_id(AT, "run")

_TYPES = {
    "opened": e.IncidentOpened,
    "updated": e.IncidentUpdated,
    "acknowledged": e.IncidentAcknowledged,
    "resolved": e.IncidentResolved,
}


def event(kind: str = "opened", **fields: Any) -> Any:
    known = {
        "id": derived_id(AT, kind),
        "time": AT,
        "run": RUN,
        "flow": "nightly",
        "environment": "production",
        "incident": INCIDENT,
        "key": "failed-1234",
        "rule": e.RuleData(kind="failed", arguments={"consecutive": 1}, severity="error", runbook="https://wiki/nightly"),
        "subject": e.Subject(kind="flow", name="nightly"),
        "runs": (RUN,),
        "severity": "error",
        "owners": ("data",),
        "since": AT - 10_000_000,
        "reason": "the last run failed (KeyError)",
        "evidence": {"due": "2026-01-01 00:00 Europe/Berlin", "count": 3},
    }
    return _TYPES[kind](**{**known, **fields})


def message(kind: Kind = "opened", *, before: e.Receipt | None = None, by: str = "", **fields: Any) -> Message:
    known = kind if kind in _TYPES else "opened"
    identifier = derived_id(AT, kind)
    return message_of(event(known, **fields), PAGES, id=identifier, kind=kind, before=before, acknowledged_by=by)


def huge(text: str, kind: Kind = "opened", before: e.Receipt | None = None) -> Message:
    """Everything that a user can name, as long as the text."""
    rule = e.RuleData(kind=text, arguments={text[:50]: text}, severity=text, runbook=f"https://{text}")
    return message(
        kind, before=before, flow=text, environment=text, key=text, rule=rule, subject=e.Subject(kind=text, name=text),
        runs=(text,) * 50, severity=text, owners=(text,) * 50, reason=text,
        evidence={f"{number}{text[:100]}": text for number in range(40)},
    )  # fmt: skip


def digest(kind: Kind = "opened", *, name: str = "flow", before: e.Receipt | None = None) -> Message:
    counted = Digest(10_000, 9_000, 9_990, [Guilty(f"{name}{number}", 10 - number, 1) for number in range(10)])
    shown = IncidentShown(
        derived_id(AT, "digest"), "digest-failed", RuleShown("failed", {}), "error", Subject("digest", "9,990 flows"),
        "production", [], AT, "10,000 incidents of rule 'failed'", [], "",
    )  # fmt: skip
    return digest_message(derived_id(AT, "digest", kind), kind, shown, counted, pages=PAGES, before=before)


def a_test() -> Message:
    return message_of_test(derived_id(AT, "test"), "ops", "ada", AT, PAGES)
