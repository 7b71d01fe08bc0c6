"""Every event of flowtell as a frozen struct with its wire name.

One fact is one JSON object on one line; a field at its default is absent. Moments are microseconds since the epoch,
UTC; `duration`, `delay` and `cpu_seconds` are seconds; `*_memory`, `size` and `bytes` are bytes; ids are 32 hex digits.

Rules of change, so that tomorrow's events survive today's reader: a new field has a default, a field is never retyped
or reused, a new meaning is a new type. `tests/golden` holds one line per type and version that is decoded for ever.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Final, Literal, Union, get_args

import msgspec
from msgspec import Struct

from flowtell.decoders import BUILDING, convert
from flowtell.errors import MalformedEvent

RunState = Literal["scheduled", "pending", "waiting", "running", "retrying", "paused", "cancelling"]
EndState = Literal["completed", "cached", "failed", "timed_out", "cancelled", "crashed", "skipped"]

END_STATES: Final[tuple[str, ...]] = get_args(EndState)
"""The states in which a run has ended. The first one that the log holds for a run decides."""


class Event(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type"):
    """What every event may carry, so that each line can be counted without its neighbours. Pass fields by keyword.

    Field order is wire order, these first (which is why they are not keyword-only, as msgspec would put those last):
    what the log keeps as columns leads every line, see `flowtell.store.packing`.
    """

    type: ClassVar[str] = ""
    """Wire name, such as `flow_run.started`."""

    id: str = ""
    """UUIDv7 as 32 hex digits; unique over all logs."""
    time: int = 0
    """When it happened by its writer's clock, in µs."""
    run: str = ""
    """Flow run it belongs to."""
    task_run: str = ""
    flow: str = ""
    task: str = ""
    root_run: str = ""
    """Outermost flow run; absent where that is `run` itself."""
    deployment: str = ""
    due: int | None = None
    """Nominal time that the run answers, in µs."""
    environment: str = ""
    source: str = ""
    external_id: str = ""
    url: str = ""
    caused_by: str = ""
    hops: int = 0
    # Added by the log; never written by an emitter.
    seq: int = 0
    """Place in the log; commit order."""
    received: int = 0
    """When the log took it, by the server's clock, in µs."""
    writer: str = ""
    """Journal, plugin or source that wrote it."""
    n: int = 0
    """Byte offset in the writer's journal, or its running number."""
    contrary: bool = False
    """Came after the run's first end and changes nothing: a later end, or a start. Shown as a correction, counted, kept."""


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value inside an event."""


# --- values inside events -----------------------------------------------------------------------------------------


class Failure(Part):
    """An exception as text."""

    type: str = ""
    message: str = ""
    traceback: str = ""


class Result(Part):
    """What a run returned: its type and size, never its value."""

    type: str = ""
    size: int | None = None
    location: str = ""
    checksum: str = ""


class CodePlace(Part):
    file: str = ""
    line: int = 0
    function: str = ""


class TaskDeclaration(Part):
    name: str
    retries: int = 0
    timeout: float | None = None
    tags: tuple[str, ...] = ()


class Schedule(Part):
    id: str
    kind: str
    expression: str = ""
    tz: str = ""
    anchor: int | None = None
    jitter: float = 0.0
    overlap: str = ""
    catch_up: str = ""
    grace: float | None = None
    active: bool = True


class RuleData(Part):
    """A rule as plain data; an unknown kind passes through."""

    kind: str
    arguments: dict[str, Any] = {}
    selector: dict[str, Any] = {}
    severity: str = ""
    labels: dict[str, str] = {}
    runbook: str = ""


class WaitsOn(Part):
    kind: str
    name: str = ""
    runs: tuple[str, ...] = ()


class UpstreamRun(Part):
    """A task run whose result came in through the named argument."""

    task_run: str
    argument: str = ""


class UpstreamAsset(Part):
    """Why an asset depends on another.

    `evidence` is declared, explicit, column, future, object, read, wait_for, manual or product.
    """

    asset: str
    version: str = ""
    partition: str = ""
    evidence: str = ""


class ColumnSource(Part):
    asset: str
    column: str
    transformation: str = ""


class Column(Part, rename={"origins": "from"}):
    name: str
    type: str = ""
    origins: tuple[ColumnSource, ...] = ()


class Holder(Part):
    run: str
    since: int | None = None
    task_run: str = ""
    """Where a task of that run holds it."""


class Subject(Part):
    kind: str
    name: str = ""
    partition: str = ""


class Receipt(Part):
    id: str = ""
    thread: str = ""
    url: str = ""


# --- declarations -------------------------------------------------------------------------------------------------


class FlowDeclared(Event, tag="flow.declared"):
    version: str = ""
    commit: str = ""
    description: str = ""
    parameters_schema: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    rules: tuple[RuleData, ...] = ()
    code: CodePlace | None = None
    tasks: tuple[TaskDeclaration, ...] = ()
    retries: int = 0
    timeout: float | None = None


class DeploymentDeclared(Event, tag="deployment.declared"):
    version: str = ""
    description: str = ""
    schedules: tuple[Schedule, ...] = ()
    parameters: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    pool: str = ""
    queue: str = ""
    limit: int | None = None
    paused: bool = False
    ready: bool | None = None
    automations: tuple[dict[str, Any], ...] = ()
    """As tables of `[[automations]]` are."""


class DeploymentRemoved(Event, tag="deployment.removed"):
    pass


class RuleDeclared(Event, tag="rule.declared"):
    rule: RuleData | None = None
    origin: str = ""


class RuleRemoved(Event, tag="rule.removed"):
    rule: RuleData | None = None
    origin: str = ""


# --- runs ---------------------------------------------------------------------------------------------------------


class _FlowRunAhead(Event):
    name: str = ""
    tags: tuple[str, ...] = ()
    parent_run: str = ""
    pool: str = ""
    queue: str = ""
    worker: str = ""


class FlowRunScheduled(_FlowRunAhead, tag="flow_run.scheduled"):
    pass


class FlowRunPending(_FlowRunAhead, tag="flow_run.pending"):
    pass


class FlowRunLate(_FlowRunAhead, tag="flow_run.late"):
    pass


class _Waiting(Event):
    reason: str = ""
    on: tuple[WaitsOn, ...] = ()


class FlowRunWaiting(_Waiting, tag="flow_run.waiting"):
    pass


class TaskRunWaiting(_Waiting, tag="task_run.waiting"):
    pass


class FlowRunStarted(Event, tag="flow_run.started"):
    attempt: int = 1
    name: str = ""
    tags: tuple[str, ...] = ()
    cause: str = ""
    parent_run: str = ""
    parent_task_run: str = ""
    trace: str = ""
    parent_span: str = ""
    """In that trace, where a caller that is no run of flowtell's began it: 16 hex digits."""
    sampled: bool = True
    """Whether the trace's spans are kept, as was decided at its root."""
    parameters: dict[str, Any] = {}
    version: str = ""
    commit: str = ""
    machine: str = ""
    pid: int | None = None
    pool: str = ""
    queue: str = ""
    worker: str = ""


