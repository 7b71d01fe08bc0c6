"""The lineage plugin keeps the contract that any plugin must keep."""

from __future__ import annotations

import pytest

from flowtell.events import AssetCached, AssetDeclared, AssetFailed, AssetObserved, AssetRemoved, Failure, UpstreamAsset
from flowtell.ids import derived_id
from flowtell.testing import FakeClock, PluginContract, example_history
from flowtell_lineage.plugin import create

START = FakeClock().now


class TestLineage(PluginContract):
    name = "lineage"

    def factory(self):
        return create

    def history(self):
        """The example's flows materialize; here are the other things that may happen to an asset."""
        upstream = (UpstreamAsset(asset="file://raw", evidence="read"),)
        others = [
            AssetDeclared(id=derived_id(START, "a"), time=START, asset="file://raw", owners=("ada",)),
            AssetFailed(id=derived_id(START, "b"), time=START, asset="file://x", error=Failure(message="no")),
            AssetCached(id=derived_id(START, "c"), time=START, asset="file://clean/1", upstream=upstream),
            AssetObserved(id=derived_id(START, "d"), time=START, asset="file://clean/1", upstream=upstream),
            AssetRemoved(id=derived_id(START, "e"), time=START, asset="file://x"),
        ]
        return [*example_history(), *others]


@pytest.mark.slow
class TestIsolated(TestLineage):
    """The same from a process of its own."""

    isolated = True


@pytest.mark.slow
@pytest.mark.postgres
class TestIsolatedOnPostgreSQL(TestLineage):
    isolated = True

    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


@pytest.mark.postgres
class TestLineageOnPostgreSQL(TestLineage):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()
