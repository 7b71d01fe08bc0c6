"""Prefect's REST API: paged reads, at a bounded pace, with one kind of error for whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from flowtell.errors import SourceUnavailable
from flowtell_sources.prefect.csrf import CsrfHeaders, wants_token
from flowtell_sources.prefect.identity import is_uuid
from flowtell_sources.prefect.pace import Pace
from flowtell_sources.prefect.settings import Settings

if TYPE_CHECKING:
    import httpx2

_EVENTS_A_PAGE: Final = 50
"""Prefect's own limit for `/events/filter`."""

_LEAST_PAGE: Final = 20
_SLOW_SECONDS: Final = 5.0
_MOST_BODY: Final = 200_000_000
_TRIES: Final = 4
_AGAIN: Final = frozenset({429, 502, 503, 504})

Document = dict[str, Any]


class PrefectApi:
    """For one thread. Every method raises `SourceUnavailable` where the server does not answer as it should."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], int],
        wait: Callable[[float], object] = time.sleep,
        paced: bool = True,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        import httpx2

        self.url = settings.api_url.rstrip("/")
        self.pace = Pace(settings.requests_per_minute if paced else 600_000, sleep=wait)
        self.skew = 0
        """Their clock minus ours in µs, as far as HTTP's whole seconds tell."""
        self._clock, self._wait = clock, wait
        self._page_size = settings.page_size
        self._csrf = CsrfHeaders()
        self._errors = (httpx2.HTTPError, httpx2.InvalidURL)
        self._client = httpx2.Client(
            headers={"Accept": "application/json", **_authorization(settings)},
            auth=_basic(settings),
            timeout=settings.timeout_seconds,
            transport=transport,
            follow_redirects=False,
        )

    def now(self) -> int:
        """Now by their clock, in µs."""
        return self._clock() + self.skew

    # --- reads ----------------------------------------------------------------------------------------------------

    def filter(self, what: str, body: Mapping[str, Any], *, limit: int = 0, offset: int = 0) -> list[Document]:
        """One page of `/what/filter`."""
        page: Document = {**body, "limit": limit or self._page_size, "offset": offset}
        return _documents(self._request("POST", f"/{what}/filter", page), what)

    def pages(self, what: str, body: Mapping[str, Any]) -> Iterator[list[Document]]:
        """All pages of `/what/filter`, one request each."""
        offset = 0
        while True:
            size = self._page_size
            page = self.filter(what, body, limit=size, offset=offset)
            if page:
                yield page
            if len(page) < size:
                return
            offset += len(page)

    def by_ids(self, what: str, ids: list[str]) -> list[Document]:
        """The documents with these ids, those that there still are."""
        if len(ids) == 1 and is_uuid(ids[0]) and (one := self._one(what, ids[0])):
            return [one]
        found: list[Document] = []
        for start in range(0, len(ids), self._page_size):
            part = ids[start : start + self._page_size]
            found += self.filter(what, {what: {"id": {"any_": part}}}, limit=len(part))
        return found

    def _one(self, what: str, id: str) -> Document | None:
        """By a request that costs the server less than a filter does; whatever is wrong with it, the filter tells."""
        path = f"/{what}/{id}"
        answer = self._send("GET", path, None, None)
        if answer.status_code in _AGAIN:
            self._wait(_retry_after(answer, 1.0))
        found = self._read(answer, path) if answer.status_code == 200 else None
        return found if isinstance(found, dict) else None

    def event_pages(self, filter: Mapping[str, Any]) -> Iterator[list[Document]]:
        """All pages of `/events/filter`."""
        page = self._request("POST", "/events/filter", {"filter": filter, "limit": _EVENTS_A_PAGE})
        while True:
            yield _documents(page.get("events") if isinstance(page, dict) else page, "events")
            token = parse_qs(urlsplit(str(page.get("next_page") or "")).query).get("page-token")
            if not token:
                return
            page = self._request("GET", "/events/filter/next", params={"page-token": token[0]})

    def states(self, kind: str, run: str) -> list[Document]:
        """All states that a run was in. `kind` is `flow_run` or `task_run`."""
        return _documents(self._request("GET", f"/{kind}_states/", params={f"{kind}_id": run}), f"{kind}_states")

    def count(self, what: str, body: Mapping[str, Any]) -> int:
        found = self._request("POST", f"/{what}/count", body)
        return found if isinstance(found, int) else 0

    def version(self) -> str:
        """The server's version. Also the cheapest way to learn whether address and key are right."""
        found = self._request("GET", "/admin/version")
        if not isinstance(found, str):
            raise SourceUnavailable(
                f"{self.url} answers, but not as a Prefect API does; is '/api' missing from the address?"
            )
        return found

    def close(self) -> None:
        self._client.close()

    # --- one request ----------------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None) -> Any:
        for attempt in range(_TRIES):
            answer = self._send(method, path, body, params)
            last = attempt == _TRIES - 1
            if wants_token(answer) and not last:
                self._take_csrf_token()
            elif answer.status_code not in _AGAIN or last:
                return self._read(answer, path)
            else:
                self._wait(_retry_after(answer, 2.0**attempt))
        raise AssertionError(path)  # the last try returned or raised

    def _send(self, method: str, path: str, body: Any, params: Mapping[str, str] | None) -> httpx2.Response:
        self.pace.wait()
        began = time.monotonic()
        headers = self._csrf.headers if method == "POST" else {}
        try:
            answer = self._client.request(method, f"{self.url}{path}", json=body, params=params, headers=headers)
        except self._errors as error:
            raise SourceUnavailable(f"{self.url} does not answer: {_words(error)}") from error
        took = time.monotonic() - began
        self.pace.answered(took)
        self._fit_page(took)
        self._learn_skew(answer)
        return answer

    def _take_csrf_token(self) -> None:
        path = "/csrf-token"
        found = self._read(self._send("GET", path, None, {"client": self._csrf.client}), path)
        if not self._csrf.take(found):
            raise SourceUnavailable(f"{self.url} wants a CSRF token and gives none")

    def _read(self, answer: httpx2.Response, path: str) -> Any:
        status = answer.status_code
        if wants_token(answer):
            raise SourceUnavailable(f"{self.url} answers 403: it does not take the CSRF token that it gave")
        if status in (401, 403):
            raise SourceUnavailable(f"{self.url} answers {status}: the key or auth string is not accepted")
        if status >= 400 or status < 200 or status >= 300:
            wanted = _retry_after(answer, 30.0) if status in _AGAIN else None
            raise SourceUnavailable(f"{self.url}{path} answers {status}: {answer.text[:200]}", wanted)
        if len(answer.content) > _MOST_BODY:
            raise SourceUnavailable(f"{self.url}{path} answers {len(answer.content):,} bytes, which is too much")
        try:
            return msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise SourceUnavailable(f"{self.url}{path} answers no JSON; is '/api' missing from the address?") from error

    def _fit_page(self, took: float) -> None:
        if took > _SLOW_SECONDS:
            self._page_size = max(self._page_size // 2, _LEAST_PAGE)

    def _learn_skew(self, answer: httpx2.Response) -> None:
        try:
            there = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            return
        skew = int(there * 1e6) - self._clock()
        self.skew = skew if abs(skew) > 2_000_000 else 0


def _authorization(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}


def _basic(settings: Settings) -> tuple[str, str] | None:
    if not settings.auth_string or settings.api_key:
        return None
    user, _, password = settings.auth_string.partition(":")
    return user, password


def _documents(found: Any, what: str) -> list[Document]:
    if not isinstance(found, list):
        raise SourceUnavailable(f"/{what} answers something other than a list; is this a Prefect 3 server?")
    return [each for each in found if isinstance(each, dict)]


def _retry_after(answer: httpx2.Response, otherwise: float) -> float:
    try:
        return min(max(float(answer.headers["retry-after"]), 0.0), 300.0)
    except (KeyError, ValueError):
        return otherwise


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
