"""The parser over the commands. Only the one that was typed is imported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from cyclopts import App, CycloptsError, Parameter

from flowtell.cli.commands import Command, all_commands
from flowtell.cli.outcome import Misuse
from flowtell.version import VERSION


def build(commands: Iterable[Command]) -> App:
    """A parser for these commands."""
    root = App(
        name="flowtell",
        version=VERSION,
        default_parameter=Parameter(negative=(), show_default=False),
        suppress_keyboard_interrupt=False,
    )
    for command in commands:
        root.command(command.target, name=command.name)
    return root


def call(words: Sequence[str]) -> int:
    """Run the command that `words` name and return its exit code.

    Raises:
        Misuse: they name no command, or do not fit it.
    """
    command = _find(words[0])
    try:
        code = build([command])(words, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        said = str(error)
        raise Misuse(f"{said}{'' if said.endswith(('.', '?')) else '.'} See 'flowtell {command.name} --help'.") from error
    return code if isinstance(code, int) else 0


def _find(name: str) -> Command:
    commands = {command.name: command for command in all_commands()}
    if name in commands:
        return commands[name]
    close = difflib.get_close_matches(name, commands, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else "See 'flowtell --help'."
    raise Misuse(f"There is no command '{name}'. {hint}")
