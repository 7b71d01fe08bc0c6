"""What a deployment's tags say, and whose word holds of which topic."""

from __future__ import annotations

import pytest

from flowtell import rules
from flowtell.events import RuleData
from flowtell_alerts._stated import Stated, holding
from flowtell_alerts._tags import said_by

SPELLINGS = {
    "flowtell.late=15m": rules.late("15m"),
    "flowtell.max=30m": rules.too_long("30m"),
    "flowtell.max=learned": rules.too_long(quantile=0.95),
    "flowtell.deadline=6:30": rules.deadline("06:30"),
    "flowtell.deadline=06:30 Europe/Berlin mon-fri": rules.deadline("06:30", "Europe/Berlin", days="mon-fri"),
    "flowtell.stale=26h": rules.stale(within="26h"),
    "flowtell.stale=7:00 Asia/Tokyo": rules.stale(by="7:00", tz="Asia/Tokyo"),
    "flowtell.failed=3": rules.failed(consecutive=3),
    "flowtell.measured=rows<1000": rules.measured("rows", below=1000),
    "flowtell.measured=cost > 2.5": rules.measured("cost", above=2.5),
    "flowtell.measured=rows~5": rules.measured("rows", outside=5),
    "flowtell.budget=99%": rules.budget(0.99),
    "flowtell.absent=shop.orders.exported 26h": rules.absent("shop.orders.exported", within="26h"),
    "flowtell.blind=10m": rules.blind("10m"),
}


@pytest.mark.parametrize("tag", SPELLINGS)
def test_a_tag_is_the_rule_that_code_would_state(tag):
    """Each kind has a short spelling."""
    (found,) = said_by([tag]).stated
    assert (found.rule, found.problem) == (SPELLINGS[tag], "")


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("flowtell.max=", "no span of time"),
        ("flowtell.deadline=noon", "write it as '06:30'"),
        ("flowtell.stale=soon", "no span of time"),
        ("flowtell.measured=rows", "write rows<1000"),
        ("flowtell.budget=most", "write 0.99 or '99%'"),
        ("flowtell.absent=shop.done", "no span of time"),
        ("flowtell.failed=often", "write a number such as 3"),
        ("flowtell.fresh=1h", "tags are flowtell.late"),
    ],
)
def test_a_tag_that_cannot_be_read_says_what_to_write(tag, says):
    """It is kept, to be shown, and states nothing."""
    (found,) = said_by([tag]).stated
    assert says in found.problem


def stated(place: str, *given: RuleData) -> list[Stated]:
    return [Stated(rule, place) for rule in given]


def test_of_measures_assets_and_events_each_is_a_topic():
    """A file that speaks of rows takes the place of what code says of rows, and leaves what it says of cost."""
    code = stated("code", rules.measured("rows", below=1), rules.measured("cost", above=9), rules.too_long("1h"))
    file = stated("file", rules.measured("rows", below=100))
    held = [each.rule for each in holding([*code, *file])]
    assert sorted(rule.arguments.get("name", rule.kind) for rule in held) == ["cost", "rows", "too_long"]
    assert rules.measured("rows", below=100) in held


def test_off_is_said_of_a_whole_kind():
    """Nothing farther off of that kind holds, whatever it speaks of; what the same place says does."""
    off = Stated(RuleData(kind="measured", arguments={"off": True}), "file")
    code = stated("code", rules.measured("rows", below=1), rules.failed())
    file = stated("file", rules.measured("cost", above=9))
    assert {each.rule.kind for each in holding([*code, off])} == {"failed"}
    assert rules.measured("cost", above=9) in [each.rule for each in holding([*code, *file, off])]