class _TaskRunBegins(Event):
    attempt: int = 1
    dynamic_key: str = ""
    map_index: int | None = None
    upstream: tuple[UpstreamRun, ...] = ()
    name: str = ""
    tags: tuple[str, ...] = ()
    machine: str = ""
    pid: int | None = None
    runner: str = ""


class TaskRunPending(_TaskRunBegins, tag="task_run.pending"):
    pass


class TaskRunStarted(_TaskRunBegins, tag="task_run.started"):
    pass


class _Retrying(Event):
    attempt: int = 1
    """The attempt that failed."""
    delay: float = 0.0
    error: Failure | None = None


class FlowRunRetrying(_Retrying, tag="flow_run.retrying"):
    pass


class TaskRunRetrying(_Retrying, tag="task_run.retrying"):
    pass


class FlowRunPaused(Event, tag="flow_run.paused"):
    key: str = ""
    schema: dict[str, Any] = {}
    until: int | None = None


class FlowRunResumed(Event, tag="flow_run.resumed"):
    key: str = ""
    answer: Any = None
    actor: str = ""


class _Cancelling(Event):
    actor: str = ""
    reason: str = ""


class FlowRunCancelling(_Cancelling, tag="flow_run.cancelling"):
    pass


class TaskRunCancelling(_Cancelling, tag="task_run.cancelling"):
    pass


