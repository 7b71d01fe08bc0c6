"""A plugin of one's own, begun: a distribution with the smallest plugin of its kind, its test and its README."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.output import Output

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_PROJECTION = '''"""How many runs of each flow have ended: a table that moves with the cursor, so each event counts once."""

from sqlalchemy import Column, Integer, MetaData, String, Table, select

from flowtell.plugin import BasePlugin

metadata = MetaData()
ended = Table("{module}_ended", metadata, Column("flow", String, primary_key=True), Column("runs", Integer, nullable=False))


class {kind}(BasePlugin):
    """Its rows are written with the cursor: killed at any moment, it counts nothing twice and forgets nothing."""

    wants = ("flow_run.finished",)
    tables = metadata

    def handle(self, events):
        """A contrary event came after the run's first end: it changes no total."""
        flows = {{event.flow for event in events if not event.contrary}}
        before = {{row.flow: row.runs for row in self.context.read(select(ended).where(ended.c.flow.in_(flows)))}}
        after = {{flow: before.get(flow, 0) for flow in flows}}
        for event in events:
            if not event.contrary:
                after[event.flow] += 1
        if flows:
            self.context.write(ended.delete().where(ended.c.flow.in_(flows)))
            self.context.write(ended.insert(), [{{"flow": flow, "runs": runs}} for flow, runs in after.items()])


def create(config):
    """The factory that the entry point names; `config` is what stands under [plugin.{module}]."""
    return {kind}()
'''

_EFFECT = '''"""Tells something of yours how runs end. Here: a line of a file, to have something that runs."""

from flowtell.plugin import BasePlugin, RetryLater


class {kind}(BasePlugin):
    """Talks to the world, so it runs in a server only. Delivery is at least once: `event.id` tells what comes again."""

    wants = ("flow_run.finished",)
    effects = True

    def __init__(self, path):
        self.path = path

    def handle(self, events):
        """Raise RetryLater, before anything is sent, and the same events come again; the cursor waits."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.writelines(f"{{event.id}} {{event.flow}} {{event.state}}\\n" for event in events)
        except OSError as error:
            raise RetryLater(5, str(error)) from error


def create(config):
    """The factory that the entry point names; None, which is off, while no `path` stands under [plugin.{module}]."""
    return {kind}(config["path"]) if "path" in config else None
'''

_PROJECTION_TEST = '''"""flowtell's conformance kit: it redelivers, restarts, cuts batches and loses commits on purpose."""

from {module} import create

from flowtell.testing import PluginContract


class Test{kind}(PluginContract):
    name = "{module}"

    def factory(self):
        return create
'''

_EFFECT_TEST = '''"""flowtell's conformance kit: it redelivers, restarts and cuts batches on purpose, over a real log."""

import pytest
from {module} import create

from flowtell.testing import PluginContract


class Test{kind}(PluginContract):
    name = "{module}"

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.file = tmp_path / "told.txt"

    @property
    def settings(self):
        return {{"path": str(self.file)}}

    def factory(self):
        return create

    def observe(self, harness):
        """What the world saw; what came twice is one, by its id."""
        return sorted(set(self.file.read_text().splitlines())) if self.file.exists() else []
'''

_PROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "{summary}"
requires-python = ">=3.11"
dependencies = ["flowtell>=0.1,<0.2"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points."flowtell.plugins"]
{module} = "{module}:create"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

_README = """# {name}

{summary}

```console
$ pip install -e '.[test]'
$ pytest
$ flowtell plugins check {module}
```

Plugins of others are off until they are named:

```toml
[plugins]
enable = ["{module}"]
{settings}```
"""


def new(
    name: Annotated[str, Parameter(help="Of the distribution, such as acme-exporter.")],
    folder: Annotated[Path | None, Parameter(help="Where to put it; default: a folder of its name.")] = None,
    *,
    effect: bool = False,
    json: Json = False,
) -> None:
    """Begin a plugin of your own: a distribution with its test, that runs as it is.

    Args:
        effect: One that talks to the world; else one that keeps a table.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise Misuse(f"'{name}' is no name for it: small letters and digits, parts divided by '-', such as acme-exporter")
    place = folder or Path(name)
    if place.exists() and any(place.iterdir()):
        raise Misuse(f"{place} is there and not empty; name another folder")
    written = _write(place, name, effect=effect)
    output = Output(json=json)
    if json:
        output.print_json({"folder": str(place), "files": written})
        return
    for file in written:
        output.say(f"wrote {place / file}")
    output.say(f"Now: cd {place} && pip install -e '.[test]' && pytest")


def _write(place: Path, name: str, *, effect: bool) -> list[str]:
    module = name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "kind": "".join(part.capitalize() for part in name.split("-")),
        "summary": "Tells how runs end" if effect else "Counts how runs end",
        "settings": f'\n[plugin.{module}]\npath = "told.txt"\n' if effect else "",
    }
    files = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{module}.py": _EFFECT if effect else _PROJECTION,
        f"test_{module}.py": _EFFECT_TEST if effect else _PROJECTION_TEST,
    }
    place.mkdir(parents=True, exist_ok=True)
    for file, template in files.items():
        (place / file).write_text(template.format(**words), encoding="utf-8")
    return list(files)


__all__ = ["new"]
