"""The conformance kit for event logs: the same tests on every store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from sqlalchemy import func, select

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.store import open_store
from flowtell.store.log import Line, Writer
from flowtell.store.store import Store
from flowtell.store.tables import events, runs, task_runs
from flowtell.testing.histories import START, example_history

_ASKED = {
    (): ("flow_run.started", "shop.paid", "flow_run.finished"),
    ("flow_run.started",): ("flow_run.started",),
    ("shop.paid",): ("shop.paid",),
    ("*",): ("shop.paid",),
    ("*", "flow_run.finished"): ("shop.paid", "flow_run.finished"),
}
"""Types that are asked for, and those that are found."""


class EventLogContract:
    """What every store must keep. Override `url` to say where an empty one is."""

    several_writers = False
    """Whether several processes may append at a time; else one has the ingest role."""

    def url(self, folder: Path) -> str:
        raise NotImplementedError("return the URL of an empty store")

    def open(self, folder: Path) -> Store:
        return open_store(self.url(folder))

    # --- the tests ------------------------------------------------------------------------------------------------

    def test_events_come_back_as_written(self, tmp_path: Path) -> None:
        """Every field of every type, in the order appended, with a place in the log."""
        store = self.open(tmp_path)
        history = example_history()
        append(store, history)
        read = store.log.read(0, 10_000)
        assert [_bare(event) for event in read] == [_bare(event) for event in history]
        assert [event.seq for event in read] == list(range(1, len(history) + 1))
        store.close()

    def test_an_id_is_in_the_log_once(self, tmp_path: Path) -> None:
        """In one batch, in two, from two writers."""
        store = self.open(tmp_path)
        history = example_history(runs=2)
        append(store, [*history, *history])
        append(store, history, writer="w2")
        assert len(store.log.read(0, 10_000)) == len(history)
        store.close()

    def test_a_rolled_back_batch_leaves_nothing(self, tmp_path: Path) -> None:
        """Neither events nor runs, and the next batch takes its places in the log."""
        store = self.open(tmp_path)
        history = example_history(runs=2)
        try:
            with store.write() as transaction:
                store.log.append(transaction, _writer(store, transaction), _lines(history), START)
                raise _Abort
        except _Abort:
            pass
        assert store.log.read(0) == []
        assert store.read(select(func.count()).select_from(runs))[0][0] == 0
        append(store, history)
        assert store.log.read(0)[0].seq == 1
        store.close()

    def test_fields_of_tomorrow_survive(self, tmp_path: Path) -> None:
        """Unknown types, and unknown fields of known types, are read back as lines untouched."""
        store = self.open(tmp_path)
        first = b'{"type":"flow_run.nudged","id":"%s","time":5,"weight":3,"run":"r"}' % new_id().encode()
        second = (
            b'{"type":"flow_run.started","id":"%s","time":5,"run":"q","flow":"a \\"b\\"","mood":{"x":[1]}}'
            % new_id().encode()
        )
        with store.write() as transaction:
            store.log.append(
                transaction,
                _writer(store, transaction),
                [Line(e.decode(line), line, 0) for line in (first, second)],
                START,
            )
        lines = [line for _, line in store.log.read_lines(0)]
        assert b'"weight":3' in lines[0]
        assert b'"mood":{"x":[1]}' in lines[1]
        assert b'"flow":"a \\"b\\""' in lines[1]
        store.close()

    def test_types_are_read_by_name_and_own_ones_by_a_star(self, tmp_path: Path) -> None:
        """In log order; a type that no version knows yet is one of one's own."""
        store = self.open(tmp_path)
        append(
            store,
            [
                e.FlowRunStarted(id=new_id(), time=START, run="r"),
                e.UserEvent(type="shop.paid", id=new_id(), time=START),
                e.FlowRunFinished(id=new_id(), time=START, run="r"),
            ],
        )
        read = {types: [event.type for event in store.log.read(0, types=types)] for types in _ASKED}
        assert read == {types: list(found) for types, found in _ASKED.items()}
        store.close()

    def test_the_first_end_in_the_log_decides(self, tmp_path: Path) -> None:
        """A later, contrary end is kept and marked, in the same batch or in another, and changes no run."""
        store = self.open(tmp_path)
        run, task_run = new_id(), new_id()
        ids: dict[str, Any] = {"run": run, "flow": "f", "time": START}
        append(
            store,
            [
                e.FlowRunFinished(id=new_id(), state="crashed", **ids),
                e.FlowRunFinished(id=new_id(), state="completed", **ids),
            ],
        )
        append(
            store,
            [
                e.FlowRunStarted(id=new_id(), **ids),
                e.TaskRunFinished(id=new_id(), task_run=task_run, state="failed", **ids),
            ],
        )
        append(store, [e.TaskRunFinished(id=new_id(), task_run=task_run, **ids)], writer="w2")
        assert [event.contrary for event in store.log.read(0)] == [False, True, True, False, True]
        assert _rows(store, select(runs.c.state, runs.c.corrections, runs.c.started)) == [("crashed", 1, START)]
        assert _rows(store, select(task_runs.c.state, task_runs.c.corrections)) == [("failed", 1)]
        store.close()

    def test_a_tailing_reader_misses_nothing(self, tmp_path: Path) -> None:
        """Readers that go on from the last place they saw get every event of concurrent writers, in order, once."""
        store = self.open(tmp_path)
        seen = _tailed(store, [store] * 4, _write_slowly)
        assert seen == sorted(set(seen))
        assert len(seen) == store.read(select(func.count()).select_from(events))[0][0] == 4 * 25 * 3
        store.close()

    def test_order_holds_whatever_a_transaction_does_before(self, tmp_path: Path) -> None:
        """Writers with connections of their own write another table first, sleep in the transaction, roll back at times."""
        if not self.several_writers:
            raise SkipTest("one process at a time appends here")
        store = self.open(tmp_path)
        url = store.url.render_as_string(hide_password=False)
        others = [open_store(url) for _ in range(4)]
        seen = _tailed(store, others, _write_badly)
        kept = [row.seq for row in store.read(select(events.c.seq).order_by(events.c.seq))]
        assert seen == kept == list(range(1, len(kept) + 1))
        assert len(kept) == 4 * (25 - 5) * 3
        for one in (store, *others):
            one.close()

    def test_places_are_never_given_twice(self, tmp_path: Path) -> None:
        """After everything was pruned and the store reopened, the log goes on where it was."""
        store = self.open(tmp_path)
        append(store, example_history(runs=1))
        highest = store.log.head()
        with store.write() as transaction:
            store.log.note_highest(transaction)
            transaction.connection.execute(events.delete())
        store.close()
        store = open_store(str(store.url.render_as_string(hide_password=False)))
        append(store, example_history(runs=1, flow="other"))
        assert store.log.read(0)[0].seq == highest + 1
        store.close()