class FlowRunHeartbeat(Event, tag="flow_run.heartbeat"):
    rss_memory: int | None = None
    cpu_seconds: float | None = None


class _Finished(Event):
    state: str = "completed"
    native_state: str = ""
    error: Failure | None = None
    duration: float | None = None
    attempts: int = 1
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    """Of the process, in bytes."""
    signal: str = ""
    result: Result | None = None
    cache_key: str = ""
    cached_from: str = ""


class FlowRunFinished(_Finished, tag="flow_run.finished"):
    pass


class TaskRunFinished(_Finished, tag="task_run.finished"):
    pass


class FlowRunRemoved(Event, tag="flow_run.removed"):
    reason: str = ""


# --- what runs say ------------------------------------------------------------------------------------------------


class LogRecorded(Event, tag="log.recorded"):
    level: str = "INFO"
    logger: str = ""
    message: str = ""
    file: str = ""
    line: int = 0


class MeasureRecorded(Event, tag="measure.recorded"):
    name: str = ""
    value: float = 0.0
    unit: str = ""


class ArtifactCreated(Event, tag="artifact.created"):
    key: str = ""
    kind: str = ""
    """`table`, `markdown`, `link` or `progress`; of a source its own word."""
    data: Any = None
    description: str = ""
    artifact: str = ""
    """Where it moves on what was shown before: the id of the event that created that."""


class _Transaction(Event):
    key: str = ""
    tasks: tuple[str, ...] = ()
    """Names of the tasks with hooks that are meant, in order; once for each run."""
    error: Failure | None = None


class TransactionBegun(_Transaction, tag="transaction.begun"):
    pass


class TransactionCommitted(_Transaction, tag="transaction.committed"):
    pass


class TransactionRolledBack(_Transaction, tag="transaction.rolled_back"):
    pass


class TransactionInDoubt(_Transaction, tag="transaction.in_doubt"):
    """Some of what `tasks` did may stand, and some not: a hook raised, or a kill came where nobody can tell."""


# --- assets -------------------------------------------------------------------------------------------------------


class AssetDeclared(Event, tag="asset.declared"):
    asset: str = ""
    aliases: tuple[str, ...] = ()
    name: str = ""
    kind: str = ""
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str = ""
    metadata: dict[str, Any] = {}
    upstream: tuple[UpstreamAsset, ...] = ()


class AssetRemoved(Event, tag="asset.removed"):
    asset: str = ""


