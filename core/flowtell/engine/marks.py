"""Marks around an argument that say how it is to be handed over."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Mark(Generic[T]):
    """Around a value; the function itself gets the value alone."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


class unmapped(Mark[T]):  # noqa: N801  # reads as a function where it is used
    """Around an argument of `.map`: every run gets it whole."""


class allow_failure(Mark[T]):  # noqa: N801  # as above
    """Around a future: the task runs even if it failed, and gets the exception in place of the result."""
