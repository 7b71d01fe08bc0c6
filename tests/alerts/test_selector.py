"""Which runs a selector selects: for all selectors and all runs, what an oracle with regular expressions says."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtell import events as e
from flowtell.rule_file import SELECTORS
from flowtell_alerts._rules import rule_key
from flowtell_alerts._selector import Watched, selects
from flowtell_alerts._stated import Stated, holding
from flowtell_alerts._subject import runs_of

word = st.text("ab*?!", min_size=1, max_size=3)
value = st.text("ab!", max_size=3)
values = st.lists(st.text("ab", min_size=1, max_size=3), max_size=3).map(tuple)
watched = st.builds(Watched, flow=value, environment=value, deployment=value, source=value, tags=values, owners=values)
selectors = st.dictionaries(st.sampled_from(SELECTORS), st.one_of(word, st.lists(word, min_size=1, max_size=3)))


def oracle(selector, runs):
    """Written apart: every key, every pattern, by hand."""
    for key, wanted in selector.items():
        patterns = [wanted] if isinstance(wanted, str) else wanted
        has = {"tag": runs.tags, "owner": runs.owners}.get(key)
        has = [one for one in ([getattr(runs, key)] if has is None else has) if one != ""]
        fits = {
            pattern: any(re.fullmatch(fnmatch.translate(pattern.removeprefix("!")), one) for one in has)
            for pattern in patterns
        }
        good = [fits[pattern] for pattern in patterns if pattern[0] != "!"]
        bad = [fits[pattern] for pattern in patterns if pattern[0] == "!"]
        if any(bad) or (good and not any(good)):
            return False
    return True


@given(selectors, watched)
def test_a_selector_selects_what_the_oracle_says(selector, runs):
    """Flow, tag, deployment, owner, environment and source, alone and together, with and without `!`."""
    assert selects(selector, runs) is oracle(selector, runs)


@given(selectors, watched, st.sampled_from(SELECTORS), word)
def test_one_more_key_selects_no_more(selector, runs, key, pattern):
    """Keys narrow."""
    if key not in selector and selects({**selector, key: pattern}, runs):
        assert selects(selector, runs)


@pytest.mark.parametrize("selector", [{"moon": "full"}, {"flow": 3}, {"flow": [1]}, {"flow": None}], ids=str)
def test_a_selector_that_is_not_understood_selects_nothing(selector):
    """A rule of a later release must not spread over all flows here."""
    assert not selects(selector, Watched(flow="nightly"))


stated = st.builds(
    Stated,
    st.builds(
        e.RuleData,
        kind=st.sampled_from(["failed", "too_long", "late"]),
        arguments=st.sampled_from([{"off": True}, {"bound": 1.0}, {"bound": 2.0}]),
        severity=st.sampled_from(["info", "critical", ""]),
    ),
    st.sampled_from(["tag", "file", "code"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["", "", "odd"]),
)


@given(st.lists(stated, max_size=8), st.randoms(use_true_random=False))
def test_whose_word_holds(said, random):
    """In any order the same; of each kind one place is heard, and it is the nearest that says anything of it."""
    held = holding(said)
    shuffled = random.sample(said, len(said))
    assert {_key(each) for each in holding(shuffled)} == {_key(each) for each in held}
    for kind in ("failed", "too_long", "late"):
        of_kind = [each for each in said if each.rule.kind == kind and not each.problem]
        places = [place for place in ("tag", "file", "code") if any(each.place == place for each in of_kind)]
        expected = [each for each in of_kind if each.place == places[0] and not each.is_off] if places else []
        found = [each for each in held if each.rule.kind == kind and not each.problem]
        assert sorted(map(repr, found)) == sorted(map(repr, expected))


def _key(each):
    return rule_key(runs_of("f", "e"), each.rule), each.place, each.origin, each.rule.severity, each.problem
