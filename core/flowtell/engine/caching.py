"""How a task's results are kept and used again, as its options say; and the key of one of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from flowtell import bus
from flowtell.engine.cache_policies import DEFAULT, CacheContext, CacheKeyFnPolicy, CachePolicy, NoCache, identity
from flowtell.engine.current import snapshot
from flowtell.engine.fingerprint import fingerprint
from flowtell.engine.signatures import bound_arguments
from flowtell.errors import BadCaching, NoCacheKey
from flowtell.results.serializers import Serializer, serializer_of
from flowtell.results.storage import FOLDER, Storage, storage_of

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

_KEEPING: Final = ("cache_expiration", "persist_result", "result_storage", "result_serializer")
"""Options that say without a policy that results are kept."""


class Caching(Struct, frozen=True, kw_only=True):
    """One task's."""

    policy: CachePolicy
    expiration: float | None = None
    """Seconds for which a result may be used."""
    refresh: bool | None = None
    """Whether to compute what is kept, and keep that; None: as the configuration says."""
    storage: str = ""
    serializer: Serializer | None = None

    def key_of(self, run: TaskRun) -> str:
        """The key of a run whose arguments are there; empty where it has none.

        Raises:
            NoCacheKey: none can be made.
        """
        try:
            inputs = bound_arguments(run.work.signature, run.work.fn, run.args, run.kwargs)
        except TypeError:  # they do not fit, as the call itself will say
            return ""
        context = CacheContext(task=run.work, task_run=snapshot(run), parameters=inputs)
        try:
            key = self.policy.compute_key(context, inputs, dict(run.outer.parameters))
        except Exception as error:
            raise NoCacheKey(run.work.name, f"{type(error).__name__}: {error}") from error
        if not key:
            return ""
        own = isinstance(self.policy, CacheKeyFnPolicy)
        return str(key) if own else fingerprint(identity(run.work.fn), str(key))

    def refreshes(self) -> bool:
        return bool(bus.settings()["results.refresh_cache"]) if self.refresh is None else self.refresh

    def kept_by(self) -> Serializer:
        return self.serializer or serializer_of(bus.settings()["results.serializer"])

    def kept_at(self) -> Storage:
        """Where results are kept.

        Raises:
            ResultStorageMissing: what reaches it is not installed.
        """
        settings = bus.settings()
        return storage_of(self.storage or settings["results.storage"] or f"{settings.home}/{FOLDER}")


def caching_of(options: Mapping[str, Any], colour: str, name: str) -> Caching | None:
    """None where nothing is kept.

    Raises:
        BadCaching: what the options ask for cannot be done.
    """
    given = options.get
    policy = _policy(options, name)
    if isinstance(policy, NoCache) or given("persist_result") is False:
        return None
    if colour.endswith("generator"):
        raise BadCaching(f"Task '{name}' is a generator, whose results are not kept. Let it return a list.")
    serializer = given("result_serializer")
    return Caching(
        policy=policy,
        expiration=_seconds(given("cache_expiration"), name),
        refresh=given("refresh_cache"),
        storage=_place(given("result_storage"), name),
        serializer=None if serializer is None else serializer_of(serializer),
    )


def _policy(options: Mapping[str, Any], name: str) -> CachePolicy:
    policy, key_fn = options.get("cache_policy"), options.get("cache_key_fn")
    if key_fn is not None:
        if policy is not None:
            raise BadCaching(f"Task '{name}' has a cache_policy and a cache_key_fn. Give one of them.")
        return CacheKeyFnPolicy(key_fn)
    if policy is None:
        keeps = any(options.get(option) for option in _KEEPING)
        return DEFAULT if keeps else NoCache()
    if not isinstance(policy, CachePolicy):
        raise BadCaching(f"The cache_policy of task '{name}' is {policy!r}, none of flowtell.cache_policies.")
    return policy


def _seconds(given: Any, name: str) -> float | None:
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise BadCaching(f"The cache_expiration of task '{name}' is {given!r}, no timedelta and no seconds from 0 on.")
    return float(seconds)


def _place(given: Any, name: str) -> str:
    if not given:
        return ""
    try:
        return str(given) if isinstance(given, str) else str(given.__fspath__())
    except AttributeError:
        raise BadCaching(f"The result_storage of task '{name}' is {given!r}, no path and no address.") from None
