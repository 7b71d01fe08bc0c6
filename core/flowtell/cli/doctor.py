"""Check what flowtell needs here, a line each, with the command that mends what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App

from flowtell.cli.checks import Check, run_checks
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.outcome import WRONG
from flowtell.cli.output import Output
from flowtell.config import load

app = App(name="doctor")

_SIGNS = {"ok": ("✔", "green"), "warn": ("▲", "yellow"), "fail": ("✘", "bold red")}
_NAME_WIDTH = 13


@app.default
def doctor(*, json: Json = False) -> int:
    """Check what flowtell needs here, a line each, with the command that mends what is wrong.

    The exit code is 1 when a check failed; a warning is none.
    """
    log_to_stderr()
    output = Output(json=json)
    found: list[Check] = []
    for check in run_checks(load):
        found.append(check)
        if not json:
            _print(output, check)
    if json:
        output.print_json(found)
    return WRONG if _failed(found) else 0


def _failed(found: Sequence[Check]) -> bool:
    return any(check.verdict == "fail" for check in found)


def _print(output: Output, check: Check) -> None:
    if not output.rich:
        output.print_row((check.name, check.verdict, check.message, check.mend))
        return
    from rich.table import Table
    from rich.text import Text

    sign, style = _SIGNS[check.verdict]
    found = Text(check.message)
    if check.mend:
        found.append(f"\n→ {check.mend}", "cyan")
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=_NAME_WIDTH)
    line.add_row(Text(sign, style), Text(check.name, "bold"), found)
    output.console.print(line)
