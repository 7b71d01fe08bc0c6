"""A command as it may be kept: what an option with a telling name is given is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

REDACTED: Final = "********"

_ASSIGNMENT = re.compile(r"(-{0,2}[\w.-]+)=(.+)", re.DOTALL)
_PASSWORD_IN_URL = re.compile(r"(\w://[^/\s:@]*:)[^/\s@]+(?=@)")


def kept(command: Sequence[str], redact: Sequence[str]) -> list[str]:
    """`command` without the values of `--name=value`, `name=value` and `--name value` whose name holds a word of `redact`,
    and without passwords in URLs.
    """
    return list(_kept(command, redact))


def _kept(command: Sequence[str], redact: Sequence[str]) -> Iterator[str]:
    hide_next = False
    for word in command:
        assignment = _ASSIGNMENT.fullmatch(word)
        if hide_next and not word.startswith("-"):
            yield REDACTED
        elif assignment and _is_secret(assignment[1], redact):
            yield f"{assignment[1]}={REDACTED}"
        else:
            yield _PASSWORD_IN_URL.sub(rf"\1{REDACTED}", word)
        hide_next = word.startswith("-") and assignment is None and _is_secret(word, redact)


def _is_secret(name: str, redact: Sequence[str]) -> bool:
    return any(word in name.lower() for word in redact)
