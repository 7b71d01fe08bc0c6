"""What `why` answers: a short chain of facts, each with its evidence, and what is not known.

Moments are µs since the epoch, spans seconds. A cause is a name of `CAUSES`; its text says the same in words.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

CAUSES: Final[dict[str, str]] = {
    "paused": "it waits for a person's answer",
    "cancelling": "somebody asked it to end",
    "cancelled": "somebody ended it",
    "limit_full": "a limit is held by others",
    "previous_run": "the deployment's run before goes on",
    "queue_paused": "its queue is paused",
    "no_worker": "no worker takes runs of its pool",
    "serving_gone": "the process that serves its deployment is gone",
    "source_silent": "whoever tells of it has not been heard of",
    "waits": "it waits for something else",
    "retrying": "an attempt failed, and the next one is to come",
    "subflow": "a flow that it called has not ended, or ended badly",
    "task_slow": "a task takes longer than it usually does",
    "task_open": "a task goes on",
    "own_code": "no task is open: it is in the flow's own code",
    "killed": "its process was ended by a signal",
    "crashed": "its process ended without a word",
    "timed_out": "it took longer than it may",
    "task_failed": "a task failed",
    "failed": "the flow's own code failed",
    "skipped": "it was not run at all",
    "removed": "it was taken away where it came from",
    "circle": "what it waits for waits for it",
    "completed": "it ended well",
    "rule_broken": "a rule does not hold",
    "asset_failed": "the last attempt to make it ended badly",
    "upstream_failed": "what it is made of could not be made",
    "asset_stale": "what it is made of was made since",
    "asset_made": "nothing is wrong with it",
}
"""Every cause by name. What none of them tells is `missing`."""


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Fact(_Part, frozen=True):
    """One link of the chain: the first answers the question, each next one says why that is so."""

    cause: str
    text: str
    """Without anything that a user's code said: it may go into a message."""
    detail: str = ""
    """What an exception said, where one is at fault."""
    since: int | None = None
    run: str = ""
    """Whose fact it is."""
    task_run: str = ""
    runs: tuple[str, ...] = ()
    """Others that it names, such as holders of a limit."""
    events: tuple[str, ...] = ()
    """Ids of the events that tell it."""
    figures: dict[str, Any] = {}


class Expected(_Part, frozen=True):
    """When the run will end, by how long earlier runs took that had lasted as long as this one has now."""

    end: int
    """In the middle of them."""
    earliest: int
    """One in ten ended sooner."""
    latest: int
    """One in ten ended later."""
    runs: int
    """How many runs that rests on."""


class Change(_Part, frozen=True):
    """What is otherwise than in the last run that ended well."""

    what: str
    """`version`, `parameter`, `task` (its duration, in seconds) or `measure`."""
    name: str = ""
    was: Any = None
    now: Any = None


class Hit(_Part, frozen=True):
    """An asset that waits for what the run has not made."""

    asset: str
    distance: int
    """Steps from what the run makes; 0 for that itself."""
    owners: tuple[str, ...] = ()


class Why(_Part, frozen=True):
    """The answer: about a run, the one of a flow that matters most, an asset or an incident."""

    subject: str
    """What was asked about: `run ID`, `flow NAME`, `asset KEY`."""
    at: int
    flow: str = ""
    run: str = ""
    deployment: str = ""
    environment: str = ""
    state: str = ""
    """Of the run at `at`."""
    due: int | None = None
    started: int | None = None
    chain: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    """What would have to be known to say more. Where the chain is empty the cause is unknown for want of these."""
    expected: Expected | None = None
    compared: str = ""
    """The last run that ended well, with which `changed` compares."""
    changed: tuple[Change, ...] = ()
    impact: tuple[Hit, ...] = ()
    """What that run made and this one has not, and what is made of it, the nearest first."""

    @property
    def cause(self) -> str:
        """The first cause, or `unknown`."""
        return self.chain[0].cause if self.chain else "unknown"
