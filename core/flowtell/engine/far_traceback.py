"""The traceback of an exception that was raised in another process, as text."""

from __future__ import annotations


class FarTraceback(Exception):
    """The cause of an exception that came from another process: a traceback itself cannot cross."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n{self.text}"
