"""Plugins at their worst, for a process of their own: each counts log lines, and does its worst at the line `poison`.

Imported by name in that process, so nothing here comes from a test.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, delete, text
from sqlalchemy.dialects.sqlite import insert

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.plugin import BasePlugin, RetryLater


class Counting(BasePlugin):
    """Counts log lines by flow, by adding: what is done twice is seen, and so is what is left out."""

    wants = ("log.recorded",)
    tick_seconds = 0.05

    def __init__(self, settings, name="bad"):
        self.settings, name = settings, settings.get("name", name)
        self.tables = MetaData()
        self.table = Table(f"{name}_seen", self.tables, Column("flow", String, primary_key=True), Column("number", Integer))
        self.blobs = Table(
            f"{name}_blobs", self.tables, Column("id", Integer, primary_key=True), Column("data", LargeBinary)
        )
        statement = insert(self.table)
        added = {"number": self.table.c.number + statement.excluded.number}
        self.add = statement.on_conflict_do_update(index_elements=["flow"], set_=added)

    def handle(self, events):
        self.count(events)
        if any(event.message == "poison" for event in events):
            self.worst(events)

    def count(self, events):
        self.context.write(self.add, [{"flow": event.flow, "number": 1} for event in events])

    def worst(self, events):
        """What a hostile one does."""


def good(settings):
    return Counting(settings, "good")


# --- ends, crashes and hangs --------------------------------------------------------------------------------------


class Exits(Counting):
    def worst(self, events):
        sys.exit(3)


class ExitsAtOnce(Counting):
    def worst(self, events):
        os._exit(7)


class Segfaults(Counting):
    def worst(self, events):
        print("about to read address 0", flush=True)
        ctypes.string_at(0)


class Aborts(Counting):
    def worst(self, events):
        os.abort()


class KillsItself(Counting):
    def worst(self, events):
        os.kill(os.getpid(), signal.SIGKILL)


class HoldsTheInterpreter(Counting):
    """A catastrophic regular expression: one call into C that takes for ever and lets no other thread run."""

    def worst(self, events):
        re.match(r"(a+)+$", "a" * 60 + "b")


class SleepsWithTheInterpreter(Counting):
    """C code called with the interpreter's lock held."""

    def worst(self, events):
        ctypes.PyDLL(None).sleep(600)


class EndlessLoop(Counting):
    def worst(self, events):
        while True:
            pass


class StopsItself(Counting):
    def worst(self, events):
        os.kill(os.getpid(), signal.SIGSTOP)


class OfAnotherContract(Counting):
    api = 2


class ClosesWell(Counting):
    """Says so in a file."""

    def close(self, timeout):
        with open(self.settings["flag"], "w", encoding="ascii") as file:
            file.write("closed")


class ClosesSlowly(Counting):
    def close(self, timeout):
        time.sleep(600)


class HangsInOpen(Counting):
    def open(self, context):
        super().open(context)
        if not os.path.exists(self.settings["flag"]):
            with open(self.settings["flag"], "w", encoding="ascii"):
                time.sleep(600)


def __getattr__(name):
    if name == "CrashesOnImport":
        ctypes.string_at(0)
    raise AttributeError(name)


# --- memory, threads, processes -----------------------------------------------------------------------------------


class EatsMemory(Counting):
    def worst(self, events):
        kept = []
        while True:
            kept.append(bytearray(b"x" * (8 << 20)))
            time.sleep(0.005)


class EatsMemoryAtOnce(Counting):
    """More than the machine has, in one piece."""

    def worst(self, events):
        bytearray(1 << 40)


class EatsMemoryBetweenCalls(Counting):
    tick_seconds = 600.0

    def worst(self, events):
        threading.Thread(target=EatsMemory.worst, args=(self, events), daemon=True).start()


class LeaksThreads(Counting):
    def handle(self, events):
        self.count(events)
        for _ in range(20):
            threading.Thread(target=time.sleep, args=(600,)).start()


class LeaksDescriptors(Counting):
    def worst(self, events):
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        kept = []
        while True:
            kept.append(os.open(os.devnull, os.O_RDONLY))


class Forks(Counting):
    """The fork comes back from `handle` as if it were the plugin."""

    def worst(self, events):
        os.fork()


class ForksAndStays(Counting):
    """The fork, and a program, outlive the call."""

    def worst(self, events):
        if os.fork() == 0:
            time.sleep(600)
        subprocess.Popen(["sleep", "600"])


class ForksThenDies(ForksAndStays):
    def worst(self, events):
        super().worst(events)
        os._exit(1)


# --- floods -------------------------------------------------------------------------------------------------------


class FloodsItsLog(Counting):
    def handle(self, events):
        self.count(events)
        for number in range(100_000):
            self.context.logger.warning("flood %d", number)


class FloodsOtherLogs(Counting):
    def handle(self, events):
        self.count(events)
        for number in range(100_000):
            logging.getLogger("flowtell.server").error("flood %d", number)


class FloodsItsOutput(Counting):
    def handle(self, events):
        self.count(events)
        for number in range(200_000):
            print("flood", number)
            print("flood", number, file=sys.stderr)


class OffersMuch(Counting):
    """100 MB in rows."""

    def worst(self, events):
        self.context.write(insert(self.blobs), [{"data": b"x" * 10_000}] * 10_000)


class OffersMuchInOneValue(Counting):
    """100 MB inside a statement."""

    def worst(self, events):
        self.context.write(insert(self.blobs).values(data=b"x" * 100_000_000))


class OffersMuchPastTheBound(Counting):
    """300 MB past all that its own process checks."""

    def worst(self, events):
        self.context._line._pipe.sendall((300_000_000).to_bytes(4, "big") + b"x" * 1_000_000)


class EmitsMuch(Counting):
    def worst(self, events):
        for number in range(3_000_000):
            self.context.emit(e.UserEvent(type="bad.much", payload={"x": "x" * 1000}), cause=events[0], name=str(number))


# --- what it does to its surroundings -----------------------------------------------------------------------------


class ChangesItsSurroundings(Counting):
    def worst(self, events):
        os.chdir("/")
        os.umask(0o777)
        os.environ.clear()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: os._exit(1))
        sys.setrecursionlimit(60)
        threading.stack_size(32768)


class ClosesDescriptors(Counting):
    def worst(self, events):
        for number in range(3):
            os.close(number)


class ClosesAllDescriptors(Counting):
    def worst(self, events):
        os.closerange(0, 1000)


class PatchesTheSystem(Counting):
    def worst(self, events):
        os.write = os.read = os.open = lambda *_: 1 / 0
        time.time_ns = time.monotonic = lambda: 0
        time.sleep = lambda _: None


class RaisesWhenDropped(Counting):
    def __del__(self):
        raise ValueError("not even now")

    def worst(self, events):
        raise ValueError("dropped")


class RaisesStrangeThings(Counting):
    def worst(self, events):
        class Strange(BaseException):
            def __str__(self) -> str:
                raise ValueError("no text")

        raise Strange


# --- what it says to the server -----------------------------------------------------------------------------------


class WritesToOthers(Counting):
    def worst(self, events):
        self.context.write(delete(Table("good_seen", MetaData(), Column("flow", String))))


class WritesText(Counting):
    def worst(self, events):
        self.context.write(text("DROP TABLE good_seen"))


class SaysGarbage(Counting):
    def worst(self, events):
        self.context._line._pipe.sendall((8).to_bytes(4, "big") + b"\xff" * 8)


class SaysItIsDone(Counting):
    """Answers before it is asked, again and again."""

    def worst(self, events):
        from flowtell.runner.isolation import messages as m

        for _ in range(50):
            self.context._line.say(m.Made())


class SaysATableOfOthers(Counting):
    """The statement that its own process would refuse."""

    def worst(self, events):
        from flowtell.runner.isolation import grammar as g
        from flowtell.runner.isolation import messages as m

        self.context._written.append(m.Written(m.encode(g.Delete("good_seen"))))


class ComesLater(Counting):
    def worst(self, events):
        if not os.path.exists(self.settings["flag"]):
            with open(self.settings["flag"], "w", encoding="ascii"):
                raise RetryLater(0.05, "not yet")


class Emits(Counting):
    def worst(self, events):
        self.context.emit(e.UserEvent(type="bad.found", payload={"n": 1}), cause=events[0], name="one")
        self.context.emit(e.UserEvent(type="bad.found", payload={"n": 2}), cause=new_id(), name="two")


class Asks(Counting):
    """Uses all that the context has."""

    def worst(self, events):
        context = self.context
        head, plugins = context.log.head(), sorted(status.name for status in context.plugins())
        read = context.log.read(0, 10)
        context.logger.warning("%s", [head, plugins, len(read), context.name, context.environment, context.live])
        context.count("dropped", 3)


class Mounts(Counting):
    def open(self, context):
        super().open(context)
        context.mount("/bad", None)
