"""Run a flow once for each of many days or parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from flowtell import bus
from flowtell.cli import cells
from flowtell.cli.backfill_words import Span, name_of, values_of
from flowtell.cli.flow_target import find_flow
from flowtell.cli.output import Output
from flowtell.cli.progress import Advance, progress_bar
from flowtell.cli.signals import interrupted_by_signals
from flowtell.engine.backfill.book import Book
from flowtell.engine.backfill.cases import Case, cases_of
from flowtell.engine.backfill.filling import Ended, Filling
from flowtell.engine.backfill.parent import run_as_parent
from flowtell.engine.cancellation import cancelled_from_outside, say_asked_to_end
from flowtell.engine.serving.entrance import entrance_to
from flowtell.errors import BackfillFailed

app = App(name="backfill")


@app.default
def backfill(
    target: Annotated[
        str, Parameter(help="MODULE:FLOW or FILE.py:FLOW; the flow's name may be left out where it is the only one.")
    ],
    /,
    *,
    since: Annotated[str, Parameter(name="--from", help="The first date, such as 2026-11-01 or 2026-11-01T06:00.")] = "",
    until: Annotated[str, Parameter(name="--to", help="The last date, which is filled too.")] = "",
    step: Annotated[str, Parameter(help="hour, day, week, month, quarter, year, or a span such as 6h.")] = "",
    into: Annotated[str, Parameter(help="The parameter that takes the date; default: the one annotated as a date.")] = "",
    param: Annotated[
        tuple[str, ...],
        Parameter(name=["--param", "-p"], help="Values of a parameter as key=a,b,c or key=JSON-LIST; again for more."),
    ] = (),
    parallel: Annotated[int, Parameter(help="How many runs go on at a time.")] = 1,
    name: Annotated[str, Parameter(help="Names it, to go on with it later; default: from what is asked for.")] = "",
    anew: Annotated[bool, Parameter(help="Run also what is done already under this name.")] = False,
    refresh_cache: Annotated[bool, Parameter(help="Make anew what tasks would take from the cache.")] = False,
    dry_run: Annotated[bool, Parameter(help="Print the runs that are to be, and run none.")] = False,
    json: Annotated[bool, Parameter(name="--json", help="Print JSON.")] = False,
) -> int:
    """Run a flow once for each of many days or parameters, each run in a process of its own, under one parent run.

    Where several parameters have several values, each goes with each. Called again with the same words or name it runs
    what did not complete before, and nothing else. Rules say nothing of such runs. The exit code is 0 when all completed.
    """
    flow, span, output = find_flow(target), Span(since=since, until=until, step=step, into=into), Output(json=json)
    cases = cases_of(flow, values_of(flow, span, param))
    settings = bus.settings()
    book = Book.take(settings.home, settings["environment"], flow.name, name or name_of(span, param))
    try:
        if anew:
            book.forget()
        if dry_run:
            return _print_plan(output, book, cases)
        with interrupted_by_signals(say_asked_to_end), cancelled_from_outside():
            return _fill(flow, target, book, cases, output, parallel=max(parallel, 1), refresh_cache=refresh_cache)
    finally:
        book.close()


def _print_plan(output: Output, book: Book, cases: Sequence[Case]) -> int:
    plan = [("done" if case.key in book.done else "to run", case) for case in cases]
    if output.json:
        output.print_json([{"state": state, "parameters": case.parameters} for state, case in plan])
    else:
        output.print_table(("state", "parameters"), [(state, _words(case)) for state, case in plan])
    return 0


def _fill(flow: Any, target: str, book: Book, cases: Sequence[Case], output: Output, **options: Any) -> int:
    with progress_bar(output, f"Filling {book.name}") as advance:
        told = _Telling(advance, len(cases))
        filling = Filling(flow.name, entrance_to(target), book, cases, tell=told, **options)
        told.begin(filling.skipped)
        ended = run_as_parent(flow, book.name, filling) if filling.is_wanted else []
    failed = [one for one in ended if one.state != "completed"]
    _print(output, book, filling, ended, failed)
    if failed:
        raise BackfillFailed(book.name, len(failed), len(cases))
    return 0


class _Telling:
    """Moves the bar on."""

    def __init__(self, advance: Advance, total: int) -> None:
        self._advance, self._total, self._done = advance, total, 0

    def begin(self, skipped: int) -> None:
        self._done = skipped
        self._advance(self._done, self._total)

    def __call__(self, _: Ended) -> None:
        self._done += 1
        self._advance(self._done, self._total)


def _print(output: Output, book: Book, filling: Filling, ended: Sequence[Ended], failed: Sequence[Ended]) -> None:
    completed = len(ended) - len(failed)
    if output.json:
        told = [{"run": one.run, "state": one.state, "parameters": one.case.parameters} for one in ended]
        output.print_json({"name": book.name, "completed": completed, "skipped": filling.skipped, "runs": told})
        return
    before = f", {filling.skipped} were done before (--anew runs them too)" if filling.skipped else ""
    missed = f", {len(failed)} did not" if failed else ""
    output.say(f"flowtell: back-fill {book.name}: {completed} completed{missed}{before}")
    if failed:
        rows = [(cells.state(one.state), cells.short_id(one.run), _words(one.case)) for one in failed]
        output.print_table(("state", "run", "parameters"), rows)


def _words(case: Case) -> str:
    return " ".join(f"{name}={value}" for name, value in case.parameters.items())
