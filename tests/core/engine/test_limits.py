"""Flows, tasks and blocks under limits, as one process sees them: threads, coroutines, generators, forks, interruptions."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections import Counter

import pytest

from flowtell import allow_failure, bus, concurrency, flow, task
from flowtell.engine import limiting
from flowtell.errors import BadLimit, LimitDeadlock
from flowtell.limits.desk import LocalDesk
from flowtell.limits.stated import Stated
from flowtell.testing import recorder


class Inside:
    """How many are inside at a time."""

    def __init__(self):
        self.now = self.most = self.total = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self._lock:
            self.now -= 1


@pytest.fixture
def inside():
    return Inside()


@pytest.fixture
def state(home):
    """State limits in this home, as `flowtell limits set` does."""

    def set_all(**limits):
        for name, limit in limits.items():
            Stated(str(home / "limits")).set(name.replace("__", ":"), limit)
        bus.renew()  # a process that runs already knows within a second

    return set_all


def in_threads(count, function):
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def held(home):
    """What the book says is held."""
    return {name: page.used for name, page, _ in LocalDesk(str(home), {}).look() if page.used}


# --- flows --------------------------------------------------------------------------------------------------------


def test_a_flow_runs_as_often_at_a_time_as_it_says(home, inside):
    @flow(concurrency_limit=2)
    def limited():
        with inside:
            time.sleep(0.03)

    in_threads(6, lambda _: limited())
    assert (inside.total, inside.most) == (6, 2)
    assert not held(home)


def test_who_waits_says_so_before_it_starts_and_names_whom_it_waits_for():
    entered, go = threading.Event(), threading.Event()

    @flow(concurrency_limit=1, tags=["nightly"])
    def limited():
        entered.set()
        go.wait(10)

    with recorder() as recorded:
        first = threading.Thread(target=limited)
        first.start()
        entered.wait(10)
        second = threading.Thread(target=limited)
        second.start()
        _until(lambda: [event for event in recorded.events if event.type == "flow_run.waiting"])
        go.set()
        first.join()
        second.join()
    holder = next(event.run for event in recorded.events if event.type == "flow_run.started")
    (pending,) = [event for event in recorded.events if event.type == "flow_run.pending"]
    waiting = next(event for event in recorded.events if event.type == "flow_run.waiting")
    assert (waiting.reason, waiting.on[0].name, waiting.on[0].runs) == ("limit", "flow:limited", (holder,))
    assert (pending.run, pending.tags) == (waiting.run, ("nightly",))
    types = [event.type for event in recorded.events if event.run == waiting.run]
    assert types == ["flow_run.pending", "flow_run.waiting", "flow_run.started", "flow_run.finished"]


def test_use_is_told_with_its_holders():
    @flow(concurrency_limit=2)
    def limited():
        pass

    with recorder() as recorded:
        limited()
    observed = [event for event in recorded.events if event.type == "capacity.observed"]
    run = next(event.run for event in recorded.events if event.type == "flow_run.started")
    assert [(event.kind, event.name, event.limit, event.used) for event in observed] == [
        ("limit", "flow:limited", 2, 1),
        ("limit", "flow:limited", 2, 0),
    ]
    assert [holder.run for holder in observed[0].holders] == [run]


def test_a_failed_run_and_one_that_retries_give_their_places_back(home):
    attempts = []

    @flow(concurrency_limit=1, retries=1, retry_delay_seconds=0.05)
    def fails():
        attempts.append(held(home))
        raise ValueError

    with pytest.raises(ValueError):
        fails()
    assert attempts == [{"flow:fails": 1}] * 2
    assert not held(home)


def test_while_a_run_waits_for_its_next_attempt_others_go_on(inside):
    first = threading.Event()
    order = []

    @flow(concurrency_limit=1, retries=1, retry_delay_seconds=1.0)
    def fails_once():
        order.append("attempt")
        if order.count("attempt") == 1:
            first.set()
            raise ValueError

    @flow(name="fails-once", concurrency_limit=1)
    def quick():
        order.append("quick")

    thread = threading.Thread(target=fails_once)
    thread.start()
    first.wait(10)
    quick()
    thread.join()
    assert order == ["attempt", "quick", "attempt"]


def test_coroutines_wait_without_holding_up_the_loop(home, inside):
    ticks = []

    @flow(concurrency_limit=2)
    async def limited():
        with inside:
            await asyncio.sleep(0.05)

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    async def main():
        ticking = asyncio.ensure_future(tick())
        await asyncio.gather(*(limited() for _ in range(6)))
        ticking.cancel()

    asyncio.run(main())
    assert (inside.total, inside.most) == (6, 2)
    assert len(ticks) > 10
    assert not held(home)


def test_a_cancelled_coroutine_leaves_the_line(home):
    @flow(concurrency_limit=1)
    async def limited():
        await asyncio.sleep(30)

    async def main():
        holder = asyncio.ensure_future(limited())
        await asyncio.sleep(0.1)
        waiting = asyncio.ensure_future(limited())
        await asyncio.sleep(0.1)
        for each in (waiting, holder):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each

    with recorder() as recorded:
        asyncio.run(main())
    states = [event.state for event in recorded.events if event.type == "flow_run.finished"]
    assert states == ["cancelled", "cancelled"]
    assert not held(home)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_generator_holds_its_place_from_its_first_step_to_its_end(home, colour):
    @flow(concurrency_limit=1)
    def numbers():
        yield from range(3)

    @flow(concurrency_limit=1, name="numbers")
    async def async_numbers():
        for number in range(3):
            yield number

    async def collect():
        return [(number, held(home)) async for number in async_numbers()]

    taken = [(number, held(home)) for number in numbers()] if colour == "sync" else asyncio.run(collect())
    assert taken == [(number, {"flow:numbers": 1}) for number in range(3)]
    assert not held(home)


def test_a_generator_that_is_left_gives_its_place_back(home):
    @flow(concurrency_limit=1)
    def numbers():
        yield from range(3)

    running = numbers()
    next(running)
    running.close()
    assert not held(home)


def test_a_generator_that_is_collected_while_the_book_is_open_gives_its_place_back(home):
    """The garbage collection may end a run anywhere, also on the thread that is asking: it does not wait for itself."""

    @flow(concurrency_limit=2)
    def numbers():
        yield from range(3)

    @flow(concurrency_limit=1)
    def other():
        pass

    left = [numbers()]
    next(left[0])
    desk = limiting.desk()
    asked = desk._shelf._read

    def read(path):
        left.clear()
        gc.collect()
        return asked(path)

    desk._shelf._read = read
    other()
    assert not held(home)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "2"])
def test_a_limit_that_is_none_is_refused_where_it_is_written(limit):
    with pytest.raises(ValueError, match="whole number"):
        flow(concurrency_limit=limit)(print)


# --- tags and tasks -----------------------------------------------------------------------------------------------


def test_a_tag_limits_tasks_of_any_flow(home, inside, state):
    state(tag__db=2)

    @task(tags=["db"])
    def query(number):
        with inside:
            time.sleep(0.02)

    @flow
    def outer(_):
        query.map(range(4)).result()
        query(0)

    in_threads(3, outer)
    assert (inside.total, inside.most) == (15, 2)
    assert not held(home)


def test_a_tag_limits_flows_and_the_tasks_inside_share_their_place(home, state):
    """Else a task that has its flow's tag would wait for its own flow."""
    state(tag__db=1)

    @task(tags=["db"])
    def query():
        return held(home)

    @flow(tags=["db"])
    def outer():
        return [query(), query.submit().result()]

    @flow(tags=["db"])
    def outermost():
        return outer()

    assert outermost() == [{"tag:db": 1}] * 2


