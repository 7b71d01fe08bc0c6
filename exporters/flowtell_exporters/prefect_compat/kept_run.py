"""One flow run as these metrics need it: the one fold's facts, and where it waits for its work."""

from __future__ import annotations

from typing import Any, Final

from flowtell.events import Event
from flowtell.fold import RunFacts
from flowtell_exporters.subjects import clean_label

REMOVED: Final = "removed"
_RESTORED: Final = 1
_NATIVE: Final = {
    "waiting": "AwaitingConcurrencySlot",
    "retrying": "AwaitingRetry",
    "timed_out": "TimedOut",
}
"""Prefect's names of states that differ from ours in more than a capital."""


class KeptRun:
    """Takes a run's events in any order."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.facts = RunFacts(run, run)
        self.pool = self.queue = ""

    @classmethod
    def restored(cls, row: Any) -> KeptRun:
        """A run from its row."""
        kept = cls(row.run)
        kept.pool, kept.queue = row.pool, row.queue
        facts = kept.facts
        facts.first_seq, facts.flow, facts.deployment = _RESTORED, row.flow, row.deployment or None
        facts.external_id, facts.native_state = row.external_id or None, row.native_state or None
        facts.state, facts.changed, facts.started = row.state, row.changed, row.started
        facts.ended, facts.duration = row.ended, row.duration
        return kept

    def take(self, event: Event) -> None:
        self.facts.take(event)
        self.pool = self.pool or clean_label(getattr(event, "pool", ""))
        self.queue = self.queue or clean_label(getattr(event, "queue", ""))

    def remove(self, at: int) -> None:
        """It is gone from its source, so it counts no more; remembered, as older news of it may come."""
        self.facts.state, self.facts.changed = REMOVED, at
        self.facts.ended = self.facts.ended or at

    def row(self) -> dict[str, Any]:
        facts = self.facts
        return {
            "run": self.run,
            "flow": clean_label(facts.flow),
            "deployment": clean_label(facts.deployment or ""),
            "pool": self.pool,
            "queue": self.queue,
            "external_id": clean_label(facts.external_id or ""),
            "state": facts.state,
            "native_state": clean_label(facts.native_state or ""),
            "changed": facts.changed,
            "started": facts.started,
            "ended": facts.ended,
            "duration": facts.duration,
        }


def state_name(state: str, native_state: str) -> str:
    """As Prefect calls it: by its own word where it said one at the end, else by ours in its spelling."""
    return native_state or _NATIVE.get(state) or state.capitalize()
