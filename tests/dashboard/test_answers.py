"""Pages that ask the same share one answer, and none gets an old one."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowtell_dashboard import answers as kept
from flowtell_dashboard.answers import Answers
from flowtell_dashboard.pulse import Pulse


@pytest.fixture
def pulse():
    return Pulse()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def find(asked):
    """A slow read that counts how often it was made."""

    def read() -> int:
        time.sleep(0.02)
        asked.append(None)
        return len(asked)

    return read


def test_twenty_tabs_ask_the_store_once(pulse, find, asked):
    async def tabs() -> list[int]:
        answers = Answers(pulse)
        return await asyncio.gather(*(answers.to("view", find) for _ in range(20)))

    assert asyncio.run(tabs()) == [1] * 20
    assert len(asked) == 1


def test_once_the_log_has_moved_it_is_asked_again(pulse, find):
    async def page() -> list[int]:
        answers = Answers(pulse)
        first = await answers.to("view", find)
        pulse.beat(1)
        return [first, await answers.to("view", find), await answers.to("view", find)]

    assert asyncio.run(page()) == [1, 2, 2]


def test_another_question_has_its_own_answer(pulse, find):
    async def pages() -> list[int]:
        answers = Answers(pulse)
        return [await answers.to("one", find), await answers.to("other", find), await answers.to("one", find)]

    assert asyncio.run(pages()) == [1, 2, 1]


def test_an_answer_grows_too_old_even_in_a_quiet_log(pulse, find, monkeypatch):
    async def page() -> list[int]:
        answers = Answers(pulse)
        first = await answers.to("view", find)
        monkeypatch.setattr(kept, "KEPT_SECONDS", 0.0)
        return [first, await answers.to("view", find)]

    assert asyncio.run(page()) == [1, 2]


def test_a_failure_is_told_to_who_asked_and_to_nobody_later(pulse, find):
    def fail() -> int:
        raise TimeoutError("database is locked")

    async def pages() -> int:
        answers = Answers(pulse)
        with pytest.raises(TimeoutError):
            await answers.to("view", fail)
        return await answers.to("view", find)

    assert asyncio.run(pages()) == 1


def test_what_is_kept_is_bounded(pulse):
    async def pages() -> int:
        answers = Answers(pulse)
        for number in range(kept.KEPT + 20):
            await answers.to(number, lambda: None)
        return len(answers._known)

    assert asyncio.run(pages()) == kept.KEPT
