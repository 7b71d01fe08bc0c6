"""A store with runners on threads, for plugins that stand beside each other."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from sqlalchemy import select, text

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.runner import Runner, RunnerThread
from flowtell.store import open_store
from flowtell.store.log import Line
from flowtell.store.tables import dead_events
from flowtell.testing import FakeClock

DEADLINE = 0.4


class Stage:
    """A store, runners on threads, and a watchdog as the server has it."""

    def __init__(self, folder):
        self.patience = 0.5
        """Seconds that a plugin may take to let go at the end."""
        self.folder = folder
        self.store = open_store(f"sqlite:///{folder}/flowtell.db")
        self.threads: list[RunnerThread] = []
        self._stop = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, daemon=True)
        self._watchdog.start()
        self._n = 0

    def _watch(self):
        while not self._stop.wait(0.05):
            for thread in self.threads:
                thread.watch()

    def run(self, name, factory, deadline=DEADLINE, **options):
        runner = Runner(name, factory, self.store, deadline=deadline, **options)
        runner.all_statuses = lambda: [thread.runner.status() for thread in self.threads]
        thread = RunnerThread(runner)
        pause = thread._pause
        thread._pause = lambda state, seconds: pause(state, seconds / 10)
        self.threads.append(thread)
        thread.start()
        return runner

    def say(self, *messages, flow="f"):
        lines = []
        for message in messages:
            body = e.encode(e.LogRecorded(id=new_id(), time=FakeClock().now, flow=flow, message=message))
            lines.append(Line(e.decode(body), body, self._n))
            self._n += 1
        with self.store.write() as transaction:
            self.store.log.append(
                transaction, self.store.log.writer(transaction, "w", "journal"), lines, int(time.time() * 1e6)
            )

    def counted(self, name):
        return dict(tuple(row) for row in self.store.read(text(f"SELECT flow, number FROM {name}_seen")))

    def dead(self, name):
        rows = self.store.read(select(dead_events).where(dead_events.c.plugin == name))
        return [self.store.log.read(row.seq - 1, 1)[0].message for row in rows]

    def until(self, condition, seconds=15.0):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, [thread.runner.status() for thread in self.threads]
            time.sleep(0.01)

    def at_the_tail(self, *runners, seconds=15.0):
        self.until(lambda: all(runner.cursor == self.store.window.head for runner in runners), seconds)
        for runner in runners:  # committed, too
            self.until(lambda runner=runner: runner.busy is None, seconds)

    def close(self):
        for thread in self.threads:
            thread.stop(self.patience)
        self._stop.set()
        self._watchdog.join()
        self.store.close()


@pytest.fixture
def stage(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    made = Stage(tmp_path)
    yield made
    made.close()