class _Abort(Exception):
    pass


def append(store: Store, new: list[e.Event], writer: str = "w1") -> None:
    """Put events into the log, as if a journal had held them."""
    with store.write() as transaction:
        store.log.append(transaction, _writer(store, transaction, writer), _lines(new), START)


def _writer(store: Store, transaction: Any, name: str = "w1") -> Writer:
    return store.log.writer(transaction, name, "journal")


def _rows(store: Store, statement: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.read(statement)]


def _lines(new: list[e.Event]) -> list[Line]:
    bodies = [e.encode(event) for event in new]
    return [Line(e.decode(body), body, at) for at, body in enumerate(bodies)]


def _bare(event: e.Event) -> bytes:
    """The event without what the log adds."""
    import msgspec

    return e.encode(msgspec.structs.replace(event, seq=0, received=0, writer="", n=0, contrary=False))


def _tailed(store: Store, others: list[Store], write: Callable[[Store, str], None]) -> list[int]:
    """The places that a reader sees, who goes on from the last one while all the others write."""
    done = threading.Event()
    seen: list[int] = []

    def tail() -> None:
        after, last = 0, False
        while not last:
            last = done.is_set()
            page = store.log.read(after, 100)
            seen.extend(event.seq for event in page)
            after = page[-1].seq if page else after
            last = last and not page

    reader = threading.Thread(target=tail)
    reader.start()
    writers = [threading.Thread(target=write, args=(other, f"w{number}")) for number, other in enumerate(others)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    return seen


def _write_slowly(store: Store, name: str) -> None:
    for number in range(25):
        append(store, example_history(runs=1, tasks=0, flow=f"{name}-{number}"), writer=name)


def _write_badly(store: Store, name: str) -> None:
    for number in range(25):
        try:
            with store.write() as transaction:
                who = _writer(store, transaction, name)
                store.log.move_writer(transaction, who, last_read=number)
                time.sleep(0.002 * (number % 3))
                store.log.append(transaction, who, _lines(example_history(runs=1, tasks=0, flow=f"{name}-{number}")), START)
                time.sleep(0.002 * (number % 2))
                if number % 5 == 4:
                    raise _Abort
        except _Abort:
            pass
