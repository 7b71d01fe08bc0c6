"""Rules as plain data: what each function takes, what it refuses and in which words."""

from __future__ import annotations

import inspect

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtell
from flowtell import rules
from flowtell.events import RuleData


def test_every_kind_has_a_function_and_a_name_of_the_package():
    """As SURFACE lists them: `from flowtell import late, too_long, …`."""
    for kind in rules.KINDS:
        assert getattr(flowtell, kind) is getattr(rules, kind)
        assert kind in flowtell.__all__
        assert "Reference:" in (getattr(rules, kind).__doc__ or "")


EXAMPLES = {
    "late": (rules.late("15m"), {"after": 900.0}),
    "late, as its schedule says": (rules.late(), {}),
    "too_long": (rules.too_long("30m"), {"bound": 1800.0}),
    "too_long, learned": (rules.too_long(quantile=0.95), {"quantile": 0.95, "factor": 1.5, "min_runs": 20}),
    "deadline": (rules.deadline("6:30", "Europe/Berlin"), {"at": "06:30", "tz": "Europe/Berlin", "days": "*"}),
    "stale": (rules.stale("s3://a", within="26h"), {"asset": "s3://a", "within": 93600.0}),
    "stale, by a time": (rules.stale(by="7:00", cached=True), {"by": "0 7 * * *", "tz": "UTC", "cached": True}),
    "failed": (rules.failed(), {"consecutive": 1}),
    "failed, each": (rules.failed(every=True), {"consecutive": 1, "every": True}),
    "failed, by error": (
        rules.failed(consecutive=3, only="TimeoutError", ignore=["A", "B"], recovery=2),
        {"consecutive": 3, "only": ["TimeoutError"], "ignore": ["A", "B"], "recovery": 2},
    ),
    "measured": (rules.measured("rows", below=1000), {"name": "rows", "below": 1000.0}),
    "measured, outside": (
        rules.measured("cost", outside=5, task="ask", fold="sum", missing=False),
        {"name": "cost", "outside": 5.0, "min_runs": 20, "task": "ask", "fold": "sum", "missing": False},
    ),
    "budget": (
        rules.budget("99.5%", windows=["7d", "1d"]),
        {"success": 0.995, "windows": [86400.0, 604800.0], "min_runs": 20},
    ),
    "absent": (rules.absent("a.b", within="1h", since="start"), {"event": "a.b", "within": 3600.0, "since": "start"}),
    "absent, by a cron line": (rules.absent("a.b", by="0 7 * * 1-5"), {"event": "a.b", "by": "0 7 * * 1-5", "tz": "UTC"}),
    "blind": (rules.blind("10m"), {"after": 600.0}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rule_is_plain_data(name):
    """Its arguments in seconds and numbers, defaults that are not said left out; it survives the wire."""
    rule, arguments = EXAMPLES[name]
    assert rule.arguments == arguments
    assert msgspec.json.decode(msgspec.json.encode(rule), type=RuleData) == rule


SLIPS = [
    (lambda: rules.late("soon"), "after: 'soon' is no span"),
    (lambda: rules.late(-1), "after: -1 is negative"),
    (rules.too_long, "quantile=0.95 to have it learned"),
    (lambda: rules.too_long("1h", factor=2), "leave out factor, or the bound"),
    (lambda: rules.too_long(quantile=95), "quantile: 95 is not between 0.5 and 0.99"),
    (lambda: rules.too_long(quantile=0.95, min_runs=1000), "min_runs counts runs"),
    (lambda: rules.too_long("20y"), "no span"),
    (lambda: rules.too_long(float("inf")), "not between"),
    (lambda: rules.too_long(float("nan")), "not between"),
    (lambda: rules.deadline("25:00"), "write it as '06:30'"),
    (lambda: rules.deadline("noon"), "write it as '06:30'"),
    (lambda: rules.deadline("6:30", "Mars/Crater"), "no time zone"),
    (lambda: rules.deadline("6:30", days="never"), "bad day-of-week"),
    (lambda: rules.failed(consecutive=0), "from 1 to 100"),
    (lambda: rules.failed(consecutive=1.5), "from 1 to 100"),
    (lambda: rules.failed(consecutive=2, every=True), "leave out consecutive, or every"),
    (lambda: rules.failed(only=[""]), "only holds names such as"),
    (lambda: rules.failed(recovery=101), "recovery counts runs"),
    (lambda: rules.measured("rows"), "below=, above= or outside="),
    (lambda: rules.measured("", below=1), "known by its name"),
    (lambda: rules.measured("rows", below="1"), "below is a number"),
    (lambda: rules.measured("rows", below=2, above=1), "every number is below 2 or above 1"),
    (lambda: rules.measured("rows", outside=0), "more than none"),
    (lambda: rules.measured("rows", below=1, min_runs=5), "a fixed bound needs none"),
    (lambda: rules.measured("rows", below=1, fold="mean"), "none of last, sum, min, max"),
    (lambda: rules.budget(99), "write 0.99 or '99%'"),
    (lambda: rules.budget("much"), "write 0.99 or '99%'"),
    (lambda: rules.budget(windows=[]), "from one to 4 spans"),
    (lambda: rules.budget(windows="1m"), "not between 5m and 90d"),
    (lambda: rules.stale("s3://a"), "one of the two"),
    (lambda: rules.stale("s3://a", within="1d", by="7:00"), "one of the two"),
    (lambda: rules.stale(by="seven"), "no time of day such as '07:00' and no cron line"),
    (lambda: rules.absent("run", within="1h"), "it has a dot"),
    (lambda: rules.absent("flow_run.started", within="1h"), "flowtell's own"),
    (lambda: rules.absent("a.b", by="7:00", since="start"), "write within="),
    (lambda: rules.absent("a.b", within="1h", since="then"), "none of event, start"),
    (lambda: rules.blind(0), "not between 1s and 3650d"),
    (lambda: rules.failed(severity="loud"), "none of info"),
]


@pytest.mark.parametrize(("make", "says"), SLIPS, ids=range(len(SLIPS)))
def test_a_slip_says_what_to_write_instead(make, says):
    """With a ValueError, where the flow is written."""
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        make()


@settings(deadline=None)
@given(st.sampled_from(rules.KINDS), st.data())
def test_whatever_is_given_becomes_a_rule_or_a_value_error(kind, data):
    """No function raises anything else for values of the types that a file can hold."""
    maker = getattr(rules, kind)
    value = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.lists(st.text(max_size=4), max_size=3)
    )
    names = data.draw(st.lists(st.sampled_from(list(inspect.signature(maker).parameters)), unique=True))
    given_ = {name: data.draw(value) for name in names if name not in ("labels", "runbook")}
    try:
        made = maker(**given_)
    except (ValueError, TypeError):  # a TypeError is Python's own: an argument that is missing, or no list
        return
    assert msgspec.json.decode(msgspec.json.encode(made), type=RuleData).kind == kind
