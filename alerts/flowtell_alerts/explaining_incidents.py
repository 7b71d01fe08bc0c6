"""What an incident says to `flowtell why`: which rule does not hold, and whose run is to be asked next."""

from __future__ import annotations

from collections.abc import Sequence

from flowtell.store.reading import Read
from flowtell.why import Fact, Found, Hit
from flowtell_alerts.errors import IncidentNotFound
from flowtell_alerts.reading import get_incident


class IncidentExplainer:
    """See `flowtell.why.Explainer`."""

    def about(self, read: Read, wanted: str, at: int) -> Found | None:
        try:
            found = get_incident(read, wanted)
        except IncidentNotFound:
            return None
        about = f"{found.flow}/{found.deployment}" if found.deployment else found.subject_name or found.flow
        over = "did not hold" if found.resolved is not None and found.resolved <= at else "does not hold"
        fact = Fact(
            cause="rule_broken", text=f"the rule {found.rule.kind} of {about} {over}: {found.reason}", since=found.since,
            runs=found.runs,
        )  # fmt: skip
        return Found(
            subject=f"incident {found.incident}",
            facts=(fact,),
            run=max(found.runs, default=""),  # ids sort by time: the newest
            flow=found.flow,
            deployment=found.deployment,
            environment=found.environment,
            due=found.due,
            next=found.subject_name,
        )

    def impact(self, read: Read, assets: Sequence[str], at: int) -> Sequence[Hit]:
        return ()
