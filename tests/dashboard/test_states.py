"""A state is told by colour, icon and word, each enough by itself."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import get_args

import pytest

from flowtell.events import EndState, RunState
from flowtell_dashboard.states import LOOKS, UNKNOWN, look, stylesheet

# Tests are no package: what is beside this file is loaded by its path.
_spec = importlib.util.spec_from_file_location("colour", Path(__file__).with_name("colour.py"))
assert _spec
assert _spec.loader
colour = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(colour)

BACKGROUNDS = {"light": ("#ffffff", "#f6f7f9"), "dark": ("#1d1f22", "#141517")}


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0),
        ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
        ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ],
    ids=["blue", "bluer", "far", "dark"],
)
def test_the_measure_agrees_with_the_published_examples(one, other, apart):
    """Rows of table 1 of the paper that gives the formula."""
    assert colour.ciede2000(one, other) == pytest.approx(apart, abs=1e-4)


def test_every_state_of_the_wire_has_a_look():
    assert set(LOOKS) == {*get_args(RunState), *get_args(EndState), "late"}


@pytest.mark.parametrize("eye", list(colour.EYES))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_two_states_are_told_apart_by_colour_alone(scheme, eye):
    """CIEDE2000 above 10, for eyes of every kind."""
    shades = {state: colour.seen(getattr(shown, scheme), eye) for state, shown in LOOKS.items()}
    apart = {pair: colour.ciede2000(*(shades[state] for state in pair)) for pair in itertools.combinations(shades, 2)}
    closest = min(apart, key=apart.__getitem__)
    assert apart[closest] > 10, closest


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_icon_stands_out_from_its_background(scheme):
    """WCAG 1.4.11: at least 3 to 1."""
    for state, shown in [*LOOKS.items(), ("unknown", UNKNOWN)]:
        for background in BACKGROUNDS[scheme]:
            assert colour.contrast(getattr(shown, scheme), background) >= 3, state


def test_no_two_states_share_a_word_or_an_icon():
    assert len({shown.word for shown in LOOKS.values()}) == len(LOOKS)
    assert len({shown.icon for shown in LOOKS.values()}) == len(LOOKS)


def test_a_state_of_tomorrow_keeps_its_own_word():
    assert look("on_hold").word == "On hold"
    assert look("").word == "Unknown"


def test_the_stylesheet_has_a_rule_for_each():
    css = stylesheet()
    assert all(f'[data-state="{state}"]' in css for state in LOOKS)
    assert "</" not in css