def test_a_task_that_waits_holds_no_thread(state):
    """Of a pool of two: what is not limited goes on beside three that wait."""
    from flowtell import ThreadPoolTaskRunner

    state(tag__db=1)
    done = []

    @task(tags=["db"])
    def slow(number):
        time.sleep(0.1)
        done.append("slow")

    @task
    def quick():
        done.append("quick")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def outer():
        waiting = slow.map(range(4))
        quick.submit().result()
        waiting.wait()

    outer()
    assert done.index("quick") < 2


def test_a_task_waits_for_its_arguments_first_and_holds_nothing_meanwhile(home, state):
    state(tag__db=1)
    seen = []

    @task
    def upstream():
        time.sleep(0.1)
        seen.append(held(home))
        return 1

    @task(tags=["db"])
    def query(value):
        return value

    @flow
    def outer():
        return query.submit(upstream.submit()).result()

    assert (outer(), seen) == (1, [{}])


def test_a_task_that_is_skipped_or_cancelled_leaves_the_line(home, state):
    state(tag__db=1)

    @task
    def fails():
        raise ValueError

    @task(tags=["db"])
    def query(value):
        time.sleep(0.3)

    @flow
    def outer():
        skipped = query.submit(fails.submit())
        going, waiting = query.submit(1), query.submit(2)
        time.sleep(0.1)
        raise KeyError(str(skipped), str(going), str(waiting))

    with recorder() as recorded, pytest.raises(KeyError):
        outer()
    time.sleep(0.4)
    states = Counter(event.state for event in recorded.events if event.type == "task_run.finished" and event.task == "query")
    assert states == {"skipped": 1, "cancelled": 2}
    assert not held(home)
    assert allow_failure is not None


