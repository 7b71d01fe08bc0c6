"""A cluster of the tests' own, wires to it, and places on either store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.cluster import Cluster, binaries
from tests.faults.ledger import PostgresLedger, SqliteLedger
from tests.faults.place import Place
from tests.faults.proxy import Proxy
from tests.faults.receiver import Receiver


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    pytest.importorskip("psycopg")
    folder = binaries()
    if folder is None:
        pytest.skip("no initdb, neither by pg_config nor in /usr/lib/postgresql: apt-get install postgresql")
    made = Cluster(folder)
    yield made
    made.close()


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """Runs when the test begins, and when it has ended."""
    yield _cluster
    _cluster.revive()


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    made = Proxy(cluster.port)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def make_place(home: Path, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """`make_place(ledger, url, beside=other)`: each has a home and a folder of its own."""
    made: list[Place] = []

    def make(ledger: SqliteLedger | PostgresLedger, store: str = "", beside: Place | None = None) -> Place:
        own, folder = home / f"h{len(made)}", tmp_path / f"f{len(made)}"
        own.mkdir()
        folder.mkdir()
        made.append(Place(own, folder, ledger, store, beside))
        return made[-1]

    yield make
    for place in made:
        place.close()
        place.ledger.close()


@pytest.fixture
def postgres_place(cluster: Cluster, proxy: Proxy, make_place: Callable[..., Place]) -> Place:
    """Its processes reach the database through the proxy, the ledger does not."""
    database = cluster.new_database()
    made = make_place(PostgresLedger(cluster.url(database)), cluster.url(database, proxy.port))
    made.database = database
    return made


@pytest.fixture
def sqlite_place(home: Path, make_place: Callable[..., Place]) -> Place:
    return make_place(SqliteLedger(home / "h0" / "flowtell.db"))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """The same fault on both stores."""
    return request.getfixturevalue("sqlite_place" if request.param == "sqlite" else "postgres_place")
