"""What had ended before a rule asked for it, from the log's own table of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, Select, select

from flowtell.store.tables import cursors, runs
from flowtell_alerts._kind import BACKFILL
from flowtell_alerts._subject import SubjectKey

RECALLED: Final = 1_000
"""Runs that are recalled of one subject, at most: the newest."""


LOOKED_AT: Final = 20_000
"""Runs of a flow among which they are looked for: its deployments may be many."""


class PastRun(Struct, frozen=True):
    """A run that had ended."""

    run: str
    reference: int
    """When it was due, else started."""
    ended: int
    state: str
    seconds: float
    is_backfill: bool


def past_runs(read: Callable[[Select[Any]], Sequence[Row[Any]]], plugin: str, subject: SubjectKey) -> list[PastRun]:
    """The newest first, of those whose events the plugin has all been handed: the others it will count by itself."""
    handed = select(cursors.c.seq).where(cursors.c.plugin == plugin).scalar_subquery()
    newest = select(runs).where(runs.c.flow == subject.name).order_by(runs.c.started.desc()).limit(LOOKED_AT).subquery()
    deployment = newest.c.deployment == subject.deployment if subject.deployment else newest.c.deployment.is_(None)
    found = read(
        select(
            newest.c.id, newest.c.due, newest.c.state, newest.c.started, newest.c.ended, newest.c.duration, newest.c.cause
        )
        .where(newest.c.environment == subject.environment, deployment)
        .where(newest.c.ended.is_not(None), newest.c.last_seq <= handed)
        .order_by(newest.c.started.desc())
        .limit(RECALLED)
    )
    return [
        PastRun(
            row.id,
            next(moment for moment in (row.due, row.started, row.ended) if moment is not None),
            row.ended,
            row.state,
            row.duration if row.duration is not None else (row.ended - (row.started or row.ended)) / 1e6,
            row.cause == BACKFILL,
        )
        for row in found
    ]