def test_a_task_that_waits_says_so(state):
    state(tag__db=1)

    @task(tags=["db"])
    def query(number):
        time.sleep(0.05)

    @flow
    def outer():
        query.map(range(3)).wait()

    with recorder() as recorded:
        outer()
    waiting = [event for event in recorded.events if event.type == "task_run.waiting"]
    assert len({event.task_run for event in waiting}) == 2
    assert {event.on[0].name for event in waiting} == {"tag:db"}
    observed = next(event for event in recorded.events if event.type == "capacity.observed")
    assert observed.holders[0].task_run


def test_thousands_of_mapped_tasks_get_through(inside, state):
    state(tag__db=20)

    @task(tags=["db"])
    def query(number):
        with inside:
            pass

    @flow
    def outer():
        query.map(range(2000)).wait()

    began = time.monotonic()
    outer()
    assert inside.total == 2000
    assert inside.most <= 20
    assert time.monotonic() - began < 60


def test_limits_of_the_configuration_hold_and_what_a_command_says_goes_before(home, tmp_path, monkeypatch, inside, state):
    (tmp_path / "flowtell.toml").write_text("[limits.tag]\ndb = 1\n[limits.flow]\nouter = 5\n")
    monkeypatch.chdir(tmp_path)
    bus.renew()

    @task(tags=["db"])
    def query(number):
        with inside:
            time.sleep(0.03)

    @flow
    def outer():
        query.map(range(5)).wait()
        return held(home)

    assert outer() == {"flow:outer": 1}
    assert inside.most == 1
    state(tag__db=3)
    outer()
    assert inside.most == 3


def test_a_wrong_limit_in_the_configuration_stops_no_flow(tmp_path, monkeypatch, capfd):
    (tmp_path / "flowtell.toml").write_text('[limits.tag]\ndb = "three"\n')
    monkeypatch.chdir(tmp_path)
    bus.renew()

    @flow(tags=["db"])
    def outer():
        return 1

    assert outer() == 1
    assert "FT2451" in capfd.readouterr().err


def test_a_home_that_takes_no_file_stops_no_flow(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "file" / "home"))
    bus.renew()

    @flow(concurrency_limit=1)
    def limited():
        return 1

    assert limited() == 1
    assert "FT2453" in capfd.readouterr().err


# --- blocks -------------------------------------------------------------------------------------------------------


def test_a_block_is_limited_by_name(home, inside, state):
    state(warehouse=2)

    def block(_):
        with concurrency("warehouse"), inside:
            time.sleep(0.02)

    in_threads(6, block)
    assert (inside.total, inside.most) == (6, 2)
    assert not held(home)


def test_a_block_in_a_coroutine_is_limited_by_name(home, inside, state):
    state(warehouse=2)

    async def block():
        async with concurrency("warehouse"):
            with inside:
                await asyncio.sleep(0.02)

    async def main():
        await asyncio.gather(*(block() for _ in range(6)))

    asyncio.run(main())
    assert (inside.total, inside.most) == (6, 2)
    assert not held(home)


def test_a_name_without_a_limit_limits_nothing(home):
    with concurrency("warehouse"):
        assert not held(home)


def test_several_places_and_several_names_are_taken_at_once(home, state):
    state(warehouse=5, disk=2)
    with concurrency(["warehouse", "disk"], occupy=2):
        assert held(home) == {"warehouse": 2, "disk": 2}
    with pytest.raises(BadLimit), concurrency("disk", occupy=3):
        pass


def test_a_block_waits_no_longer_than_it_says(home, state):
    state(warehouse=1)
    entered, go = threading.Event(), threading.Event()

    def hold(_):
        with concurrency("warehouse"):
            entered.set()
            go.wait(10)

    thread = threading.Thread(target=hold, args=(0,))
    thread.start()
    entered.wait(10)
    with pytest.raises(TimeoutError), concurrency("warehouse", timeout_seconds=0.1):
        pass

    async def in_a_coroutine():
        async with concurrency("warehouse", timeout_seconds=0.1):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(in_a_coroutine())
    go.set()
    thread.join()
    assert not held(home)


