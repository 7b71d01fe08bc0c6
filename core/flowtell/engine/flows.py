"""`@flow`: a function whose every call is a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.work import Work

if TYPE_CHECKING:
    from flowtell.engine.deployments import Deployment, DeploymentOptions
    from flowtell.engine.options import FlowOptions
    from flowtell.engine.parameters import Parameters

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
P2 = ParamSpec("P2")
R = TypeVar("R")


class Flow(Work[P, R_co]):
    """A flow. Calling it makes a run and gives what its function gives: a result, a coroutine to await, a generator."""

    kind = "flow"

    def __init__(self, fn: Callable[P, R_co], options: Mapping[str, Any]) -> None:
        super().__init__(fn, options)
        self.rules = tuple(options.get("rules") or ())
        self.owners = tuple(options.get("owners") or ())
        self.task_runner = options.get("task_runner")
        self.concurrency_limit = _checked_limit(self.name, options.get("concurrency_limit"))

    @cached_property
    def parameters(self) -> Parameters:
        from flowtell.engine.parameters import Parameters

        return Parameters(self.name, self.fn, check=self._options.get("validate_parameters", True))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        if kwargs and ("return_state" in kwargs or "wait_for" in kwargs):
            return self._call_as_asked(args, kwargs)  # type: ignore[no-any-return]
        return self._drive(FlowRun(self, args, kwargs))  # type: ignore[no-any-return]

    def _call_as_asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        returns_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        run = FlowRun(self, args, kwargs, wait_for=wait_for)
        if not returns_state:
            return self._drive(run)
        from flowtell.engine.return_state import run_for_state

        return run_for_state(run)

    def with_options(self, **options: Unpack[FlowOptions]) -> Self:
        """The same flow with other options; what is not named stays."""
        return self._with(options)

    def to_deployment(self, name: str, **options: Unpack[DeploymentOptions]) -> Deployment:
        """The flow under a name, with parameters and schedules, for `serve`. See `Deployment` for the options.

        Raises:
            BadDeployment: its parameters do not fit the flow, or a schedule is given twice.
        """
        from flowtell.engine.deployments import deployment_of

        return deployment_of(self, name, options)

    def serve(self, name: str = "", **options: Unpack[DeploymentOptions]) -> None:
        """Offer the flow under a name (default: its own) and start its runs when they are due, until a signal comes.

        As `serve(flow.to_deployment(...))`. Runs start in processes of their own, which import the flow's module: guard
        the call with `if __name__ == "__main__":`.

        Raises:
            BadDeployment: as `to_deployment`, or the flow cannot be imported by another process.
        """
        from flowtell.engine.serving import serve

        serve(self.to_deployment(name or self.name, **options))


def _checked_limit(name: str, limit: Any) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"concurrency_limit of flow {name} is a whole number from 1 on, not {limit!r}")
    return limit


@overload
def flow(fn: Callable[P2, R], /) -> Flow[P2, R]: ...
@overload
def flow(**options: Unpack[FlowOptions]) -> Callable[[Callable[P2, R]], Flow[P2, R]]: ...
def flow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a flow: every call is an observed run.

    Parameters are checked against annotations and converted, with pydantic, before the function sees them; where they do
    not fit, the run fails with `ParameterError`. Futures among the arguments are waited for. The run ends when the
    function has returned and the tasks that it submitted have ended; futures in what it returns are replaced by their
    results. An exception of the function fails the run and reaches the caller unchanged.
    """
    if fn is None:
        return lambda decorated: Flow(decorated, options)
    return Flow(fn, options)
