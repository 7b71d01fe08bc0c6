"""Serving deployments: each due run in a process of its own, begun once, whatever is killed when."""

from __future__ import annotations

from flowtell.engine import due
from flowtell.engine.deployments import Deployment


def serve(*deployments: Deployment) -> None:
    """Start the runs of these deployments when they are due, until SIGTERM, Ctrl-C or SIGHUP comes.

    Blocks. Each run has a process of its own, which imports the flow's module anew: guard the call with
    `if __name__ == "__main__":`. A second process that serves the same deployment in the same home waits and takes over
    when the first ends. At the end runs that go on are asked to clean up, and killed after `serve.grace_seconds`.

    Raises:
        BadDeployment: one is given twice, its flow cannot be imported by another process, or the home takes no file.
    """
    if due.is_due_run:  # its module serves when it is imported, and was imported to be run
        return
    from flowtell.engine.serving.loop import Loop

    Loop(deployments).run()


__all__ = ["Deployment", "serve"]
