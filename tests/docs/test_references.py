"""The references are what the code says: every setting, command and hook, with its exact signature."""

from __future__ import annotations

import inspect
import re
import runpy

import pytest

from flowtell.cli.commands import all_commands
from flowtell.config import SETTINGS
from flowtell.plugin import BasePlugin, Context, Plugin


def reference(root, name):
    """What writes the page, and the page as it stands."""
    return runpy.run_path(str(root / "docs" / f"{name}_reference.py"))


@pytest.mark.parametrize(("name", "page"), [("setting", "settings"), ("command", "commands"), ("plugin", "plugin")])
def test_a_page_is_not_stale(root, name, page):
    """`make docs` writes it."""
    assert (root / "docs" / "reference" / f"{page}.md").read_text() == reference(root, name)["page"]()


def test_every_setting_has_its_line(root):
    """Of the core, and of every exporter."""
    text = (root / "docs" / "reference" / "settings.md").read_text()
    assert [setting.key for setting in SETTINGS if f"| `{setting.key}` |" not in text] == []
    assert reference(root, "setting")["plugins_without"]() == set()
    assert re.findall(r"^\| `\w+` \|[^|]*\|  \|$", text, re.MULTILINE) == []


def test_every_command_has_its_help(root):
    text = (root / "docs" / "reference" / "commands.md").read_text()
    assert [command.name for command in all_commands() if f"Usage: flowtell {command.name}" not in text] == []


@pytest.mark.parametrize("kind", [Plugin, BasePlugin, Context])
def test_every_hook_has_its_signature(root, kind):
    """To the letter, as it stands in the source."""
    text = _plain((root / "docs" / "reference" / "plugin.md").read_text())
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            assert _plain(f"def {name}{inspect.signature(member)}") in text


def _plain(text):
    """Without quotes and spaces, which two printers set differently."""
    return text.replace("'", "").replace(" ", "").replace('"', "")
