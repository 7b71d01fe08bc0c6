"""The command line. `main` is what the script `flowtell` calls; whatever else is imported when a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 well, 1 something is wrong or not found, 2 wrong usage."""
    from flowtell.cli.outcome import settle

    given = _without_debug(sys.argv[1:] if words is None else list(words))
    return settle(lambda: _run(given))


def _without_debug(words: list[str]) -> list[str]:
    """`--debug` may stand anywhere before `--`, behind which a wrapped command has its own; it sets FLOWTELL_DEBUG."""
    end = words.index("--") if "--" in words else len(words)
    if "--debug" in words[:end]:
        os.environ["FLOWTELL_DEBUG"] = "1"
    return [word for word in words[:end] if word != "--debug"] + words[end:]


def _run(words: list[str]) -> int:
    if words in ([], ["-h"], ["--help"]):  # the front page waits for no parser
        from flowtell.cli.front import print_front_page

        print_front_page()
    elif words == ["--version"]:
        from flowtell.version import VERSION

        print(f"flowtell {VERSION}")
    else:
        from flowtell.cli.app import call

        return call(words)
    return 0


__all__ = ["main"]
