"""The lease on a real PostgreSQL: taken, renewed, expired, given back, fenced, and wanted by two at once."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from flowtell.errors import LeaseLost
from flowtell.store import open_store

pytestmark = pytest.mark.postgres


@pytest.fixture
def stores(new_database):
    url = new_database()
    made = [open_store(url) for _ in range(2)]
    yield made
    for store in made:
        store.close()


@pytest.fixture
def leases(stores):
    made = [store.database.lease(address=f"http://{number}") for number, store in enumerate(stores)]
    yield made
    for lease in made:
        lease.close()


def expire(store):
    """As if its holder had been silent for a minute."""
    with store.database.writing.begin() as connection:
        connection.execute(text("UPDATE leases SET renewed = renewed - 60000000"))


def test_one_takes_it_and_the_other_does_not(leases):
    first, second = leases
    assert first.take()
    assert not second.take()
    assert (first.held, second.held) == (True, False)
    assert second.leader()[1] == "http://0"


def test_what_is_given_back_is_free_at_once(leases):
    first, second = leases
    assert first.take()
    first.release()
    assert second.leader() == ("", "")
    assert second.take()
    assert second.epoch == 2


def test_renewing_keeps_it_and_silence_loses_it(stores, leases):
    """Whoever renews first after its end keeps it, unless another one came."""
    first, second = leases
    assert first.take()
    assert first.renew()
    expire(stores[0])
    assert first.renew()
    expire(stores[0])
    assert second.take()
    assert not first.renew()
    assert (first.epoch, first.held) == (0, False)


def test_giving_back_late_takes_it_from_nobody(stores, leases):
    first, second = leases
    assert first.take()
    expire(stores[0])
    assert second.take()
    first.release()
    assert second.renew()


def test_a_term_that_is_over_writes_nothing_ever(stores, leases):
    """The fence of an old term raises, also when the same server leads again; the new term's lets through."""
    first, second = leases
    store = stores[0]
    assert first.take()
    store.fence = first.fence()
    with store.write() as transaction:
        transaction.connection.execute(text("INSERT INTO counters VALUES ('x', 1)"))
    expire(store)
    assert second.take()
    with pytest.raises(LeaseLost, match="http://1"), store.write():
        pytest.fail("a transaction of the old term began")
    expire(store)
    assert first.take()
    with pytest.raises(LeaseLost), store.write():
        pytest.fail("a transaction of the old term began")
    store.fence = first.fence()
    with store.write() as transaction:
        assert transaction.connection.execute(text("SELECT count(*) FROM counters WHERE name = 'x'")).scalar() == 1


def test_who_takes_over_ends_a_transaction_that_is_still_open(stores, leases):
    """A server stopped inside its transaction: its session is ended, and nothing of it is kept."""
    first, second = leases
    store = stores[0]
    assert first.take()
    store.fence = first.fence()
    with pytest.raises(Exception, match=r"terminat|closed|lost") as caught, store.write() as transaction:  # noqa: PT012
        transaction.connection.execute(text("INSERT INTO counters VALUES ('x', 1)"))
        expire(stores[1])  # it need not wait for the row that the open transaction holds, nor does renewal
        assert second.take()
        transaction.connection.execute(text("UPDATE counters SET value = 2 WHERE name = 'x'"))
    assert store.is_unwell(caught.value)
    assert stores[1].read(text("SELECT count(*) FROM counters WHERE name = 'x'"))[0][0] == 0


def test_of_two_who_want_it_at_once_one_gets_it(stores, leases):
    """A hundred times."""
    for _ in range(100):
        barrier, got = threading.Barrier(2), []

        def want(lease, barrier=barrier, got=got):
            barrier.wait()
            got.append(lease.take())

        threads = [threading.Thread(target=want, args=(lease,)) for lease in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [False, True]
        expire(stores[0])
