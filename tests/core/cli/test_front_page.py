"""`flowtell --help`: every command, with a line each, and nothing imported for it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from flowtell.cli import commands
from flowtell.version import VERSION


def test_the_front_page_lists_every_command_with_a_line(flowtell):
    """Ours and those of other distributions; the line is the first of the module's docstring."""
    page = flowtell("--help")
    assert page.code == 0
    for command in commands.all_commands():
        assert f"  {command.name}" in page.out
        assert commands.summary(command).endswith("."), command
    assert "List runs, newest first" in page.out
    assert flowtell().out == page.out == flowtell("-h").out


def test_a_command_of_another_distribution_is_listed_unseen(flowtell):
    assert {entry.name for entry in entry_points(group="flowtell.commands")} <= {
        command.name for command in commands.all_commands()
    }
    assert "exec" in flowtell("--help").out


def test_the_front_page_imports_no_parser_and_no_plugin():
    """What would make it slow is not there when it has been printed."""
    code = (
        "import sys; from flowtell.cli import main; main(['--help']);"
        "heavy = {'cyclopts', 'rich', 'sqlalchemy', 'starlette', 'flowtell_sources', 'flowtell_lineage'};"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_front_page_fits_the_terminal(terminal, columns):
    page = terminal("--help", columns=columns, NO_COLOR="1")
    assert max(map(len, page.out.splitlines())) <= min(columns, 100)


def test_headings_are_bold_only_where_colour_is_wanted(terminal, flowtell):
    assert "\x1b[1mExamples\x1b[0m" in terminal("--help").out
    assert "\x1b" not in terminal("--help", NO_COLOR="1").out
    assert "\x1b" not in flowtell("--help").out


def test_the_version_is_told(flowtell):
    assert flowtell("--version").out == f"flowtell {VERSION}\n"


def test_every_command_has_help(flowtell):
    """Each is imported, by its entry point or by our table, and explains itself."""
    for command in commands.all_commands():
        page = flowtell(command.name, "--help")
        assert page.code == 0, command
        assert f"Usage: flowtell {command.name}" in page.out


def test_a_name_that_is_taken_stays_with_its_owner(monkeypatch):
    theirs = commands.Command("runs", "somewhere.else:app", "From other distributions")
    monkeypatch.setattr(commands, "_others", lambda: [theirs])
    assert theirs not in commands.all_commands()


def test_completion_knows_every_command(flowtell):
    script = flowtell("completion", "bash").out
    for command in commands.all_commands():
        assert command.name in script
