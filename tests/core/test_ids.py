"""Ids: unique wherever they are made, ordered by time, and random where sampling looks."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from flowtell.ids import derived_id, is_id, moment_of, new_id, span_id

FORKS = """
import json, os, sys
from flowtell.ids import new_id
first = [new_id() for _ in range(10)]
children = []
for _ in range(6):
    out, into = os.pipe()
    child = os.fork()
    if not child:
        made = [new_id() for _ in range(300)]
        if len(children) < 3 and not os.fork():
            os.write(into, json.dumps([new_id() for _ in range(300)]).encode() + b"\\n")
            os._exit(0)
        os.write(into, json.dumps(made).encode() + b"\\n")
        os._exit(0)
    os.close(into)
    children.append(out)
made = first + [new_id() for _ in range(300)]
for out in children:
    with os.fdopen(out) as file:
        for line in file:
            made += json.loads(line)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
print(json.dumps(made))
"""

SEEDED = """
import random, json
from flowtell.ids import new_id
random.seed(42)
print(json.dumps([new_id(1_000_000) for _ in range(600)]))
"""


def run(code):
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout)


def test_forked_children_make_ids_of_their_own():
    """Children and grandchildren of a process that has ids in stock share none of them."""
    made = run(FORKS)
    assert len(made) == 310 + 6 * 300 + 3 * 300
    assert len(set(made)) == len(made)


def test_threads_never_make_the_same_id():
    """Eight threads at once."""
    made: list[list[str]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=lambda own: own.extend(new_id() for _ in range(3000)), args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [each for own in made for each in own]
    assert len(set(ids)) == len(ids) == 24_000


def test_a_seed_of_random_has_no_influence():
    """Training scripts seed it in every worker."""
    assert not set(run(SEEDED)) & set(run(SEEDED))
    random.seed(7)
    state = random.getstate()
    new_id()
    assert random.getstate() == state


@given(st.integers(0, 2**48 * 1000 - 1))
def test_version_and_variant_are_those_of_uuid_7(moment):
    """RFC 9562, and the moment is read back to the millisecond."""
    for made in (new_id(moment), derived_id(moment, "a", "b")):
        assert is_id(made)
        assert made[12] == "7"
        assert made[16] in "89ab"
        assert moment_of(made) == moment // 1000 * 1000


def test_ids_sort_by_the_millisecond_they_were_made_in():
    """So do the tables that hold them."""
    made = []
    for _ in range(5):
        made.append(new_id())
        time.sleep(0.002)
    assert made == sorted(made)
    assert abs(moment_of(made[0]) - time.time() * 1e6) < 60e6


def test_the_low_56_bits_are_uniform():
    """Sampling decides on them: each bit is set as often as not, and a threshold keeps its share."""
    low = [int(new_id()[-14:], 16) for _ in range(20_000)]
    for bit in range(56):
        share = sum(number >> bit & 1 for number in low) / len(low)
        assert abs(share - 0.5) < 6 * 0.5 / math.sqrt(len(low)), bit
    for ratio in (0.01, 0.1, 0.5, 0.75):
        kept = sum(number < ratio * 2**56 for number in low) / len(low)
        assert abs(kept - ratio) < 6 * math.sqrt(ratio * (1 - ratio) / len(low))


def test_a_derived_id_is_the_same_for_ever():
    """Redelivery in ten years must find it; the parts do not run into one another."""
    assert derived_id(1_767_225_600_000_000, "crashed", "run", "writer") == "019b76daa8007d17a75cf608b485b85e"
    assert derived_id(5, "a", "b") == derived_id(5, "a", "b")
    assert len({derived_id(5, "a", "b"), derived_id(5, "ab"), derived_id(5, "ab", ""), derived_id(6000, "a", "b")}) == 4


@given(st.text(max_size=40) | st.text(alphabet="0123456789abcdefg7", min_size=32, max_size=32))
def test_any_text_may_be_asked_for_its_moment(text):
    """Run ids come from outside: what is no UUIDv7 has no moment, and raises nothing."""
    assert moment_of(text) >= 0
    if not is_id(text):
        assert moment_of(text) == 0
    assert len(span_id(new_id())) == 16


def test_the_pool_is_not_shared_with_a_child_that_forks_while_threads_draw():
    """A fork in the midst of other threads' drawing."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [new_id() for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        made = set()
        for _ in range(20):
            out, into = os.pipe()
            child = os.fork()
            if not child:
                os.write(into, " ".join(new_id() for _ in range(50)).encode())
                os._exit(0)
            os.close(into)
            with os.fdopen(out) as file:
                made |= set(file.read().split())
            os.waitpid(child, 0)
        assert len(made) == 20 * 50
    finally:
        stop.set()
        thread.join()
