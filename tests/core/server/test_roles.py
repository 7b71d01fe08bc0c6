"""A server that changes roles while its database comes and goes."""

from __future__ import annotations

import time

import pytest
from sqlalchemy.exc import OperationalError

from flowtell import config
from flowtell.server.service import Service

pytestmark = pytest.mark.postgres


@pytest.fixture
def service(home, new_database):
    made = Service(
        config.load({"store": new_database(), "server.lease_seconds": 1.0, "plugins.disable": "dashboard"}), address="here"
    )
    made.start()
    yield made
    made.stop(5.0)


def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def gone(*_, **__):
    raise OperationalError("SELECT 1", {}, Exception("the connection is gone"))


def test_a_lease_that_comes_back_before_the_store_does(service, monkeypatch):
    """It is renewed, as nobody else took it, while the store cannot be opened yet: the server leads again once it can."""
    assert service.leading
    assert service.problems() == []
    with monkeypatch.context() as store_cut:
        store_cut.setattr(service, "_open_store", gone)
        with monkeypatch.context() as lease_cut:
            lease_cut.setattr(service.lease, "renew", gone)
            until(lambda: service.ingester is None, "it lets go")
        until(lambda: service.lease.held, "the lease is renewed")
        epoch = service.lease.epoch
        time.sleep(0.5)  # several looks of the thread that follows the lease
        assert service.problems() == ["changing roles: the store is opened anew"]
    until(lambda: service.leading, "it leads again")
    assert service.lease.epoch == epoch
    until(lambda: service.problems() == [], "ready")
