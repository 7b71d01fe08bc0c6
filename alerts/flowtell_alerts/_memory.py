"""What is known of all subjects, in memory and in the evaluator's tables."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row

from flowtell.decoders import decoder
from flowtell.events import Event
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._known import Known
from flowtell_alerts._pages import every_row
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import as_json
from flowtell_alerts._subject import FLOW, SubjectKey, kept, runs_of
from flowtell_alerts.kinds import FACTS

_SUBJECTS: Final = Replacing(tables.subjects)
_FACTS: Final = Replacing(tables.facts)


class Memory:
    """`changed` marks what `save` is to write."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[SubjectKey, Known] = {}
        self._of_flow: defaultdict[tuple[str, str], list[SubjectKey]] = defaultdict(list)
        self._told_by: defaultdict[SubjectKey, list[SubjectKey]] = defaultdict(list)
        self._began: dict[str, SubjectKey] = {}
        self._changed: dict[SubjectKey, None] = {}
        for row in every_row(context, tables.subjects):
            known = self.of(_subject(row))
            known.source, known.writer, known.is_new = sys.intern(row.source), sys.intern(row.writer), False
            known.tellers = decoder(tuple[SubjectKey, ...])(row.tellers)
            self._note_tellers(known)
        for row in every_row(context, tables.facts):
            if row.facts in FACTS:
                self.of(_subject(row)).facts(FACTS[row.facts]).load(row.item, row.data)
        self._began.update(self._open_runs())
        everything = [facts for known in self._known.values() for facts in known.all_facts()]
        self._backfills = {run for facts in everything for run in facts.backfills()}

    def _open_runs(self) -> Iterator[tuple[str, SubjectKey]]:
        for known in self._known.values():
            for facts in known.all_facts():
                for run in facts.open_runs():
                    yield run, known.subject

    def subjects(self) -> set[SubjectKey]:
        return set(self._known)

    def keys_of(self, flow: str, environment: str) -> Sequence[SubjectKey]:
        """The runs of all deployments of a flow."""
        return self._of_flow[flow, environment]

    def told_by(self, runs: SubjectKey) -> Sequence[SubjectKey]:
        """The subjects that are no flows of which these runs told."""
        return self._told_by.get(runs, ())

    def runs_of(self, event: Event) -> SubjectKey:
        """Where the event's run began; a later event of it need not name its deployment."""
        return self._began.get(event.run) or runs_of(event.flow, event.environment, event.deployment)

    def began(self, run: str) -> SubjectKey | None:
        """Where an open run began; None where no such run is known."""
        return self._began.get(run)

    def begins(self, run: str, runs: SubjectKey, *, is_backfill: bool = False) -> None:
        self._began.setdefault(run, runs)
        if is_backfill:
            self._backfills.add(run)

    def ends(self, run: str) -> None:
        self._began.pop(run, None)
        self._backfills.discard(run)

    def is_backfill(self, run: str) -> bool:
        """Whether the run is open and a back-fill has started it."""
        return run in self._backfills

    def knows(self, key: SubjectKey) -> bool:
        return key in self._known

    def of(self, key: SubjectKey) -> Known:
        """What is known of a subject: nothing yet, where it is new."""
        known = self._known.get(key)
        if known is None:
            key = kept(key)
            known = self._known[key] = Known(key)
            if key.kind == FLOW:
                self._of_flow[key.name, key.environment].append(key)
        return known

    def tell(self, key: SubjectKey, runs: SubjectKey) -> bool:
        """Remember that these runs told of the subject. Whether that is new."""
        known = self.of(key)
        is_new = known.told_by(runs)
        if is_new:
            self._note_tellers(known)
            self.changed(key)
        return is_new

    def _note_tellers(self, known: Known) -> None:
        for runs in known.tellers:
            if known.subject not in self._told_by[runs]:
                self._told_by[runs].append(known.subject)

    def changed(self, key: SubjectKey) -> None:
        self._changed[key] = None

    def save(self) -> None:
        """Add what changed to the write set."""
        changed, self._changed = [self._known[key] for key in self._changed], {}
        new = [known for known in changed if known.is_new]
        for known in new:
            known.is_new = False
        _SUBJECTS.write(self._context, [_subject_row(known) for known in new])
        self._save_facts(changed)

    def _save_facts(self, changed: Sequence[Known]) -> None:
        rows = [row for known in changed for row in _fact_rows(known)]
        _FACTS.write(self._context, [row for row in rows if row["data"] is not None])
        _FACTS.remove(self._context, [row for row in rows if row["data"] is None])


def _subject(row: Row[Any]) -> SubjectKey:
    return SubjectKey(row.kind, row.name, row.environment, row.deployment)


def _subject_row(known: Known) -> dict[str, Any]:
    return {**known.subject._asdict(), "source": known.source, "writer": known.writer, "tellers": as_json(known.tellers)}


def _fact_rows(known: Known) -> Iterator[dict[str, Any]]:
    for facts in known.all_facts():
        for item, data in facts.items():
            yield {**known.subject._asdict(), "facts": facts.name, "item": item, "data": data}
