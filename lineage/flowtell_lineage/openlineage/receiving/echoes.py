"""Events of this store's own runs that come back: a catalogue's address that leads here, an export that is read in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import select

from flowtell.store.tables import flows, runs
from flowtell_lineage.jobs import Job, flow_of
from flowtell_lineage.openlineage.receiving.documents import Document
from flowtell_lineage.openlineage.receiving.runs import SOURCE, identity

PRODUCERS = "urn:flowtell:lineage:"
"""What the producer of every event begins with that a flowtell has sent."""


class Echoes:
    """Asks the log only for events that a flowtell sent.

    Args:
        read: rows of a SELECT; without it nothing is an echo.
    """

    def __init__(self, read: Callable[[Any], Iterable[Any]] | None = None) -> None:
        self._read = read

    def has(self, value: Any, document: Document) -> bool:
        """Whether its run, or its job, is one that this store knows at first hand."""
        if self._read is None or not str(value.get("producer", "")).startswith(PRODUCERS):
            return False
        if document.run is not None:
            return self._first_hand(select(runs.c.source).where(runs.c.id == identity(document).run))
        if document.job is not None:
            flow = flow_of(Job(document.job.namespace, document.job.name))
            return self._first_hand(select(flows.c.source).where(flows.c.flow == flow))
        return False

    def _first_hand(self, statement: Any) -> bool:
        assert self._read is not None
        return any((row.source or "") != SOURCE for row in self._read(statement))
