"""Print or install completion for a shell."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from flowtell.cli.app import build
from flowtell.cli.commands import all_commands
from flowtell.cli.output import Output

app = App(name="completion")


@app.default
def completion(shell: Literal["bash", "zsh", "fish"], /, *, install: bool = False) -> None:
    """Print the script that completes commands and options in a shell, or put it where that shell looks.

    Args:
        install: Write it to its place in the home folder, and have the shell's start file read it.
    """
    root = build(all_commands())
    if install:
        path = root.install_completion(shell=shell)
        Output().say(f"Written to {path}. It works in the next shell.")
    else:
        print(root.generate_completion(shell=shell))
