"""Where another process finds a flow: its module or file, its name there, and the path on which modules are sought."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flowtell.errors import FlowNotReachable

if TYPE_CHECKING:
    from flowtell.engine.deployments import Deployment


class Entrance(Struct, frozen=True, kw_only=True):
    """`place:name` as `flowtell run` takes it, and what `sys.path` was."""

    target: str
    path: tuple[str, ...] = ()


def entrance_to(target: str) -> Entrance:
    """How a new process gets at the flow that a command line of this one names."""
    return Entrance(target=target, path=tuple(sys.path))


def entrance_of(deployment: Deployment) -> Entrance:
    """How a new process gets at the deployment's flow.

    Raises:
        FlowNotReachable: it is no name of a module: made in a function, a notebook or at a prompt.
    """
    flow = deployment.flow
    module = sys.modules.get(flow.__module__)
    name = _name_in(module, flow)
    if not name:
        problem = f"flow '{flow.name}' is no name of its module; keep it in a variable at the top level of a file"
        raise FlowNotReachable(deployment.full_name, problem)
    return Entrance(target=f"{_place(deployment, module)}:{name}", path=tuple(sys.path))


def _name_in(module: Any, flow: Any) -> str:
    names = [name for name, value in vars(module or object).items() if value is flow]
    return next((name for name in names if name == getattr(flow.fn, "__name__", "")), names[0] if names else "")


def _place(deployment: Deployment, module: Any) -> str:
    """The module's name; of the script that Python runs, its file."""
    if module.__name__ != "__main__":
        return str(module.__name__)
    if module.__spec__ is not None:  # python -m
        return str(module.__spec__.name)
    file = getattr(module, "__file__", None)
    if not file or not os.path.isfile(file):
        problem = f"flow '{deployment.flow.name}' was written at a prompt or in a notebook; write it into a file"
        raise FlowNotReachable(deployment.full_name, problem)
    return os.path.abspath(str(file))
