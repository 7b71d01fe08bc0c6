"""The event log's contract, on every store there is."""

from pathlib import Path

from flowtell.testing import EventLogContract


class TestSQLite(EventLogContract):
    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder}/flowtell.db"
