"""A view of the runs is a link, and whatever is typed into one does no harm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell_dashboard.filters import LONGEST, WINDOWS, RunFilter
from flowtell_dashboard.states import LOOKS

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=LONGEST)
filters = st.builds(
    RunFilter,
    state=st.lists(st.sampled_from(sorted(LOOKS)), unique=True).map(tuple),
    flow=text,
    environment=text,
    text=text,
    since=st.sampled_from(sorted(WINDOWS)),
)


@settings(deadline=None)  # a machine of tests may be slow
@given(filters)
def test_a_filter_survives_its_link(wanted):
    """For all filters."""
    assert RunFilter.of(wanted.link().partition("?")[2]) == wanted


@settings(deadline=None)  # a machine of tests may be slow
@given(st.text())
def test_any_address_is_some_filter(search):
    """For all texts after the question mark; the place, where there is one, is whole."""
    wanted = RunFilter.of(search)
    assert wanted.since in WINDOWS
    assert wanted.place is None or len(wanted.place) == 2


def test_no_filter_is_the_plain_address():
    assert RunFilter().link() == "/"
    assert RunFilter.of(None) == RunFilter()


def test_the_next_page_begins_after_a_run_with_or_without_a_start():
    assert RunFilter().after((17, "ab")).place == (17, "ab")
    assert RunFilter().after((None, "ab")).place == (None, "ab")
    assert RunFilter(flow="x").after((17, "ab")).newest() == RunFilter(flow="x")


@pytest.mark.parametrize("before", ["", "x.ab", "17", "-3.ab", "²2.ab", "9" * 60 + ".ab"], ids=range(6))
def test_a_place_that_nobody_made_is_the_first_page_or_beyond_all(before):
    place = RunFilter(before=before).place
    assert place is None or place[0] is not None


def test_the_window_ends_now():
    assert RunFilter(since="1h").begins(3_600_000_000) == 0
    assert RunFilter(since="any").begins(5) is None
