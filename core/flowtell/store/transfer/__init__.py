"""Moves a whole store: into a file and out of it again, or from one kind of database to the other (docs/store.md).

A source is a `Snapshot` of a store or an `ExportFile`; `load` puts either into an empty store, in one transaction, and
compares what the store then holds with what was read before it commits.
"""

from __future__ import annotations

from flowtell.store.transfer.export_file import ExportFile, write_export
from flowtell.store.transfer.layout import TableLayout
from flowtell.store.transfer.loading import Loaded, load
from flowtell.store.transfer.opening import open_source
from flowtell.store.transfer.snapshot import Snapshot, snapshot_of
from flowtell.store.transfer.source import Header, Progress, Source
from flowtell.store.transfer.tally import Tally

__all__ = [
    "ExportFile",
    "Header",
    "Loaded",
    "Progress",
    "Snapshot",
    "Source",
    "TableLayout",
    "Tally",
    "load",
    "open_source",
    "snapshot_of",
    "write_export",
]
