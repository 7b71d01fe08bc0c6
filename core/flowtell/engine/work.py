"""What a flow and a task have in common: a function, and how it is to be run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, Self, TypeVar

from flowtell.engine import drivers
from flowtell.engine.retries import retry_options

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


_HOOKS = {
    "on_running": "running",
    "on_completion": "completed",
    "on_failure": "failed",
    "on_cancellation": "cancelled",
    "on_crashed": "crashed",
    "on_commit": "commit",
    "on_rollback": "rollback",
}
"""The state that each hook belongs to."""


class Work(Generic[P, R_co]):
    """A decorated function. `.fn` is the plain one."""

    kind: ClassVar[str]

    def __init__(self, fn: Callable[P, R_co], options: Mapping[str, Any]) -> None:
        if options:
            from flowtell.engine.options import check_names

            check_names(self.kind, options)
        given = options.get
        self.fn = fn
        self._options = dict(options)
        self.name: str = given("name") or _name_of(fn)
        self.description: str = inspect.getdoc(fn) or "" if given("description") is None else options["description"]
        self.version: str = given("version") or ""
        self.tags = tuple(sorted(set(given("tags") or ())))
        self.retries = retry_options(
            given("retries") or 0, given("retry_delay_seconds"), given("retry_jitter_factor"), given("retry_condition_fn")
        )
        self.timeout_seconds = float(options["timeout_seconds"]) if given("timeout_seconds") else None
        self.log_prints: bool | None = given("log_prints")
        self.run_name: str | Callable[..., str] | None = given(f"{self.kind}_run_name")
        self.readies_itself = self.run_name is not None or bool(self.log_prints)
        """Whether a run has to do something before its function is called: one look for it all."""
        self.hooks = {state: tuple(options[name]) for name, state in _HOOKS.items() if given(name)}
        self.colour = drivers.colour_of(fn)
        self._argument_names: dict[int, list[str]] = {}
        self._drive = drivers.DRIVERS[self.colour]
        self._look_like(fn)

    def _look_like(self, fn: Callable[P, R_co]) -> None:
        """For `help`, `inspect` and documentation tools."""
        self.__name__, self.__qualname__ = self.name, getattr(fn, "__qualname__", self.name)
        self.__module__, self.__doc__ = getattr(fn, "__module__", ""), getattr(fn, "__doc__", None)
        self.__wrapped__ = fn

    def argument_names(self, count: int) -> list[str]:
        """The parameter that each of `count` positional arguments goes to; looked up once."""
        names = self._argument_names.get(count)
        if names is None:
            from flowtell.engine.signatures import argument_names

            names = self._argument_names[count] = argument_names(self.fn, count)
        return names

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r}>"

    def __reduce__(self) -> str:
        """Pickled as functions are, by its name: that is how it reaches another process."""
        return self.__qualname__

    def options(self) -> dict[str, Any]:
        """What it was made with beside the function, for a twin in another process."""
        return dict(self._options)

    # --- hooks, as decorators

    def on_running(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: called with the flow or task, the run and its state when an attempt begins."""
        return self._hang("on_running", hook)

    def on_completion(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: as `on_running`, when a run has ended well."""
        return self._hang("on_completion", hook)

    def on_failure(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: as `on_running`, when a run has failed or timed out."""
        return self._hang("on_failure", hook)

    def on_cancellation(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: as `on_running`, when a run was cancelled."""
        return self._hang("on_cancellation", hook)

    def on_crashed(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: as `on_running`, when something that is no `Exception` tore a run down."""
        return self._hang("on_crashed", hook)

    def _hang(self, option: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        moment = _HOOKS[option]
        self.hooks[moment] = self._options[option] = (*self.hooks.get(moment, ()), hook)
        return hook

    def _with(self, options: Mapping[str, Any]) -> Self:
        return type(self)(self.fn, {**self._options, **options})

    if not TYPE_CHECKING:  # to a type checker a decorated method is called like any other attribute

        def __get__(self, instance: Any, owner: type | None = None) -> Self:
            """A decorated method, bound: its runs get the instance."""
            return self if instance is None else type(self)(self.fn.__get__(instance, owner), self._options)


def _name_of(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    return "lambda" if name == "<lambda>" else str(name)
