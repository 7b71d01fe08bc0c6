"""What goes wrong when somebody asks for an incident, a rule or a silence, or says something of one."""

from __future__ import annotations

from typing import Final

from flowtell.errors import FlowtellError

_SHOWN: Final = 60


class IncidentNotFound(FlowtellError):
    """No incident has this id, or several begin with it."""

    code = "FT2420"

    def __init__(self, wanted: str, *, several: bool = False) -> None:
        self.wanted, self.several = wanted, several
        why = "several begin with it; give more digits" if several else "see 'flowtell alerts list --all'"
        super().__init__(f"Incident '{wanted[:_SHOWN]}' not found: {why}.")


class IncidentOver(FlowtellError):
    """The incident is resolved, so there is nothing to look after."""

    code = "FT2421"

    def __init__(self, incident: str) -> None:
        self.incident = incident
        super().__init__(f"Incident '{incident}' is resolved already, so it cannot be acknowledged.")


class BadSilence(FlowtellError):
    """A silence lacks what it must have, or asks for something that no incident has."""

    code = "FT2422"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"No silence was made: {problem}.")


class SilenceNotFound(FlowtellError):
    """No silence that holds has this id, or several begin with it."""

    code = "FT2423"

    def __init__(self, wanted: str, *, several: bool = False) -> None:
        self.wanted, self.several = wanted, several
        why = "several begin with it; give more digits" if several else "see 'flowtell alerts silences'"
        super().__init__(f"Silence '{wanted[:_SHOWN]}' not found among those that hold: {why}.")


class RuleNotFound(FlowtellError):
    """No rule has this key or holds for this flow."""

    code = "FT2424"

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__(
            f"'{wanted[:_SHOWN]}' is no incident, no rule and no flow that has one: see 'flowtell alerts rules --json'."
        )


class ChannelTestFailed(FlowtellError):
    """A channel did not take the test message."""

    code = "FT2432"

    def __init__(self, channel: str, problem: str) -> None:
        self.channel, self.problem = channel, problem
        super().__init__(f"Channel '{channel}' did not take the test message: {problem}.")


class Unanswered(FlowtellError):
    """Nobody did what was asked for."""

    code = "FT2433"

    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds = what, seconds
        super().__init__(
            f"Within {seconds:g} s no server {what}. Does 'flowtell up' run on this store, with 'notifications' on?"
        )


class DeadLetterNotFound(FlowtellError):
    """No message that was given up is about this."""

    code = "FT2434"

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__(f"No dead letter is about '{wanted[:_SHOWN]}': see 'flowtell alerts dead'.")


__all__ = [
    "BadSilence",
    "ChannelTestFailed",
    "DeadLetterNotFound",
    "IncidentNotFound",
    "IncidentOver",
    "RuleNotFound",
    "SilenceNotFound",
    "Unanswered",
]
