"""Which commands there are, told without importing one: our own, and those of the group `flowtell.commands`.

An entry point of that group names a `cyclopts.App` of the entry point's name. The first line of the module's docstring
is the command's line in `flowtell --help`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Final, NamedTuple

GROUP: Final = "flowtell.commands"


class Command(NamedTuple):
    """A command by its name, and where its `App` is."""

    name: str
    target: str
    """`module:attribute`."""
    heading: str
    """What it stands under on the front page."""


_RUN, _LOOK, _CARE, _MORE = "Run", "Look", "Look after it", "From other distributions"

OWN: Final = (
    Command("demo", "flowtell.demo.command:app", _RUN),
    Command("up", "flowtell.cli.up:app", _RUN),
    Command("run", "flowtell.cli.run:app", _RUN),
    Command("serve", "flowtell.cli.serve:app", _RUN),
    Command("backfill", "flowtell.cli.backfill:app", _RUN),
    Command("cancel", "flowtell.cli.cancel:app", _RUN),
    Command("resume", "flowtell.cli.resume:app", _RUN),
    Command("runs", "flowtell.cli.runs:app", _LOOK),
    Command("limits", "flowtell.cli.limits:app", _LOOK),
    Command("automations", "flowtell.cli.automations:app", _LOOK),
    Command("deployments", "flowtell.cli.deployments:app", _LOOK),
    Command("why", "flowtell.cli.why:app", _LOOK),
    Command("logs", "flowtell.cli.logs:app", _LOOK),
    Command("events", "flowtell.cli.events:app", _LOOK),
    Command("doctor", "flowtell.cli.doctor:app", _CARE),
    Command("plugins", "flowtell.cli.plugins:app", _CARE),
    Command("replay", "flowtell.cli.replay:app", _CARE),
    Command("sources", "flowtell.cli.sources:app", _CARE),
    Command("config", "flowtell.cli.config:app", _CARE),
    Command("tokens", "flowtell.cli.tokens:app", _CARE),
    Command("db", "flowtell.cli.db:app", _CARE),
    Command("completion", "flowtell.cli.completion:app", _CARE),
)


def all_commands() -> list[Command]:
    """Every command that is installed, ours first. A name that is taken stays with whom it belongs to."""
    commands: dict[str, Command] = {}
    for command in (*OWN, *_others()):
        if command.name not in commands and _spec_of(command) is not None:
            commands[command.name] = command
    return list(commands.values())


def _others() -> Iterator[Command]:
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=GROUP)):
        yield Command(entry.name, entry.value, _MORE)


_DOCSTRING = re.compile(r'\s*[rR]?"""\s*(.+?)\s*(?:"""|\n)')


def summary(command: Command) -> str:
    """The first line of the docstring of the command's module, read and not imported; empty where there is none."""
    spec = _spec_of(command)
    if spec is None or spec.origin is None:
        return ""
    try:
        with open(spec.origin, encoding="utf-8") as source:
            found = _DOCSTRING.match(source.read(1000))
    except (OSError, UnicodeDecodeError):  # frozen, or compiled
        return ""
    return found[1] if found else ""


def _spec_of(command: Command) -> ModuleSpec | None:
    """Where the module is. `importlib.util.find_spec` would import the packages above it."""
    path: list[str] | None = sys.path
    spec = None
    name = ""
    for part in command.target.partition(":")[0].split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec
