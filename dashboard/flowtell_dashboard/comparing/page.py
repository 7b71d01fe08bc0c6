"""The page `/compare`: a run beside another of its flow, by what the core's read models tell of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode

import msgspec
from dash import html

from flowtell.errors import RunNotFound
from flowtell.events import encode_value
from flowtell.store.reading import Run, get_run, list_runs, list_task_runs
from flowtell_dashboard import pieces
from flowtell_dashboard.comparing.aligned import Pair, Stretch, aligned
from flowtell_dashboard.export.settled import lasted
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.told.sections import table
from flowtell_dashboard.told.story import Measure, read_story

if TYPE_CHECKING:
    from flowtell.store.reading import Read

PARTS: Final = (("compare-head", "children"), ("compare-body", "children"), ("compare", "data-title"))
"""What is filled in, in the order in which it is told."""

TASK_RUNS: Final = 10_000
OTHERS: Final = 20
"""Runs that are offered to compare with, the newest of the flow."""
ROWS: Final = 200
_LONGEST: Final = 300


class Wanted(msgspec.Struct, frozen=True):
    """Which two; by default the run before is the other one."""

    run: str = ""
    other: str = ""

    @classmethod
    def of(cls, search: str | None) -> Wanted:
        """What the part of a URL after `?` says."""
        try:
            given = parse_qs((search or "").removeprefix("?"), max_num_fields=10)
        except ValueError:
            given = {}
        return cls(*(given.get(name, [""])[-1][:64] for name in ("run", "with")))


def address(run: str, other: str = "") -> str:
    """The page of these two."""
    return "/compare?" + urlencode({"run": run, "with": other} if other else {"run": run})


class ComparePage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    body: Any
    title: str


def layout() -> Any:
    """The empty page."""
    return html.Article([html.Div(id="compare-head"), html.Div(id="compare-body")], id="compare")


def read_compare_page(read: Read, wanted: Wanted, now: int) -> ComparePage:
    """A handful of bounded queries. Of runs that are not there it says so."""
    try:
        run = get_run(read, wanted.run)
        others = _others(read, run)
        other = get_run(read, wanted.other) if wanted.other else next(iter(others), None)
    except RunNotFound as error:
        return ComparePage(_missing(error), None, "Run not found")
    head = _head(run, other, others)
    if other is None:
        return ComparePage(head, _alone(run), f"Compare {run.name or run.flow}")
    mine, its = (list_task_runs(read, each.id, limit=TASK_RUNS) for each in (run, other))
    pairs = aligned(mine, its, (run.started or now, other.started or now), now)
    measures = [read_story(read, each.id).measures for each in (run, other)]
    body = [_facts(run, other, now), _parameters(run, other), _measures(*measures), _tasks(pairs)]
    return ComparePage(head, body, f"Compare {run.name or run.flow}")


def _others(read: Read, run: Run) -> list[Run]:
    """Runs of the flow, those before this one first: what changed is asked of them."""
    flow, environment = run.flow, run.environment
    begun = run.started is not None
    before = list_runs(read, flow=flow, environment=environment, before=run.place, limit=OTHERS) if begun else []
    newest = list_runs(read, flow=flow, environment=environment, limit=OTHERS)
    return list({each.id: each for each in (*before, *newest) if each.id != run.id}.values())[:OTHERS]


def _missing(error: RunNotFound) -> Any:
    asked = html.P(["Asked for: ", html.Code(error.wanted[:200] or "nothing")])
    why = html.P("No run has this id, or several begin with it. It may have been pruned.")
    return pieces.notice(html.H1("Run not found"), asked, why, html.P(pieces.link("See all runs", "/")))


def _alone(run: Run) -> Any:
    said = f"{run.flow} has not run before in this environment; as soon as it has run again, it can be compared."
    return pieces.notice(html.H2("Nothing to compare with"), html.P(said))


# --- above --------------------------------------------------------------------------------------------------------


def _head(run: Run, other: Run | None, others: Sequence[Run]) -> Any:
    crumbs = html.Nav(
        [
            pieces.link("Runs", "/"),
            html.Span("/", **attributes(aria_hidden="true")),
            pieces.link(run.flow, f"/runs/{run.id}"),
        ],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    swap = [pieces.link("Swap", address(other.id, run.id))] if other else []
    title = html.Div([html.H1(f"{run.flow}: two runs"), html.Span(swap, className="links")], className="title")
    choices = [
        html.Li(
            [pieces.link(["with ", pieces.moment(each.started)], address(run.id, each.id)), " ", pieces.state(each.state)]
        )
        for each in others
        if other is None or each.id != other.id
    ]
    more = (
        html.Details([html.Summary("Compare with another run"), html.Ul(choices)], className="others") if choices else None
    )
    return html.Header([crumbs, title, more])


# --- below --------------------------------------------------------------------------------------------------------


_COLUMNS: Final = ("", "This run", "The other", "Difference")


def _facts(run: Run, other: Run, now: int) -> Any:
    took = [_took(each, now) for each in (run, other)]
    rows: list[list[Any]] = [
        ["Run", *(pieces.link(each.name or each.id[:12], f"/runs/{each.id}") for each in (run, other)), ""],
        ["State", *(pieces.state(each.state) for each in (run, other)), ""],
        ["Started", *(pieces.moment(each.started) for each in (run, other)), ""],
        ["Duration", *("" if each is None else _lasted(each) for each in took), _difference(*took)],
        ["Attempts", str(run.attempts), str(other.attempts), ""],
    ]
    told = (
        ("Version", run.version, other.version),
        ("Machine", run.machine, other.machine),
        ("Error", _error(run), _error(other)),
    )
    rows += [[name, mine, its, "" if mine == its else "differs"] for name, mine, its in told if mine or its]
    return html.Section([html.H2("The runs"), table(("Fact", *_COLUMNS[1:]), rows)])


def _lasted(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else lasted(seconds)


def _took(run: Run, now: int) -> float | None:
    if run.duration is not None:
        return run.duration
    return (now - run.started) / 1e6 if run.started is not None and run.ended is None else None


def _error(run: Run) -> str:
    return f"{run.error.type}: {run.error.message}"[:_LONGEST] if run.error else ""


def _parameters(run: Run, other: Run) -> Any:
    names = dict.fromkeys((*run.parameters, *other.parameters))
    said = [[name, *(_value(each.parameters, name) for each in (run, other))] for name in names]
    rows = [[name, html.Code(mine), html.Code(its), "differs"] for name, mine, its in said if mine != its]
    same = len(said) - len(rows)
    count = html.Span(f"{len(rows)} of {len(said)} differ" if rows else f"all {same} are the same")
    if not said:
        return None
    head = html.Div([html.H2("Parameters"), count], className="section-head")
    return html.Section([head, table(("Parameter", *_COLUMNS[1:]), rows) if rows else None])


def _value(given: dict[str, Any], name: str) -> str:
    return encode_value(given[name]).decode()[:_LONGEST] if name in given else "not given"


def _measures(here: Sequence[Measure], there: Sequence[Measure]) -> Any:
    known = [{(one.task, one.name, one.unit): one.value for one in each} for each in (here, there)]
    rows = []
    for key in dict.fromkeys((*known[0], *known[1])):
        mine, its = (each.get(key) for each in known)
        label = " ".join(part for part in (key[0], key[1], f"({key[2]})" if key[2] else "") if part)
        rows.append([label, *("" if each is None else f"{each:,.6g}" for each in (mine, its)), _amount(mine, its)])
    if not rows:
        return None
    return html.Section([html.H2("Measures"), table(("Measure", *_COLUMNS[1:]), rows[:ROWS])])


def _amount(mine: float | None, its: float | None) -> str:
    if mine is None or its is None:
        return "only in one"
    return _share(f"{mine - its:+,.6g}", mine, its) if mine != its else "same"


def _difference(mine: float | None, its: float | None) -> str:
    if mine is None or its is None:
        return ""
    more = mine - its
    if abs(more) < 0.0005:
        return "same"
    sign = "+" if more > 0 else "\N{MINUS SIGN}"
    return _share(f"{sign}{_lasted(abs(more))}", mine, its)


def _share(said: str, mine: float, its: float) -> str:
    return f"{said} ({(mine - its) / its * 100:+.0f} %)" if its > 0 else said


def _tasks(pairs: Sequence[Pair]) -> Any:
    if not pairs:
        return None
    most = max((each.end for pair in pairs for each in (pair.here, pair.there) if each), default=0.0) or 1.0
    rows = [
        [_name(pair), _bars(pair, most), _seconds(pair.here), _seconds(pair.there), _words(pair)] for pair in pairs[:ROWS]
    ]
    left = f"{ROWS} of {len(pairs):,}" if len(pairs) > ROWS else f"{len(pairs):,}"
    head = html.Div([html.H2("Tasks"), html.Span(f"{left}, what differs most first")], className="section-head")
    columns = ("Task", "In time", *_COLUMNS[1:])
    return html.Section([head, table(columns, rows)], id="compare-tasks")


def _name(pair: Pair) -> str:
    runs = max(each.runs for each in (pair.here, pair.there) if each)
    many = f" \N{MULTIPLICATION SIGN}{runs:,}" if runs > 1 else ""
    return f"{pair.task}{many}" if pair.call < 2 else f"{pair.task}, call {pair.call}"


def _words(pair: Pair) -> str:
    if pair.here is None:
        return "only in the other"
    return _difference(pair.here.seconds, pair.there.seconds) if pair.there else "only in this run"


def _seconds(stretch: Stretch | None) -> Any:
    return [pieces.state(stretch.state), f" {_lasted(stretch.seconds)}"] if stretch else ""


def _bars(pair: Pair, most: float) -> Any:
    """Above this run's, below the other's, from the begin of each run; the columns beside it say the same."""
    drawn = [_bar(each, most, which) for each, which in ((pair.here, "here"), (pair.there, "there")) if each]
    return html.Span(drawn, className="pair", **attributes(aria_hidden="true"))


def _bar(stretch: Stretch, most: float, which: str) -> Any:
    left, wide = stretch.begin / most * 100, stretch.seconds / most * 100
    style = {"left": f"{min(max(left, 0), 99.5):.2f}%", "width": f"{max(wide, 0.5):.2f}%"}
    return html.I(style=style, className=which, **attributes(data_state=stretch.state))
