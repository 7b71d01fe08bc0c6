"""A run's box: a file of lines that several processes append to, and that a kill spoils no more than a line of."""

from __future__ import annotations

import os
import time

import pytest

from flowtell.answers import box as boxes
from flowtell.answers.box import Box, Line
from flowtell.errors import BoxFull


@pytest.fixture
def box(home):
    return Box(str(home), "0" * 32)


def test_what_is_added_is_read_once(box):
    box.add(Line(kind="given", key="a", answer={"x": [1, None]}))
    lines, place = box.read()
    assert [(line.key, line.answer) for line in lines] == [("a", {"x": [1, None]})]
    assert box.read(place) == ((), place)
    box.add(Line(kind="taken", key="a"))
    assert [line.kind for line in box.read(place).lines] == ["taken"]


def test_a_torn_line_spoils_no_other(box):
    box.add(Line(kind="given", key="a"))
    with open(box.path, "ab") as file:
        file.write(b'{"kind":"given","ke')
    _, place = box.read()
    box.add(Line(kind="given", key="b"))
    assert [line.key for line in box.read().lines] == ["a", "b"]
    assert [line.key for line in box.read(place).lines] == ["b"]


def test_what_nobody_can_have_written_is_passed_over(box):
    box.add(Line(kind="given", key="a"))
    with open(box.path, "ab") as file:
        file.write(b'\xff\xfe\n[[[[\n{"kind":"tomorrow","key":"a"}\n')
    assert len(box.read().lines) == 1


def test_a_box_has_a_bound(box, monkeypatch):
    monkeypatch.setattr(boxes, "LARGEST", 200)
    box.add(Line(kind="given", key="a", answer="x" * 100))
    with pytest.raises(BoxFull):
        box.add(Line(kind="given", key="a", answer="x" * 100))
    assert len(box.read().lines) == 1


def test_a_box_of_months_ago_is_swept(box, home):
    other = Box(str(home), "1" * 32)
    for one in (box, other):
        one.add(Line(kind="given", key="a"))
    os.utime(box.path, times=(0, time.time() - 91 * 86_400))
    other.sweep()
    assert not box.exists()
    assert other.exists()
