"""What each of the four uses saw of the tour: pages, metrics, lineage, alerts."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from flowtell.demo.process import Outcome
from flowtell.demo.stage import ENVIRONMENT, Stage
from flowtell.demo.steps import flowtell
from flowtell.store.reading import list_runs


class Sight(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one use saw, and where a person sees it."""

    use: str
    where: str
    """An address, or words for the command line."""
    figures: dict[str, Any] = {}
    words: str = ""
    saw: bool = False
    """Whether it saw what the tour has for it to see."""
    install: str = ""
    """The distribution to install, where it is missing."""


def look(stage: Stage, outcomes: Sequence[Outcome]) -> list[Sight]:
    """Ask every use, once nothing further is due."""
    stage.settle()
    return [_pages(stage, outcomes), _metrics(stage), _lineage(stage), _alerts(stage)]


def _pages(stage: Stage, outcomes: Sequence[Outcome]) -> Sight:
    if "dashboard" not in stage.plugins():
        return Sight(use="pages", where=stage.url, install="flowtell-dashboard")
    page = next((f"/runs/{outcome.run.id}" for outcome in outcomes if outcome.run and outcome.run.error), "/runs")
    overview, deep_link = (stage.get(path)[0] for path in ("/", page))
    runs = len(list_runs(stage.read, environment=ENVIRONMENT, since=stage.began, limit=1000))
    return Sight(
        use="pages",
        where=stage.url + page,
        figures={"runs": runs, "overview": overview, "deep_link": deep_link},
        words=f"{runs} runs; the page of the one that failed",
        saw=bool(runs) and (overview, deep_link) == (200, 200),
    )


_RUNS: Final = re.compile(r"^flowtell_flow_runs_total\{(.*)\} (\S+)", re.MULTILINE)
_SERIES: Final = re.compile(r"^flowtell_\w+", re.MULTILINE)


def _metrics(stage: Stage) -> Sight:
    where = f"{stage.url}/metrics"
    if "prometheus" not in stage.plugins():
        return Sight(use="metrics", where=where, install="flowtell-exporters")
    _, page = stage.get("/metrics")
    series, ends = len(_SERIES.findall(page)), _ends(page)
    shown = ", ".join(f"{count} {state}" for state, count in sorted(ends.items()))
    return Sight(
        use="metrics",
        where=where,
        figures={"series": series, "flow_runs": ends},
        words=f"{series} series; runs: {shown}",
        saw={"completed", "failed", "crashed"} <= ends.keys(),
    )


def _ends(page: str) -> dict[str, int]:
    """Ended flow runs of the environment by state, as the page counts them."""
    ends: Counter[str] = Counter()
    for labels, value in _RUNS.findall(page):
        state = re.search(r'\bstate="(\w+)"', labels)
        if state and f'environment="{ENVIRONMENT}"' in labels:
            ends[state[1]] += int(float(value))
    return dict(+ends)


def _lineage(stage: Stage) -> Sight:
    where = "lineage show"
    if "lineage" not in stage.plugins():
        return Sight(use="lineage", where=where, install="flowtell-lineage")
    graph = _told_by(stage, "lineage", "show")
    assets, edges = (len(graph.get(key, ())) for key in ("assets", "edges"))
    return Sight(
        use="lineage",
        where=where,
        figures={"assets": assets, "edges": edges},
        words=f"{assets} assets, {edges} edges",
        saw=bool(assets and edges),
    )


def _told_by(stage: Stage, *words: str) -> dict[str, Any]:
    """What a command of another distribution answers: the core knows them by their commands alone."""
    done = subprocess.run(flowtell(*words, "--json"), env=stage.environ, capture_output=True, check=False)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def _alerts(stage: Stage) -> Sight:
    where = "alerts list --all"
    if not {"alerts", "notifications"} <= stage.plugins():
        return Sight(use="alerts", where=where, install="flowtell-alerts")
    types = ("incident.opened", "incident.resolved", "notification.sent")
    found = Counter(event["type"] for event in stage.events(*types))
    opened, resolved, told = (found[kind] for kind in types)
    return Sight(
        use="alerts",
        where=where,
        figures={"opened": opened, "resolved": resolved, "notified": told},
        words=f"{opened} opened, {resolved} resolved, {told} messages sent",
        saw=bool(opened and resolved and told),
    )
