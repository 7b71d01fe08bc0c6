"""Rules as `flowtell alerts rules` shows them."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import basename
from typing import Final

from flowtell.cli import cells
from flowtell.events import RuleData
from flowtell_alerts.reading import FileRule, RuleStatus

RULE_COLUMNS: Final = ("flow", "environment", "rule", "severity", "stated by", "where", "found")

_NOBODY: Final = "holds for no runs known so far"


def rule_row(status: RuleStatus) -> tuple[cells.Value, ...]:
    runs = flow_and_deployment(status.flow, status.deployment) or "-"
    name = runs if status.about == "flow" else f"{status.about} {status.subject_name}"
    return (
        cells.Cell(name, name),
        status.environment,
        cells.Cell(_asked(status.rule), _asked(status.rule)),
        status.rule.severity,
        status.place,
        cells.Cell(status.origin, basename(status.origin) if status.place != "tag" else status.origin),
        _found(status),
    )


def flow_and_deployment(flow: str, deployment: str) -> str:
    """As Prefect spells it: `flow/deployment`."""
    return f"{flow}/{deployment}" if deployment else flow


def _asked(rule: RuleData) -> str:
    """Such as `too_long bound=1800`."""
    arguments = [f"{name}={_short(value)}" for name, value in sorted(rule.arguments.items())]
    return " ".join([rule.kind, *arguments])


def _short(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _found(status: RuleStatus) -> cells.Cell:
    text = status.verdict or "not judged yet"
    style = {True: "green", False: "red", None: "dim"}[status.holds]
    return cells.Cell(text, text, style, whole=False)


def without_runs(stated: Iterable[FileRule], found: Iterable[RuleStatus]) -> list[RuleStatus]:
    """The rules of a file that hold for nothing yet: shown, so that nobody takes them for kept."""
    used = {each.origin for each in found if each.place == "file"}
    return [_idle(each) for each in stated if each.origin not in used and not each.rule.arguments.get("off")]


def _idle(stated: FileRule) -> RuleStatus:
    return RuleStatus(
        key="",
        flow="",
        environment="",
        rule=stated.rule,
        verdict=_NOBODY,
        holds=None,
        changed=None,
        place="file",
        origin=stated.origin,
    )
