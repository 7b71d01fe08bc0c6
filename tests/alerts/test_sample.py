"""What is learned from the newest of many numbers, and that a few odd ones do not move it."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell_alerts._sample import Sample, learned_bound, quantile, usual

pairs = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1e6)), unique=True, max_size=60)


@settings(deadline=None)
@given(pairs, st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_newest_are_kept_whatever_the_order(given_, size, random_):
    """Shuffled and some of them twice: the same sample."""
    shuffled = given_ * 2
    random_.shuffle(shuffled)
    sample = Sample(size)
    for pair in shuffled:
        sample.add(*pair)
    assert list(sample.pairs) == sorted(given_)[-size:]
    assert list(Sample(size, sample.pairs)) == list(sample)


def test_a_sample_takes_little_memory():
    """128 durations of each of ten thousand deployments: 22 MB."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    samples = [Sample(128, ((moment, moment / 7) for moment in range(200))) for _ in range(200)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(samples) < 2_500


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.5, 0.99))
def test_a_quantile_is_one_of_the_numbers(numbers, share):
    """At least the share lies at or below it, and less than the share strictly below."""
    found = quantile(sorted(numbers), share)
    assert found in numbers
    assert sum(number <= found for number in numbers) >= share * len(numbers) - 1e-9
    assert sum(number < found for number in numbers) < share * len(numbers) + 1e-9


def test_with_too_few_nothing_is_learned():
    """Nineteen runs of twenty."""
    assert learned_bound([60.0] * 19, share=0.95, factor=1.5, least=20) is None
    assert learned_bound([60.0] * 20, share=0.95, factor=1.5, least=20) == 90.0


@pytest.mark.parametrize("hangs", [1, 5, 12])
def test_runs_that_hung_move_the_bound_by_steps_at_most(hangs):
    """Each counts as no more than the bound of its time: twelve of a week each do not make a bound of a week."""
    made = random.Random(1)
    steady = [made.gauss(60, 3) for _ in range(100)]
    before = learned_bound(steady, share=0.95, factor=1.5, least=20)
    after = learned_bound([*steady, *[7 * 86_400.0] * hangs], share=0.95, factor=1.5, least=20)
    assert before == pytest.approx(97, abs=3)
    assert after <= before * (1.05 if hangs <= 5 else 1.5**2 * 1.01)


def test_a_new_pace_is_learned():
    """From one minute to three: told of at first, usual in the end."""
    before = learned_bound([60.0] * 100 + [180.0] * 11, share=0.95, factor=1.5, least=20)
    after = learned_bound([60.0] * 100 + [180.0] * 12, share=0.95, factor=1.5, least=20)
    assert before < 180 <= after


def test_runs_of_two_kinds_are_both_usual():
    """Full runs on Sundays, which take an hour, among short ones."""
    numbers = [3600.0 if day % 7 == 0 else 60.0 for day in range(128)]
    assert learned_bound(numbers, share=0.95, factor=1.5, least=20) == 5400.0


@pytest.mark.parametrize(("size", "least", "most"), [(128, 0.90, 0.98), (20, 0.75, 0.99)])
def test_a_sample_errs_as_is_stated(size, least, most):
    """Its 0.95 quantile is a true one within the bounds, in 19 cases of 20."""
    made = random.Random(7)
    inside = 0
    for _ in range(2_000):
        found = quantile(sorted(made.random() for _ in range(size)), 0.95)
        inside += least <= found <= most
    assert inside >= 1_890


def test_odd_numbers_do_not_move_what_is_usual():
    """Fewer than half of them; and equal numbers have a spread of a hundredth."""
    assert usual([100.0] * 21 + [1e9] * 19) == (100.0, 1.0)
    middle, deviation = usual([90.0, 95.0, 100.0, 105.0, 110.0])
    assert (middle, round(deviation, 3)) == (100.0, 7.413)
    assert usual([0.0] * 10) == (0.0, 0.0)