class _AssetTouched(Event):
    asset: str = ""
    role: str = "output"
    state: str = ""
    error: Failure | None = None
    upstream: tuple[UpstreamAsset, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    version: str = ""
    partition: str = ""
    by: str = ""
    metadata: dict[str, Any] = {}
    unfollowed: tuple[str, ...] = ()
    sql: str = ""
    job_type: str = ""
    facets: dict[str, Any] = {}


class AssetMaterializing(_AssetTouched, tag="asset.materializing"):
    pass


class AssetMaterialized(_AssetTouched, tag="asset.materialized"):
    pass


class AssetFailed(_AssetTouched, tag="asset.failed"):
    pass


class AssetCached(_AssetTouched, tag="asset.cached"):
    pass


class AssetObserved(_AssetTouched, tag="asset.observed"):
    pass


class AssetChecked(Event, tag="asset.checked"):
    asset: str = ""
    check: str = ""
    column: str = ""
    partition: str = ""
    passed: bool = True
    severity: str = ""
    value: Any = None
    metadata: dict[str, Any] = {}


# --- surroundings and actions -------------------------------------------------------------------------------------


class CapacityObserved(Event, tag="capacity.observed"):
    kind: str = ""
    name: str = ""
    pool: str = ""
    pool_type: str = ""
    """SURFACE's `type`, which on the wire is the event's own (docs/decisions/0002)."""
    limit: int | None = None
    used: int | None = None
    holders: tuple[Holder, ...] = ()
    last_seen: int | None = None
    status: str = ""
    paused: bool = False


class ActionRequested(Event, tag="action.requested"):
    action: str = ""
    target: str = ""
    actor: str = ""
    arguments: dict[str, Any] = {}


class ActionDone(Event, tag="action.done"):
    action: str = ""
    target: str = ""
    actor: str = ""
    arguments: dict[str, Any] = {}
    outcome: str = ""
    error: Failure | None = None


# --- alerts -------------------------------------------------------------------------------------------------------


class _Incident(Event):
    incident: str = ""
    key: str = ""
    rule: RuleData | None = None
    subject: Subject | None = None
    runs: tuple[str, ...] = ()
    severity: str = ""
    owners: tuple[str, ...] = ()
    since: int | None = None
    reason: str = ""
    evidence: dict[str, Any] = {}
    inhibited_by: str = ""
    group: str = ""
    actor: str = ""
    tags: tuple[str, ...] = ()


class IncidentOpened(_Incident, tag="incident.opened"):
    pass


class IncidentUpdated(_Incident, tag="incident.updated"):
    pass


class IncidentAcknowledged(_Incident, tag="incident.acknowledged"):
    pass


class IncidentResolved(_Incident, tag="incident.resolved"):
    pass


class PredictionMade(Event, tag="prediction.made"):
    rule: RuleData | None = None
    expected: int | None = None
    range: tuple[int, int] | None = None
    confidence: float | None = None


class SilenceCreated(Event, tag="silence.created"):
    silence: str = ""
    matchers: dict[str, str] = {}
    since: int | None = None
    until: int | None = None
    actor: str = ""
    reason: str = ""


class SilenceExpired(Event, tag="silence.expired"):
    silence: str = ""
    actor: str = ""
    reason: str = ""


class _Notification(Event):
    incident: str = ""
    channel: str = ""
    kind: str = ""
    attempt: int = 1
    key: str = ""
    receipt: Receipt | None = None
    error: Failure | None = None
    permanent: bool = False


class NotificationSent(_Notification, tag="notification.sent"):
    pass


class NotificationFailed(_Notification, tag="notification.failed"):
    pass


# --- sources ------------------------------------------------------------------------------------------------------


class _SourceSays(Event):
    cursor: str = ""
    complete_until: int | None = None
    error: Failure | None = None


class SourceProgress(_SourceSays, tag="source.progress"):
    pass


class SourceUp(_SourceSays, tag="source.up"):
    pass


class SourceDown(_SourceSays, tag="source.down"):
    pass


# --- names of one's own, and tomorrow's ---------------------------------------------------------------------------


class UserEvent(Event, tag=False):
    """An event under a dotted name of one's own, or of a version that this reader does not know yet."""

    type: str = ""  # a field here, the struct's tag everywhere else
    resource: dict[str, Any] = {}
    payload: dict[str, Any] = {}
    related: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = {}
    """Fields that this reader has no name for. Written beside the others on the wire."""


# --- the registry and the wire ------------------------------------------------------------------------------------


def _concrete(base: type[Event]) -> list[type[Event]]:
    found = [] if base.__struct_config__.tag is None or base.__name__.startswith("_") else [base]
    for child in base.__subclasses__():
        found += _concrete(child)
    return found


TYPES: Final[dict[str, type[Event]]] = {
    str(kind.__struct_config__.tag): kind for kind in _concrete(Event) if kind not in (Event, UserEvent)
}
"""Every event type by its wire name."""

OWN_NAMES: Final = "*"
"""Where types are named: all events under names of one's own."""

RESERVED: Final = tuple(sorted({f"{name.partition('.')[0]}." for name in TYPES} | {"journal."}))
"""How names of flowtell's own events begin; an event under a name of one's own never does."""

for _name, _kind in TYPES.items():
    _kind.type = _name

LOG_FIELDS: Final = ("seq", "received", "writer", "n", "contrary")
"""What the log adds to an event."""


def _as_text(value: Any) -> Any:
    """What msgspec cannot encode becomes a short description: an event is kept even when a value in it is strange."""
    from flowtell.cutting import cut  # what `import flowtell` need not load

    if isinstance(value, BaseException):
        return cut(f"{type(value).__name__}: {value}", 1000)
    try:
        return cut(repr(value), 1000)
    except Exception:  # noqa: BLE001  # whatever a user's __repr__ raises
        return f"<{type(value).__module__}.{type(value).__qualname__}>"


_encoder: Final = msgspec.json.Encoder(enc_hook=_as_text)
encode_value = _encoder.encode
_USER_DEFAULTS: Final = msgspec.structs.asdict(UserEvent())
_user_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def encode(event: Event) -> bytes:
    """One line without its newline. Never raises for a value that JSON lacks; that becomes its `repr`, cut.

    Raises:
        MalformedEvent: the event holds itself, is nested too deeply, or has keys that JSON cannot have.
    """
    try:
        return _encode(event)
    except UnicodeEncodeError:
        return _encode(_in_utf8(event))
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        raise MalformedEvent(event.type, str(error)) from error


def _encode(event: Event) -> bytes:
    return _encode_user(event) if event.__class__ is UserEvent else _encoder.encode(event)


def _in_utf8(event: Event) -> Event:
    """The same event without what UTF-8 lacks: a file name from `os.listdir` may hold any byte, as a lone surrogate."""
    plain = _text_in_utf8(msgspec.to_builtins(event, enc_hook=_as_text, str_keys=True))
    return convert(plain, event.__class__)


def _text_in_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_text_in_utf8(key): _text_in_utf8(inner) for key, inner in value.items()}
    return [_text_in_utf8(inner) for inner in value] if isinstance(value, list | tuple) else value


