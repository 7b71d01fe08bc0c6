"""Pages are told at once that the log has moved, and otherwise left in peace."""

from __future__ import annotations

import asyncio
import threading
import time

from flowtell_dashboard.pulse import Pulse


def test_a_beat_from_another_thread_wakes_a_waiting_page():
    pulse = Pulse()

    async def page() -> tuple[int, float]:
        threading.Timer(0.05, pulse.beat, args=(7,)).start()
        began = time.monotonic()
        return await pulse.beyond(0, 10.0), time.monotonic() - began

    seq, waited = asyncio.run(page())
    assert seq == 7
    assert waited < 2.0


def test_what_was_missed_is_told_without_waiting():
    pulse = Pulse()
    pulse.beat(3)
    assert asyncio.run(pulse.beyond(2, 10.0)) == 3


def test_without_a_beat_the_wait_ends_and_nothing_is_kept():
    pulse = Pulse()
    assert asyncio.run(pulse.beyond(0, 0.01)) == 0
    assert not pulse._waiting


def test_seq_never_goes_back():
    """Batches of a redelivery are older than what was shown."""
    pulse = Pulse()
    pulse.beat(9)
    pulse.beat(4)
    assert pulse.seq == 9


def test_all_pages_wake_on_one_beat():
    pulse = Pulse()

    async def pages() -> list[int]:
        waiting = [asyncio.create_task(pulse.beyond(0, 10.0)) for _ in range(20)]
        await asyncio.sleep(0)
        pulse.beat(1)
        return await asyncio.gather(*waiting)

    assert asyncio.run(pages()) == [1] * 20


def test_a_page_whose_loop_has_ended_disturbs_nobody():
    pulse = Pulse()
    loop = asyncio.new_event_loop()
    task = loop.create_task(pulse.beyond(0, 10.0))
    loop.run_until_complete(asyncio.sleep(0))
    pending = set(pulse._waiting)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    pulse._waiting |= pending
    pulse.beat(1)
    assert pulse.seq == 1


def test_its_end_lets_everybody_go():
    pulse = Pulse()

    async def page() -> int:
        waiting = asyncio.create_task(pulse.beyond(0, 10.0))
        await asyncio.sleep(0)
        pulse.end()
        return await waiting

    assert asyncio.run(page()) == 0
    assert pulse.ended
