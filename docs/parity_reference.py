"""Writes docs/reference/parity.md: what Prefect's scripts use, beside what is here. Run by `make docs`.

Prefect's side is docs/parity/prefect.json, which its own package told; ours is looked up in the code; why something is not
here is docs/parity/not_here.toml. Nothing is counted as the same that is not found by its name.
"""

from __future__ import annotations

import importlib
import inspect
import json
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flowtell.engine import options
from flowtell.engine.deployments import DeploymentOptions

FOLDER = Path(__file__).parent / "parity"
PAGE = Path(__file__).parent / "reference" / "parity.md"

OURS = {
    "prefect.flows.Flow": "flowtell.Flow",
    "prefect.tasks.Task": "flowtell.Task",
    "prefect.tasks": "flowtell",
    "prefect.futures.PrefectFuture": "flowtell.futures.Future",
    "prefect.futures.PrefectFutureList": "flowtell.futures.FutureList",
    "prefect.events": "flowtell",
    "prefect.concurrency.sync": "flowtell",
    "prefect.concurrency.asyncio": "flowtell",
    "prefect.task_runners": "flowtell",
    "prefect.input": "flowtell",
    "prefect.logging": "flowtell",
    "prefect.blocks.system": "flowtell",
    "prefect.testing.utilities.prefect_test_harness": "flowtell.testing.harness",
    "prefect.cache_policies.Inputs": "flowtell.cache_policies.Inputs",
}
"""Where something is that does not have Prefect's own path below `flowtell`; the longest beginning goes."""

TYPED: dict[str, tuple[type, ...]] = {
    "prefect.flow": (options.FlowOptions,),
    "prefect.flows.Flow.with_options": (options.FlowOptions,),
    "prefect.task": (options.TaskOptions,),
    "prefect.tasks.Task.with_options": (options.MaterializeOptions,),
    "prefect.flows.Flow.to_deployment": (DeploymentOptions,),
    "prefect.flows.Flow.serve": (DeploymentOptions,),
}
"""What takes its keywords as a typed dictionary, beside those of its signature."""

OF_CALLS = {
    "prefect.flows.Flow.__call__": ("return_state", "wait_for"),
    "prefect.tasks.Task.__call__": ("return_state", "wait_for"),
    "prefect.tasks.Task.submit": ("return_state", "wait_for"),
    "prefect.tasks.Task.map": ("return_state", "wait_for"),
}
"""Keywords among a function's own arguments, which no signature shows; tests of what they do are in tests/parity."""

INTRODUCTION = """\
# Beside Prefect {version}

<!-- Written by docs/parity_reference.py: `make docs`. Why something is not here is in docs/parity/not_here.toml. -->

What scripts for Prefect {version} use, keyword by keyword: the same here, or not here and why. Prefect's names, keywords and
defaults are facts that its package told (`make parity`, docs/parity/prefect.json); ours are looked up in the code. Tests in
`tests/parity` show that a keyword that is the same does something, and run ordinary scripts under both.

Of {keywords} keywords {same} are the same, of {names} names {there}. A script changes its imports: `prefect.x` is
`flowtell.x`, unless the headings below say otherwise. What else differs: ids are 32 hex digits, and there is no client; a
flow without a name has its function's, underscores and all; a task run that does not begin because another failed ends as
`skipped`; one that completed stays so when its transaction is rolled back.
"""


class Row(NamedTuple):
    """One keyword or name."""

    name: str
    default: str | None
    """Prefect's."""
    here: str
    """Where or how it is here; empty where it is not."""
    reason: str
    """Why not; empty where it is."""


@cache
def prefect() -> dict[str, Any]:
    """What Prefect's package told."""
    told: dict[str, Any] = json.loads((FOLDER / "prefect.json").read_text())
    return told


@cache
def reasons() -> dict[str, dict[str, str]]:
    """By table, by pattern: `[keywords]` such as `prefect.flow(viz_*)`, `[names]` such as `prefect.context.*`."""
    return tomllib.loads((FOLDER / "not_here.toml").read_text())


def our_path(path: str) -> str:
    for theirs in sorted(OURS, key=len, reverse=True):
        if path == theirs or path.startswith(f"{theirs}."):
            return OURS[theirs] + path.removeprefix(theirs)
    return "flowtell" + path.removeprefix("prefect")


