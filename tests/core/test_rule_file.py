"""Rules of a file: each slip is named with its line and the closest word; what is right becomes plain data."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtell import rules
from flowtell.cli.config import file_schema
from flowtell.errors import BadValue, ConfigError, UnknownKey
from flowtell.rule_file import SELECTORS, read_rules, rule_of
from flowtell.rules import KINDS, failed, too_long


@pytest.fixture
def read(tmp_path):
    """Write a file and read its rules."""

    def write_and_read(text, name="flowtell.toml"):
        (tmp_path / name).write_text(text)
        return read_rules(str(tmp_path / name))

    return write_and_read


def test_a_table_is_the_rule_that_code_would_state(read):
    """With the same defaults, its selector as lists, and the line on which it begins."""
    first, second = read(
        '# ours\nenvironment = "prod"\n\n[[rules]]\nkind = "failed"\n\n  [[ rules ]]\nkind = "too_long"\nbound = "1h 30m"\n'
        'flow = "a*"\ntag = ["x", "!y"]\nseverity = "critical"\nrunbook = "https://x"\n[rules.labels]\nteam = "growth"\n'
    )
    assert first.rule == failed()
    assert first.origin.endswith("flowtell.toml:4")
    expected = too_long("90m", severity="critical", runbook="https://x", labels={"team": "growth"})
    assert second.rule == msgspec.structs.replace(expected, selector={"flow": ["a*"], "tag": ["x", "!y"]})
    assert second.origin.endswith("flowtell.toml:7")


def test_rules_of_pyproject(read):
    """Under `[[tool.flowtell.rules]]`; what other tools have there is theirs."""
    (found,) = read('[[rules]]\nkind = "x"\n[[tool.flowtell.rules]]\nkind = "failed"\n', "pyproject.toml")
    assert found.rule == failed()


def test_lines_are_told_only_where_they_are_sure(read):
    """An inline list, and a header inside a text."""
    assert read('rules = [{kind = "failed"}]\n')[0].origin.endswith("flowtell.toml")
    text = 'environment = """\n[[rules]]\n"""\n[[rules]]\nkind = "failed"\n'
    assert read(text)[0].origin.endswith("flowtell.toml")


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        ("", BadValue, "each rule names its kind"),
        ('kind = "faled"', BadValue, "did you mean 'failed'"),
        ("kind = 3", BadValue, "names its kind"),
        ('kind = "too_long"', BadValue, "write a bound"),
        ('kind = "too_long"\nbond = "3m"', UnknownKey, "Did you mean 'bound'"),
        ('kind = "too_long"\nbound = "soon"', BadValue, "no span of time"),
        ('kind = "too_long"\nbound = inf', BadValue, "no number"),
        ('kind = "too_long"\nbound = true', BadValue, "Expected"),
        ('kind = "failed"\nconsecutive = 0', BadValue, "from 1 to 100"),
        ('kind = "failed"\nconsecutive = 1.5', BadValue, "Expected"),
        ('kind = "failed"\ntags = "x"', UnknownKey, "Did you mean 'tag'"),
        ('kind = "stale"\nflwo = "x"', UnknownKey, "Did you mean 'flow'"),
        ('kind = "late"\nafter = "soon"', BadValue, "after: 'soon' is no span of time"),
        ('kind = "deadline"', BadValue, "needs it"),
        ('kind = "deadline"\nat = "6:30"\ntz = "Europe/Berln"', BadValue, "did you mean 'Europe/Berlin'"),
        ('kind = "too_long"\nquantile = 0.95\nbound = "1h"', BadValue, "leave out quantile, or the bound"),
        ('kind = "measured"\nname = "rows"', BadValue, "below=, above= or outside="),
        ('kind = "measured"\nname = "rows"\nbelow = "few"', BadValue, "Expected"),
        ('kind = "budget"\nsuccess = "most"', BadValue, "write 0.99 or '99%'"),
        ('kind = "stale"\nasset = "s3://lake/a"', BadValue, "one of the two"),
        ('kind = "stale"\nby = "25:00"', BadValue, "bad hour"),
        ('kind = "absent"\nevent = "flow_run.started"\nwithin = "1h"', BadValue, "flowtell's own"),
        ('kind = "blind"\nafter = 0', BadValue, "not between 1s and 3650d"),
        ('kind = "failed"\nflow = 3', BadValue, "no pattern"),
        ('kind = "failed"\nflow = []', BadValue, "no pattern"),
        ('kind = "failed"\nseverity = "loud"', BadValue, "none of info"),
        ('kind = "failed"\nlabels = "x"', BadValue, "Expected"),
        ('kind = "failed"\noff = "yes"', BadValue, "not true or false"),
        ('kind = "failed"\noff = true\nconsecutive = 2', BadValue, "no arguments"),
    ],
)
def test_a_slip_is_named_with_its_place(read, table, error, says):
    """On its line, in words that tell what to write."""
    with pytest.raises(error, match=says) as caught:
        read(f"\n[[rules]]\n{table}\n")
    assert "flowtell.toml:2" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["rules = 3", "rules = [1]", "[rules", "\udcff"], ids=["number", "numbers", "torn", "bytes"]
)
def test_a_file_that_cannot_be_read(tmp_path, text):
    """No list, no TOML, no UTF-8, no file."""
    (tmp_path / "flowtell.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    for path in (tmp_path / "flowtell.toml", tmp_path / "none.toml"):
        with pytest.raises(BadValue):
            read_rules(str(path))


@pytest.mark.parametrize(
    ("table", "stated"),
    [
        ('kind = "late"\nafter = "15m"', rules.late("15m")),
        ('kind = "late"', rules.late()),
        ('kind = "too_long"\nquantile = 0.9\nfactor = 2', rules.too_long(quantile=0.9, factor=2)),
        ('kind = "deadline"\nat = "6:30"\ndays = "mon-fri"', rules.deadline("06:30", days="mon-fri")),
        (
            'kind = "stale"\nasset = "s3://a/*"\nby = "7:00"\ntz = "Asia/Tokyo"',
            rules.stale("s3://a/*", by="7:00", tz="Asia/Tokyo"),
        ),
        ('kind = "failed"\nonly = ["A", "B"]\nrecovery = 2', rules.failed(only=["A", "B"], recovery=2)),
        ('kind = "failed"\nonly = "A"', rules.failed(only="A")),
        ('kind = "measured"\nname = "rows"\nbelow = 1000', rules.measured("rows", below=1000)),
        ('kind = "budget"\nsuccess = "99%"\nwindows = ["7d"]', rules.budget(0.99, windows="7d")),
        ('kind = "absent"\nevent = "a.b"\nwithin = "1h"', rules.absent("a.b", within=3600)),
        ('kind = "blind"', rules.blind()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_can_be_stated_in_a_file(read, table, stated):
    """With the arguments and defaults that its function has in code."""
    (found,) = read(f"[[rules]]\n{table}\n")
    assert found.rule == stated


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_keys = st.sampled_from(
    [
        "kind",
        "bound",
        "consecutive",
        "after",
        "off",
        "severity",
        "labels",
        "runbook",
        *SELECTORS,
        "at",
        "within",
        "by",
        "windows",
        "success",
        "event",
        "name",
        "below",
        "only",
        "days",
        "tz",
        "x",
    ]
)


@given(st.dictionaries(_keys, _value), st.sampled_from([*KINDS, None]))
def test_any_table_is_a_rule_or_a_named_slip(table, kind):
    """Whatever a file holds, nothing else is raised, and what is taken can be written into the log."""
    said = {**table, "kind": kind} if kind else table
    try:
        rule = rule_of(said, "flowtell.toml:1")
    except ConfigError:
        with pytest.raises(ConfigError, match=r"flowtell\.toml:1"):
            rule_of(said, "flowtell.toml:1")
    else:
        assert msgspec.json.decode(msgspec.json.encode(rule), type=type(rule)).kind == rule.kind


def test_editors_know_the_keys():
    """The JSON Schema of the file names kinds and selectors."""
    rule = file_schema()["properties"]["rules"]["items"]
    assert rule["properties"]["kind"]["enum"] == list(KINDS)
    assert set(SELECTORS) <= set(rule["properties"])
    assert {"bound", "quantile", "only", "windows", "within", "by", "tz", "event", "asset", "at"} <= set(rule["properties"])
    assert rule["properties"]["within"]["description"] == "Of stale, absent."
    assert {"type": "number"} in rule["properties"]["below"]["anyOf"]