def _encode_user(event: Any) -> bytes:
    fields = {"type": event.type, **msgspec.structs.asdict(event)}
    extra = fields.pop("extra")
    defaults = _USER_DEFAULTS
    return _encoder.encode(
        {k: v for k, v in {**extra, **fields}.items() if k not in defaults or k == "type" or v != defaults[k]}
    )


def decode(line: bytes | str) -> Event:
    """The event on one line. A type unknown here becomes a `UserEvent` that keeps every field.

    Raises:
        MalformedEvent: not a JSON object, no `type`, or a field of a known type that has another shape.
    """
    try:
        return known_decoder().decode(line)
    except msgspec.ValidationError as error:
        return _decode_unknown(line, error)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedEvent("", str(error)) from error


@cache
def known_decoder() -> msgspec.json.Decoder[Event]:
    """Decodes lines of known types, and raises what msgspec raises on all others: for readers of thousands of lines."""
    kinds: Any = Union[tuple(TYPES.values())]  # noqa: UP007  # made at run time, in a few ms, which only readers pay
    with BUILDING:
        return msgspec.json.Decoder(kinds, strict=True)


def _decode_unknown(line: bytes | str, cause: Exception) -> Event:
    try:
        fields = _user_decoder.decode(line)
        name = fields.pop("type", "")
        if not isinstance(name, str) or not name or name in TYPES:
            raise MalformedEvent(str(name), str(cause)) from cause
        known = {key: fields.pop(key) for key in UserEvent.__struct_fields__ if key in fields and key != "extra"}
        return convert({"type": name, "extra": fields, **known}, UserEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedEvent("", str(error)) from error


__all__ = [  # noqa: PLE0604  # the structs are listed by the registry
    "END_STATES",
    "LOG_FIELDS",
    "OWN_NAMES",
    "RESERVED",
    "TYPES",
    "EndState",
    "Event",
    "Part",
    "RunState",
    "UserEvent",
    "decode",
    "encode",
    "encode_value",
    "known_decoder",
    *(kind.__name__ for kind in TYPES.values()),
    *(kind.__name__ for kind in Part.__subclasses__()),
]
