"""A receiver that takes batches over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Final

import urllib3

from flowtell.version import VERSION
from flowtell_exporters.sending.receiver import Answer, judged
from flowtell_exporters.sending.wire import Wire

_MOST_ANSWER: Final = 65_536


class HttpReceiver:
    """One connection, kept open between requests."""

    def __init__(self, wire: Wire, taken: Callable[[bytes], Answer] = lambda _: Answer("taken")) -> None:
        """`taken` reads what the body of a successful answer says."""
        self._wire, self._taken = wire, taken
        self._headers = {
            "content-type": wire.content_type,
            "user-agent": f"flowtell/{VERSION}",
            **wire.headers,
            **({"content-encoding": "gzip"} if wire.gzip else {}),
        }
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            ca_certs=wire.certificate or None,
            key_file=wire.client_key or None,
            cert_file=wire.client_certificate or None,
        )

    def send(self, body: bytes) -> Answer:
        content = gzip.compress(body, compresslevel=1) if self._wire.gzip else body
        try:
            answer = self._pool.request(
                "POST",
                self._wire.endpoint,
                body=content,
                headers=self._headers,
                timeout=urllib3.Timeout(total=self._wire.timeout),
                redirect=False,
                preload_content=False,
            )
            told = answer.read(_MOST_ANSWER)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer("later", f"{type(error).__name__}: {error}"[:300])
        found = judged(answer.status, told, answer.headers.get("retry-after", ""))
        return self._taken(told) if found.outcome == "taken" and told else found

    def close(self) -> None:
        self._pool.clear()