def test_a_block_inside_a_limited_run_uses_its_place(home, state):
    state(flow__outer=1)

    @flow
    def outer():
        with concurrency("flow:outer"):
            return held(home)

    assert outer() == {"flow:outer": 1}


def test_runs_that_wait_for_each_other_are_told_so_and_one_goes_on(home, state):
    """Each holds what the other one wants inside it: the last to ask fails, rather than both waiting for ever."""
    state(left=1, right=1)
    both = threading.Barrier(2)
    results = {}

    @flow
    def crossing(first, second):
        with concurrency(first):
            both.wait(10)
            with concurrency(second):
                return "went through"

    def run(number):
        names = ("left", "right") if number else ("right", "left")
        try:
            results[number] = crossing(*names)
        except LimitDeadlock as error:
            results[number] = error.code

    in_threads(2, run)
    assert sorted(results.values()) == ["FT2452", "went through"]
    assert not held(home)


# --- interruptions and forks --------------------------------------------------------------------------------------


def test_ctrl_c_while_a_flow_waits_is_a_cancelled_run(home):
    entered, go = threading.Event(), threading.Event()

    @flow(concurrency_limit=1)
    def limited():
        entered.set()
        go.wait(10)

    with recorder() as recorded:
        holder = threading.Thread(target=limited)
        holder.start()
        entered.wait(10)
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                limited()
        finally:
            signal.signal(signal.SIGINT, handler)
        assert held(home) == {"flow:limited": 1}
        go.set()
        holder.join()
    finished = [event for event in recorded.events if event.type == "flow_run.finished"]
    assert [event.state for event in finished] == ["cancelled", "completed"]
    started = {event.run for event in recorded.events if event.type == "flow_run.started"}
    assert finished[0].run not in started
    assert not held(home)


@pytest.mark.parametrize("place", ["ask", "leave"])
def test_ctrl_c_in_the_middle_of_asking_or_leaving_keeps_no_place(home, monkeypatch, place):
    """It is given back before the interruption goes on, or nobody could until the process ends."""
    done = getattr(LocalDesk, place)
    interrupted = []

    def interrupt(desk, *arguments, **options):
        answer = done(desk, *arguments, **options) if place == "ask" or interrupted else None
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return answer

    @flow(concurrency_limit=1)
    def limited():
        pass

    monkeypatch.setattr(LocalDesk, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        limited()
    monkeypatch.undo()
    monkeypatch.setenv("FLOWTELL_HOME", str(home))
    assert interrupted
    assert not held(home)


FORKS = """
import os, sys, time
from flowtell import concurrency, flow

@flow(concurrency_limit=1)
def limited(word):
    print(word, flush=True)

@flow(name="limited", concurrency_limit=1)
def forks():
    pid = os.fork()
    if pid == 0:
        limited("child")
        os._exit(0)
    os.waitpid(pid, 0)
    print("parent", flush=True)

forks()
pid = os.fork()
if pid == 0:
    with concurrency("flow:limited"):
        limited("second child")
    os._exit(0)
os.waitpid(pid, 0)
limited("after")
"""


def test_a_forked_child_is_inside_its_parents_run_and_holds_nothing_of_it_afterwards(script, home):
    """What it runs uses the place around it, as everything inside a run does: its parent may be waiting for it."""
    process = script(FORKS, FLOWTELL_QUIET="1")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["child", "parent", "second child", "after"]
    assert not held(home)


ORPHANS = """
import os, time
from flowtell import flow

@flow(concurrency_limit=1)
def limited():
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print("inside", flush=True)
    time.sleep(60)

limited()
"""


def test_a_forked_child_keeps_nothing_for_its_killed_parent(script, home):
    process = script(ORPHANS, FLOWTELL_QUIET="1")
    assert process.stdout.readline() == "inside\n"
    assert held(home) == {"flow:limited": 1}
    process.kill()
    process.stdout.close()
    process.stderr.close()
    process.wait()
    try:
        _until(lambda: not held(home))  # a child that was made a moment before closes what it has when it first runs
    finally:
        _kill_children_of(home)


def _kill_children_of(home):
    from pathlib import Path

    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"FLOWTELL_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue


def _until(condition):
    until = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found
