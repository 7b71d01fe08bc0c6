"""What of a flow's call is written on a command line: its parameters."""

from __future__ import annotations

from collections.abc import Sequence

from flowtell.cli.outcome import Misuse


def parameters_of(pairs: Sequence[str]) -> dict[str, str]:
    """From `key=value`. Values stay text: the flow's annotations say what they become.

    Raises:
        Misuse: one has another form.
    """
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise Misuse(f"'{pair}' is no parameter: write -p key=value.")
        parameters[name] = value
    return parameters