def find(path: str) -> Any:
    """What stands at a dotted path of ours, or None."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if part not in dir(thing) and part not in getattr(thing, "__annotations__", {}):
                return None
            thing = getattr(thing, part, None)
        return _NONE if thing is None else thing
    return None


_NONE = object()
"""What is there and is None."""


def our_keywords(path: str) -> dict[str, str | None]:
    """Each keyword that ours takes, with its default as text; None where it has none or nobody can tell."""
    thing = find(our_path(path))
    if thing is None:
        return {}
    taken: dict[str, str | None] = {}
    for one in inspect.signature(thing).parameters.values():
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            taken[one.name] = None if one.default is one.empty else repr(one.default)
    for kind in TYPED.get(path, ()):
        taken |= dict.fromkeys(kind.__annotations__)
    return taken | dict.fromkeys(OF_CALLS.get(path, ()))


def keyword_rows(path: str, given: list[Mapping[str, str]]) -> Iterator[Row]:
    ours, why = our_keywords(path), reasons()["keywords"]
    for one in given:
        name, default = one["name"], one.get("default")
        if name not in ours:
            yield Row(name, default, "", reason(why, f"{path}({name})"))
            continue
        mine = ours[name]
        differs = mine not in (None, default) and default is not None and default != "not set"
        yield Row(name, default, f"the same; by default {_code(mine)}" if differs else "the same", "")


def name_rows(path: str, given: list[str]) -> Iterator[Row]:
    why = reasons()["names"]
    for name in given:
        mine = our_path(f"{path}.{name}")
        if find(mine) is None:
            yield Row(name, None, "", reason(why, f"{path}.{name}"))
        else:
            yield Row(name, None, f"`{mine}`", "")


def reason(table: Mapping[str, str], what: str) -> str:
    """Of the pattern that says the most, or nothing."""
    fitting = [pattern for pattern in table if fnmatchcase(what, pattern)]
    return table[max(fitting, key=len)] if fitting else ""


@cache
def all_rows() -> dict[str, list[Row]]:
    """By what they belong to; names of modules and classes behind a colon."""
    told = prefect()
    keywords = {path: list(keyword_rows(path, given)) for path, given in told["callables"].items()}
    return keywords | {f"{path}:": list(name_rows(path, given)) for path, given in told["names"].items()}


def page() -> str:
    """The whole page."""
    rows = all_rows()
    keywords = [row for path, some in rows.items() if not path.endswith(":") for row in some]
    names = [row for path, some in rows.items() if path.endswith(":") for row in some]
    counts = {
        "keywords": len(keywords),
        "same": sum(bool(row.here) for row in keywords),
        "names": len(names),
        "there": sum(bool(row.here) for row in names),
    }
    parts = [INTRODUCTION.format(version=prefect()["version"], **counts), "## What takes keywords\n"]
    parts += [_section(path, some) for path, some in rows.items() if not path.endswith(":")]
    parts.append("## Names\n")
    parts += [_names(path.removesuffix(":"), some) for path, some in rows.items() if path.endswith(":")]
    return "\n".join(parts)


def _section(path: str, rows: list[Row]) -> str:
    mine = our_path(path)
    if find(mine) is None:
        why = rows[0].reason if rows else reason(reasons()["names"], path)
        keywords = f" It takes {', '.join(f'`{row.name}`' for row in rows)}." if rows else ""
        return f"### {path}\n\nNot here: {why}{keywords}\n"
    heading = f"### {path}\n\nHere `{mine}`.\n"
    if not rows:
        return heading
    lines = [f"| `{row.name}` | {_code(row.default)} | {row.here or row.reason} |" for row in rows]
    return "\n".join((heading, "| keyword | Prefect's default | here |", "|---|---|---|", *lines, ""))


def _names(path: str, rows: list[Row]) -> str:
    lines = [f"| `{row.name}` | {row.here or row.reason} |" for row in rows]
    return "\n".join((f"### {path}: names\n", "| name | here |", "|---|---|", *lines, ""))


def _code(text: str | None) -> str:
    return "" if text is None else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page())
