"""What rules are judged about, each for itself: the runs of a flow, an asset, who reports, or a name of an event."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

FLOW: Final = "flow"
ASSET: Final = "asset"
EVENT: Final = "event"
SOURCE: Final = "source"
"""A source, or the machine whose journals are shipped here."""


class SubjectKey(NamedTuple):
    """One flow may have many deployments, whose runs are judged apart; those of none have an empty `deployment`."""

    kind: str
    name: str
    environment: str = ""
    deployment: str = ""


def kept(key: SubjectKey) -> SubjectKey:
    """The same, of texts that all who keep it share: a hundred thousand deployments name a few flows and environments."""
    return SubjectKey(*map(sys.intern, key))


def runs_of(flow: str, environment: str = "", deployment: str = "") -> SubjectKey:
    """The runs of one flow in one environment, of one deployment or of none."""
    return SubjectKey(FLOW, flow, environment, deployment)
