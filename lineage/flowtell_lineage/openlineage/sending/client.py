"""OpenLineage's own client with what it was told by its configuration, and what to make of its failures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from openlineage.client import OpenLineageClient

from flowtell.plugin import RetryLater

if TYPE_CHECKING:
    from flowtell_lineage.openlineage.sending.emitter import Sent

_FIRST_REST, _LONGEST_REST = 1.0, 30.0
_COME_AGAIN: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Answers of a catalogue that a change of its configuration, or time, makes good."""


class Refused(Exception):  # a verdict on one event, which the runner sets aside
    """The catalogue will not have this event, however often it comes."""


class Client:
    """Sends one at a time, on the thread of whoever calls. After a failure it asks for a rest that grows to 30 s."""

    def __init__(self, config: dict[str, Any]) -> None:
        # A transport's own words at INFO tell each request, some with the event in it.
        logging.getLogger("openlineage").setLevel(logging.WARNING)
        self._client = OpenLineageClient(config=config or None)
        self._rest = 0.0

    @property
    def transport(self) -> str:
        return str(self._client.transport.kind)

    def send(self, event: Sent) -> None:
        """Returns when the transport has taken it.

        Raises:
            RetryLater: the catalogue is away.
            Refused: it answered that the event is wrong.
        """
        try:
            self._client.emit(event)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            if _is_refusal(error):
                raise Refused(reason) from error
            self._rest = min(max(self._rest * 2, _FIRST_REST), _LONGEST_REST)
            raise RetryLater(self._rest, f"the catalogue did not take an event: {reason}") from error
        self._rest = 0.0

    def close(self, seconds: float) -> None:
        self._client.close(seconds)


def _is_refusal(error: Exception) -> bool:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return isinstance(status, int) and 400 <= status < 500 and status not in _COME_AGAIN
