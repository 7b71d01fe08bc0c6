"""The token that a server with PREFECT_SERVER_CSRF_PROTECTION_ENABLED wants to see with every POST."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx2

_CLIENT: Final = "Prefect-Csrf-Client"
_TOKEN: Final = "Prefect-Csrf-Token"  # noqa: S105  # the header's name
_SAYS: Final = ("Missing CSRF token", "Invalid CSRF token", "Missing client identifier")
"""What its `server/api/middleware.py` answers with 403. It says so of a token that has run out, too."""


class CsrfHeaders:
    """Asked for when a server first refuses a request for want of one: most servers never do, and are asked nothing."""

    def __init__(self) -> None:
        self.client: str = str(uuid.uuid4())
        self._token = ""

    @property
    def headers(self) -> dict[str, str]:
        """To be sent with each POST; none while no token was wanted."""
        return {_CLIENT: self.client, _TOKEN: self._token} if self._token else {}

    def take(self, document: Any) -> bool:
        """Take in what `GET /csrf-token` gave. Whether that was a token."""
        token = document.get("token") if isinstance(document, dict) else None
        self._token = token if isinstance(token, str) else ""
        return bool(self._token)


def wants_token(answer: httpx2.Response) -> bool:
    """Whether that request was refused for want of a token that counts."""
    return answer.status_code == 403 and any(words in answer.text for words in _SAYS)
