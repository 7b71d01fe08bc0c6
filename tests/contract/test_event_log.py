"""The event log's contract, on every store there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flowtell.testing import EventLogContract


class TestSQLite(EventLogContract):
    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder}/flowtell.db"


@pytest.mark.postgres
class TestPostgreSQL(EventLogContract):
    several_writers = True

    @pytest.fixture(autouse=True)
    def _databases(self, new_database: Callable[[], str]) -> None:
        self.new_database = new_database

    def url(self, folder: Path) -> str:
        return self.new_database()
