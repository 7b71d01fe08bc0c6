"""The one tree of errors. Each builds its message from what it is given and keeps that as attributes.

A message says what happened, to what, and what to do next. `code` is stable; `docs/errors.md` has a line for each.
"""

from __future__ import annotations


class FlowtellError(Exception):
    """Root of every error that flowtell raises on purpose."""

    code = "FT1000"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


# --- configuration ------------------------------------------------------------------------------------------------


class ConfigError(FlowtellError):
    """Something in the configuration cannot be used."""

    code = "FT1100"


class UnknownKey(ConfigError):
    """A key that no setting has."""

    code = "FT1101"

    def __init__(self, key: str, place: str, suggestion: str = "") -> None:
        self.key, self.place, self.suggestion = key, place, suggestion
        hint = f" Did you mean '{suggestion}'?" if suggestion else " See 'flowtell config show' for every key."
        super().__init__(f"Unknown configuration key '{key}' in {place}.{hint}")


class BadValue(ConfigError):
    """A setting's value has the wrong type or is out of range."""

    code = "FT1102"

    def __init__(self, key: str, place: str, problem: str) -> None:
        self.key, self.place, self.problem = key, place, problem
        super().__init__(f"Configuration key '{key}' in {place}: {problem}.")


class UnsupportedStore(ConfigError):
    """No store for this URL."""

    code = "FT1103"

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        what = f"No store for '{scheme}://'." if scheme else "FLOWTELL_STORE is no URL."
        super().__init__(
            f"{what} Use sqlite:///PATH or postgresql://USER@HOST/DATABASE, or leave FLOWTELL_STORE unset for the default."
        )


class StoreDriverMissing(ConfigError):
    """The store's driver is not installed."""

    code = "FT1104"

    def __init__(self, module: str, extra: str) -> None:
        self.module, self.extra = module, extra
        super().__init__(
            f"The store needs the module '{module}', which is not installed: pip install \"flowtell[{extra}]\"."
        )


class StoreUnreachable(ConfigError):
    """The database that the store's URL names does not let us in."""

    code = "FT1105"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(f"The store {url} cannot be opened: {problem}. Check FLOWTELL_STORE, and that the database runs.")


# --- events and the journal ---------------------------------------------------------------------------------------


class MalformedEvent(FlowtellError):
    """A line or value that is no event."""

    code = "FT1201"

    def __init__(self, type: str, problem: str) -> None:
        self.type, self.problem = type, problem
        super().__init__(f"Malformed event{f' {type!r}' if type else ''}: {problem}")


class JournalTooNew(FlowtellError):
    """A journal is in a format of a later flowtell. It is left where it is until a server comes that can read it."""

    code = "FT1720"

    def __init__(self, path: str, found: int, known: int) -> None:
        self.path, self.found, self.known = path, found, known
        super().__init__(
            f"Journal {path} has format {found}, this flowtell reads up to {known}. It is kept, and what it holds is "
            "missing here until the server is upgraded."
        )


class JournalUnwritable(FlowtellError):
    """The journal's folder takes no file; events are dropped and counted, flows run on."""

    code = "FT1202"

    def __init__(self, folder: str, problem: str) -> None:
        self.folder, self.problem = folder, problem
        super().__init__(
            f"Cannot write events to {folder}: {problem}. Flows run on, their events are dropped and counted. "
            "Make the folder writable or set FLOWTELL_HOME."
        )


# --- flows --------------------------------------------------------------------------------------------------------


class ParameterError(FlowtellError, TypeError):
    """A flow was called with parameters that do not fit its signature."""

    code = "FT1301"

    def __init__(self, flow: str, problems: list[str]) -> None:
        self.flow, self.problems = flow, problems
        super().__init__(f"Parameters of flow '{flow}' do not fit: " + "; ".join(problems))


class RunTimedOut(FlowtellError, TimeoutError):
    """A flow or task ran longer than its `timeout_seconds`."""

    code = "FT1302"

    def __init__(self, kind: str, name: str, seconds: float) -> None:
        self.kind, self.name, self.seconds = kind, name, seconds
        super().__init__(f"{kind.capitalize()} '{name}' ran longer than its {seconds:g} s.")


class UpstreamFailed(FlowtellError):
    """A future that this task waits for has failed."""

    code = "FT1303"

    def __init__(self, task: str, upstream: str) -> None:
        self.task, self.upstream = task, upstream
        super().__init__(
            f"Task '{task}' was skipped: its upstream task run {upstream} failed. Wrap it in allow_failure() to run anyway."
        )


class FlowNotFound(FlowtellError):
    """`MODULE:FLOW` names nothing that can be run."""

    code = "FT1304"

    def __init__(self, target: str, problem: str) -> None:
        self.target, self.problem = target, problem
        super().__init__(f"Cannot find flow '{target}': {problem}")


class NoActiveRun(FlowtellError, RuntimeError):
    """Something that needs a run was called outside one."""

    code = "FT1305"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} needs a flow or task run around it. Call it inside a function decorated with @flow or @task."
        )


class BadAssetKey(FlowtellError, ValueError):
    """An asset's key is no URI that can be kept."""

    code = "FT1306"

    def __init__(self, key: str, problem: str) -> None:
        self.key, self.problem = key, problem
        super().__init__(
            f"Asset key {key!r}: {problem}. A key looks like 's3://bucket/path' or 'postgres://host/db/schema/table'."
        )


class BadDependencies(FlowtellError, ValueError):
    """`asset_deps` says of an output what the task cannot know."""

    code = "FT1170"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"asset_deps: {problem}. Write asset_deps={{output: [asset, 'parameter']}}, or a list for all.")


class MetadataOutsideTask(FlowtellError, RuntimeError):
    """Metadata was added to an asset where no task makes one."""

    code = "FT1171"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"Metadata of {key} was added outside of a task run. Call it in the task that makes the asset.")


class BadColumns(FlowtellError, ValueError):
    """Column lineage that cannot be understood."""

    code = "FT1172"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"columns: {problem}. Write columns={{'total': [('s3://lake/orders', 'price')]}}.")


class RunCancelled(FlowtellError):
    """The result was asked of a run that what surrounds it had cancelled."""

    code = "FT1307"

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"{kind.capitalize()} run '{name}' was cancelled: the flow run around it had ended.")


class FailedRun(FlowtellError):
    """A flow returned a state of `flowtell.states` that is no good end, without an exception."""

    code = "FT1311"

    def __init__(self, state: str, message: str = "") -> None:
        self.state = state
        super().__init__(message or f"The flow returned that it has {state}.")


class ThreadAbandoned(FlowtellError):
    """A function in a thread did not return within its time, and Python has no way to stop it."""

    code = "FT1308"

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(
            f"{kind.capitalize()} '{name}' has timed out and its thread goes on by itself until it returns or the process "
            "exits. Use an async function, or a time-out of the library that it waits in."
        )


class BadRunName(FlowtellError):
    """`flow_run_name` or `task_run_name` raised; the run goes on under its default name."""

    code = "FT1309"

    def __init__(self, kind: str, name: str, problem: str) -> None:
        self.kind, self.name, self.problem = kind, name, problem
        super().__init__(
            f"The {kind}_run_name of {kind} '{name}' gives no name: {problem}. Its runs keep their default name."
        )


# --- results that are kept ------------------------------------------------------------------------------------------


class ResultError(FlowtellError):
    """Something about results that are kept and used again."""

    code = "FT1320"


class ResultNotKept(ResultError):
    """A result cannot be made bytes. Its run has completed, and the next one computes it again."""

    code = "FT1321"

    def __init__(self, task: str, serializer: str, problem: str) -> None:
        self.task, self.serializer, self.problem = task, serializer, problem
        super().__init__(
            f"The result of task '{task}' is not kept, as the serializer '{serializer}' cannot take it: {problem}. "
            "Return plain data, install cloudpickle, give another result_serializer, or cache_policy=NO_CACHE."
        )


class ResultUnreadable(ResultError):
    """A kept result cannot be believed or read. It is computed again and replaced."""

    code = "FT1322"

    def __init__(self, location: str, problem: str) -> None:
        self.location, self.problem = location, problem
        super().__init__(f"The kept result {location} cannot be used: {problem}. It is computed again.")


class ResultStorageFailed(ResultError):
    """The place where results are kept took or gave none. Tasks run as if they had no cache."""

    code = "FT1323"

    def __init__(self, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(
            f"Results cannot be kept at {place}: {problem}. Tasks run, and run again the next time. Make room there and let "
            "this user write, or set FLOWTELL_RESULTS__STORAGE."
        )


class NoCacheKey(ResultError):
    """No key can be made for a task run, which runs as if it had no cache."""

    code = "FT1324"

    def __init__(self, task: str, problem: str) -> None:
        self.task, self.problem = task, problem
        super().__init__(
            f"Task '{task}' has no key to keep its result under: {problem}. Leave such an argument out "
            "(cache_policy=INPUTS - 'name'), or give a cache_key_fn."
        )


class BadCaching(ResultError, ValueError):
    """Options that say how a result is kept cannot be followed."""

    code = "FT1325"


class ResultStorageMissing(ResultError):
    """What reaches a storage is not installed."""

    code = "FT1326"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(
            f"Results cannot be kept at {url}, since what reaches it is not installed ({problem}): "
            'pip install "flowtell[storage]", and what fsspec names for this scheme.'
        )


# --- the server ---------------------------------------------------------------------------------------------------


class PortInUse(FlowtellError):
    """The server's address is taken."""

    code = "FT1401"

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"Port {port} on {host} is in use. Stop what listens there, or choose another with 'flowtell up --port'."
        )


class RoleTaken(FlowtellError):
    """Another process holds the ingest role of this home."""

    code = "FT1402"

    def __init__(self, home: str, holder: str) -> None:
        self.home, self.holder = home, holder
        super().__init__(f"Another server runs on {home} ({holder}). One home has one server; stop it or set FLOWTELL_HOME.")


class StoreTooNew(FlowtellError):
    """The store was written by a later flowtell."""

    code = "FT1403"

    def __init__(self, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(f"The store has schema {found}, this flowtell knows up to {known}. Upgrade flowtell.")


class StoreTooOld(FlowtellError):
    """The store was written by an earlier flowtell, or nothing was written to it yet."""

    code = "FT1406"

    def __init__(self, found: int, known: int) -> None:
        self.found, self.known = found, known
        wanted = f"The store has schema {found}, this flowtell needs {known}. Run 'flowtell db upgrade'."
        empty = "The store is empty: whoever opened it first is still making its tables. Try again in a moment."
        super().__init__(wanted if found else empty)


class LeaseLost(FlowtellError):
    """Another server has taken over; this one may write no more."""

    code = "FT1407"

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"Another server leads now{f' ({holder})' if holder else ''}. This one goes on as a standby.")


class StoreLed(RoleTaken):
    """A server on another home or machine leads on the store, and alone writes to it."""

    code = "FT1408"

    def __init__(self, address: str) -> None:
        self.address = address
        where = f" ({address})" if address else ""
        FlowtellError.__init__(self, f"Another server leads on this store{where}. Stop it first, and those that stand by.")


class NothingKnown(FlowtellError):
    """Nothing is known of what somebody asks about."""

    code = "FT1417"

    def __init__(self, wanted: str, suggestion: str = "") -> None:
        self.wanted, self.suggestion = wanted, suggestion
        hint = f" Did you mean '{suggestion}'?" if suggestion else " See 'flowtell runs'."
        super().__init__(f"The log has no flow, deployment or run '{wanted}'.{hint}")


class BadMoment(FlowtellError):
    """A moment that nobody can read."""

    code = "FT2500"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"'{text}' is no moment: say 2026-11-20, 2026-11-20T08:00 or, for seven days ago, 7d.")


class StoreNotEmpty(FlowtellError):
    """Something was to be put into a store that holds something already."""

    code = "FT1409"

    def __init__(self, url: str, table: str) -> None:
        self.url, self.table = url, table
        super().__init__(
            f"The store {url} is not empty: '{table}' has rows. Nothing was changed; name a new file or database "
            "in FLOWTELL_STORE."
        )


class BadExport(FlowtellError):
    """A file is no whole export of a store."""

    code = "FT1410"

    def __init__(self, file: str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file} is no export that can be imported: {problem}. The store is as it was.")


class TransferMismatch(FlowtellError):
    """What a store holds after an import is not what was read; nothing of it was kept."""

    code = "FT1411"

    def __init__(self, table: str, read: str, found: str) -> None:
        self.table, self.read, self.found = table, read, found
        super().__init__(
            f"Table '{table}' holds {found} after the import, {read} were read. Nothing was kept, the store is as it was; "
            "please report it with both stores' versions."
        )


class BadBackup(FlowtellError):
    """A backup could not be made, or a file is none that can be restored here."""

    code = "FT1412"

    def __init__(self, file: str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"Backup {file}: {problem}.")


class ProgramMissing(FlowtellError):
    """A program that does part of the work is not installed."""

    code = "FT1413"

    def __init__(self, program: str, package: str) -> None:
        self.program, self.package = program, package
        super().__init__(
            f"This needs the program '{program}', which is not on the PATH. Install PostgreSQL's client of at least the "
            f"server's version (Debian: {package}), or use 'flowtell db export', which needs none."
        )


class FileInTheWay(FlowtellError):
    """A file that was to be made exists."""

    code = "FT1414"

    def __init__(self, file: str) -> None:
        self.file = file
        super().__init__(f"{file} exists and is not overwritten. Name another file, or move it away.")


class StoreMissing(FlowtellError):
    """There is no store to read at a URL."""

    code = "FT1415"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(f"There is no store at {url}: {problem}. Check its spelling.")


class ColumnNotMovable(FlowtellError):
    """A plugin's table has a column that not every kind of store can hold."""

    code = "FT1416"

    def __init__(self, table: str, column: str, type: str) -> None:
        self.table, self.column, self.type = table, column, type
        super().__init__(
            f"Column '{column}' of table '{table}' is of type {type}, which cannot be moved. Text, whole and real numbers, "
            "bytes and booleans can; 'flowtell db backup' keeps everything."
        )


class RunNotFound(FlowtellError):
    """No run has this id."""

    code = "FT1404"

    def __init__(self, wanted: str, found: int = 0) -> None:
        self.wanted, self.found = wanted, found
        why = (
            f"{found} runs begin with it; give more digits" if found else "no run, trace or span has it; see 'flowtell runs'"
        )
        super().__init__(f"Run '{wanted}' not found: {why}.")


class TokenNeeded(ConfigError):
    """A server that others can reach needs a token."""

    code = "FT1405"

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"Listening on {host} lets others in, and no token is valid. Make one with 'flowtell tokens create NAME "
            "--scope admin', or set FLOWTELL_SERVER__TOKEN (or FLOWTELL_SERVER__TOKEN_FILE), or use 127.0.0.1."
        )


# --- sources ------------------------------------------------------------------------------------------------------


class SourceError(FlowtellError):
    """A source cannot be used."""

    code = "FT2000"


class SourceUnavailable(SourceError):
    """The other side does not answer as it should. Tried again by itself; nothing is lost meanwhile.

    Raised by a source; `retry_after` are seconds that the other side asked for, None where it asked for nothing.
    """

    code = "FT2001"

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        self.problem, self.retry_after = problem, retry_after
        super().__init__(problem)


class SourceRefused(SourceError):
    """A source's table in the configuration cannot be used, or its kind is not installed or has the wrong shape."""

    code = "FT2002"

    def __init__(self, name: str, problem: str) -> None:
        self.name, self.problem = name, problem
        super().__init__(f"Source '{name}' is refused: {problem}.")


class SourceTableError(SourceError):
    """A source could not be added to the configuration file, or removed from it."""

    code = "FT2003"

    def __init__(self, name: str, path: str, problem: str) -> None:
        self.name, self.path, self.problem = name, path, problem
        super().__init__(f"Source '{name}' in {path}: {problem}.")


# --- plugins ------------------------------------------------------------------------------------------------------


class PluginError(FlowtellError):
    """A plugin cannot be used."""

    code = "FT1500"


class PluginRefused(PluginError):
    """A plugin has the wrong shape, a taken name or an API range that does not fit."""

    code = "FT1501"

    def __init__(self, name: str, distribution: str, problem: str) -> None:
        self.name, self.distribution, self.problem = name, distribution, problem
        super().__init__(f"Plugin '{name}' of distribution '{distribution}' is refused: {problem}.")


class BadWriteSet(PluginError):
    """A plugin offered statements that it may not make."""

    code = "FT1502"

    def __init__(self, plugin: str, problem: str) -> None:
        self.plugin, self.problem = plugin, problem
        super().__init__(f"Write set of plugin '{plugin}': {problem}.")


class PluginTimedOut(PluginError):
    """A plugin's call ran past its deadline; what it wrote is thrown away."""

    code = "FT1503"

    def __init__(self, plugin: str, call: str, seconds: float) -> None:
        self.plugin, self.call, self.seconds = plugin, call, seconds
        super().__init__(f"Plugin '{plugin}' did not return from {call} within {seconds:g} s.")


class CannotReplay(PluginError):
    """What a plugin has made cannot be made again."""

    code = "FT1505"

    def __init__(self, plugin: str, problem: str) -> None:
        self.plugin, self.problem = plugin, problem
        super().__init__(f"Plugin '{plugin}' cannot replay: {problem}.")


# --- who may use the server, and what it takes ----------------------------------------------------------------------


class TokenNotFound(FlowtellError):
    """No token has this id or name."""

    code = "FT1901"

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__(f"There is no token '{wanted}'. See 'flowtell tokens list --all'.")


class TokenNameTaken(FlowtellError):
    """A token that is not revoked has this name."""

    code = "FT1902"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"There is a token '{name}' already. Choose another name, or 'flowtell tokens revoke {name}' first."
        )


class BodyRefused(FlowtellError):
    """What was sent to the server cannot be taken; `status` is the answer's."""

    code = "FT1903"
    status = 400


class BodyTooLarge(BodyRefused):
    """A body is longer than the server takes, as sent or unpacked."""

    code = "FT1904"
    status = 413

    def __init__(self, limit: int, what: str = "A body") -> None:
        self.limit, self.what = limit, what
        super().__init__(f"{what} is at most {limit:,} bytes. Send less at a time, or raise server.max_body_bytes.")


class BodyMalformed(BodyRefused):
    """A body is not what its headers say: broken compression, no JSON, or JSON that is nested too deeply."""

    code = "FT1905"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"The body cannot be read: {problem}.")


class EncodingUnknown(BodyRefused):
    """A body is compressed in a way that the server does not undo."""

    code = "FT1906"
    status = 415

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        super().__init__(f"Content-Encoding '{encoding}' is not known here. Use gzip, deflate or none.")


class BodyTooSlow(BodyRefused):
    """A body did not arrive in time."""

    code = "FT1907"
    status = 408

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"The body did not arrive within {seconds:.0f} s. Send it faster, or in smaller parts.")


# --- shipping -----------------------------------------------------------------------------------------------------


class ShippingError(FlowtellError):
    """Journals cannot be shipped now."""

    code = "FT1810"


class ServerUnreachable(ShippingError):
    """No server answers at the configured addresses, or not as one does."""

    code = "FT1811"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(
            f"The server at {url} cannot be reached ({problem}). Events are kept here, and shipped when it can."
        )


class ShippingRefused(ShippingError):
    """The server answered, and did not take what was sent."""

    code = "FT1812"

    def __init__(self, url: str, status: int, problem: str, retry_after: float = 0.0) -> None:
        self.url, self.status, self.problem, self.retry_after = url, status, problem, retry_after
        advice = " Set FLOWTELL_TOKEN or FLOWTELL_TOKEN_FILE." if status in (401, 403) else ""
        super().__init__(f"The server at {url} takes no events now ({status}: {problem}).{advice} They are kept here.")


class AskTheServer(ShippingError):
    """A reading command where no store is: the runs are at the server."""

    code = "FT1813"

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"Runs of this machine are shipped to {url}, and no store is here. Look there, or unset FLOWTELL_URL."
        )


class NoServerNamed(ShippingError):
    """An agent without an address to ship to."""

    code = "FT1814"

    def __init__(self, given: str = "") -> None:
        self.given = given
        what = f"'{given}' is no address of a server" if given else "An agent needs a server to ship to"
        super().__init__(f"{what}: give --url https://HOST:PORT, or set FLOWTELL_URL.")


# --- schedules and deployments --------------------------------------------------------------------------------------


class ScheduleError(FlowtellError):
    """Something about schedules, deployments or what is asked of a run."""

    code = "FT2300"


class BadSchedule(ScheduleError):
    """A schedule that cannot be evaluated."""

    code = "FT2301"

    def __init__(self, schedule: str, problem: str) -> None:
        self.schedule, self.problem = schedule, problem
        super().__init__(f"Schedule '{schedule}' cannot be used: {problem}.")


class BadDeployment(ScheduleError):
    """A deployment that cannot be served."""

    code = "FT2302"

    def __init__(self, deployment: str, problem: str) -> None:
        self.deployment, self.problem = deployment, problem
        super().__init__(f"Deployment '{deployment}' cannot be served: {problem}.")


class FlowNotReachable(BadDeployment):
    """A deployment's flow cannot be imported by the process that is to run it."""

    code = "FT2303"


class RunNotCancellable(ScheduleError):
    """A run that cannot be cancelled from here, or not any more."""

    code = "FT2304"
    status = 409

    def __init__(self, run: str, problem: str) -> None:
        self.run, self.problem = run, problem
        super().__init__(f"Run {run} was not cancelled: {problem}.")


class DeploymentServed(ScheduleError):
    """A deployment that was to be removed is being served."""

    code = "FT2306"

    def __init__(self, deployment: str, pid: str) -> None:
        self.deployment, self.pid = deployment, pid
        super().__init__(f"Deployment '{deployment}' is served by process {pid}. Stop that first.")


class DeploymentNotFound(ScheduleError):
    """No deployment of this name was served from this home."""

    code = "FT2305"

    def __init__(self, wanted: str, suggestion: str = "") -> None:
        self.wanted = wanted
        hint = f"Did you mean '{suggestion}'?" if suggestion else "See 'flowtell deployments'."
        super().__init__(f"There is no deployment '{wanted}'. {hint}")


class BadBackfill(ScheduleError):
    """A back-fill that cannot be: of these dates, of these parameters, or with nowhere to write what is done."""

    code = "FT2310"

    def __init__(self, flow: str, problem: str) -> None:
        self.flow, self.problem = flow, problem
        super().__init__(f"Flow '{flow}' cannot be back-filled so: {problem}.")


class BackfillGoesOn(ScheduleError):
    """Another process fills the same back-fill."""

    code = "FT2311"

    def __init__(self, name: str, pid: str) -> None:
        self.name, self.pid = name, pid
        super().__init__(f"Back-fill '{name}' is being filled by process {pid}. Wait for it, or give another --name.")


class BackfillFailed(ScheduleError):
    """Runs of a back-fill did not complete."""

    code = "FT2312"

    def __init__(self, name: str, failed: int, total: int) -> None:
        self.name, self.failed, self.total = name, failed, total
        super().__init__(
            f"{failed} of the {total} runs of back-fill '{name}' did not complete. The same command runs those again."
        )


class TransactionNotKept(FlowtellError):
    """The home takes no record of a transaction; it goes on, and cannot be undone after a kill."""

    code = "FT1310"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"Transactions are not kept in {path}: {problem}. They go on, and are not rolled back if the process is killed."
        )


# --- check-ins and limits -------------------------------------------------------------------------------------------


class BadPing(FlowtellError):
    """A check-in that says nothing that can be kept."""

    code = "FT2450"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"The check-in was not taken: {problem}.")


class BadLimit(FlowtellError, ValueError):
    """A limit on what runs at a time that cannot be."""

    code = "FT2451"

    def __init__(self, limit: str, problem: str) -> None:
        self.limit, self.problem = limit, problem
        super().__init__(f"Limit '{limit}' cannot be used: {problem}.")


class LimitDeadlock(FlowtellError):
    """A run inside others that hold limits waits for what can only be free once it has ended."""

    code = "FT2452"

    def __init__(self, limits: tuple[str, ...], holders: tuple[str, ...]) -> None:
        self.limits, self.holders = limits, holders
        names, runs = ", ".join(limits), ", ".join(holders)
        super().__init__(
            f"Nothing would ever become free: {names} is held by runs ({runs}) that wait for what is held around this one. "
            "Take limits in one order, or raise one of them."
        )


class LimitsNotKept(FlowtellError):
    """The place where limits are kept cannot be had, so runs go on without, or with those of this machine alone."""

    code = "FT2453"

    def __init__(self, place: str, problem: str, instead: str) -> None:
        self.place, self.problem, self.instead = place, problem, instead
        super().__init__(f"Limits are kept at {place}, which cannot be had ({problem}): {instead}.")


# --- paused runs ----------------------------------------------------------------------------------------------------


class PauseError(FlowtellError):
    """A run cannot pause, or not go on."""

    code = "FT2600"


class PauseOutsideFlow(PauseError):
    """Something paused that is no flow run."""

    code = "FT2601"

    def __init__(self, task: str = "") -> None:
        self.task = task
        where = f"in task '{task}'" if task else "outside a flow run"
        super().__init__(f"pause_flow_run was called {where}. Call it in the function of the flow that is to pause.")


class FlowPauseTimeout(PauseError):
    """A paused run was not answered in time."""

    code = "FT2602"

    def __init__(self, flow: str, run: str, key: str, seconds: float | None) -> None:
        self.flow, self.run, self.key, self.seconds = flow, run, key, seconds
        within = "in time" if seconds is None else f"within {seconds:g} s"
        super().__init__(
            f"Nobody answered pause '{key}' of flow '{flow}' {within}. Run it again, or give it a longer timeout."
        )


class NobodyAnswers(PauseError):
    """In a test's harness, a pause that waits for ever has no answer, and nobody is there to give one."""

    code = "FT2607"

    def __init__(self, flow: str, key: str) -> None:
        self.flow, self.key = flow, key
        super().__init__(
            f"Pause '{key}' of flow '{flow}' has no timeout, and no answer stands ready in the harness. "
            "Give one before, by h.answer(...), or run the flow by h.start(...) and answer meanwhile."
        )


class BadQuestion(PauseError):
    """What a pause is to wait for, or how, makes no sense."""

    code = "FT2603"

    def __init__(self, what: str, problem: str) -> None:
        self.what, self.problem = what, problem
        super().__init__(f"pause_flow_run({what}): {problem}.")


class BadAnswer(PauseError):
    """An answer does not fit what was asked; the run goes on waiting.

    `problems` has one entry for each thing that is wrong, with its `field`.
    """

    code = "FT2604"
    status = 422

    def __init__(self, key: str, problems: tuple[object, ...]) -> None:
        self.key, self.problems = key, problems
        told = "; ".join(map(str, self.problems))
        super().__init__(f"The answer to '{key}' does not fit: {told}. The run still waits: correct it and answer again.")


class RunNotPaused(PauseError):
    """A run that is to go on does not wait for an answer, or not for this one."""

    code = "FT2605"
    status = 409

    def __init__(self, run: str, problem: str) -> None:
        self.run, self.problem = run, problem
        super().__init__(f"Run {run} was not resumed: {problem}.")


class BoxFull(PauseError):
    """A run was told more than is kept."""

    code = "FT2606"

    def __init__(self, path: str, limit: int) -> None:
        self.path, self.limit = path, limit
        super().__init__(f"{path} holds answers of {limit:,} bytes already; the run takes no more of them.")


# --- plugins in a process of their own ----------------------------------------------------------------------------


class IsolatedFailure(PluginError):
    """An isolated plugin raised; its own traceback is the cause."""

    code = "FT1710"

    def __init__(self, plugin: str, type: str, message: str, traceback: str = "", *, unwell: bool = False) -> None:
        self.plugin, self.type, self.problem, self.unwell = plugin, type, message, unwell
        self.kind = type
        """What it counts as: each kind is logged once."""
        super().__init__(f"{type}: {message}")
        if traceback:
            self.__cause__ = _Told(traceback)


class _Told(Exception):
    """A traceback of another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class PluginDied(PluginError):
    """The process of an isolated plugin ended during a call."""

    code = "FT1711"

    def __init__(self, plugin: str, call: str, how: str, last_words: str = "") -> None:
        self.plugin, self.call, self.how, self.last_words = plugin, call, how, last_words
        said = f" It had printed: {last_words}" if last_words else ""
        super().__init__(f"The process of plugin '{plugin}' {how} in {call}.{said}")


class PluginOutgrew(PluginError):
    """An isolated plugin took more memory than it may, and was killed."""

    code = "FT1712"

    def __init__(self, plugin: str, call: str, memory: int, bound: int) -> None:
        self.plugin, self.call, self.memory, self.bound = plugin, call, memory, bound
        super().__init__(
            f"Plugin '{plugin}' held {memory >> 20} MiB in {call}, its isolate_memory_mb is {bound >> 20}. It was killed."
        )


class NotIsolable(PluginRefused):
    """A plugin needs something that is to be had in the server's own process only."""

    code = "FT1713"

    def __init__(self, name: str, problem: str, distribution: str = "") -> None:
        super().__init__(name, distribution, problem)


# --- task runners --------------------------------------------------------------------------------------------------


class TaskRunnerError(FlowtellError):
    """Something about the processes that run tasks."""

    code = "FT2710"


class WorkerDied(TaskRunnerError):
    """The process that ran a task ended in the middle of it. The attempt has crashed; with retries left, another follows."""

    code = "FT2711"

    def __init__(self, task: str, worker: str, how: str, signal: str = "", *, begun_anew: bool = False) -> None:
        self.task, self.worker, self.how, self.signal = task, worker, how, signal
        then = "Another has begun it again." if begun_anew else "Others go on; `retries` begins it again."
        why = " Unless somebody killed it, memory ran out: the kernel's log tells." if signal == "SIGKILL" else ""
        super().__init__(f"Worker {worker} {how} while it ran task '{task}'.{why} {then}")


class CannotCross(TaskRunnerError):
    """An argument, a result or the code of a task cannot be sent to another process."""

    code = "FT2712"

    def __init__(self, task: str, what: str, kind: str, problem: str) -> None:
        self.task, self.what, self.kind, self.problem = task, what, kind, problem
        super().__init__(
            f"{what} of task '{task}' cannot be sent to another process: {kind}: {problem}."
            " Hand over what it is made from (a path, a URL, rows), or run the task on threads."
        )


class WorkerCannotLoad(TaskRunnerError):
    """A worker cannot make out what it was sent: a module is not there, or another version of it."""

    code = "FT2713"

    def __init__(self, task: str, worker: str, problem: str) -> None:
        self.task, self.worker, self.problem = task, worker, problem
        super().__init__(
            f"Worker {worker} cannot load task '{task}' or its arguments: {problem}. Install there what it needs."
        )


class DaskMissing(TaskRunnerError):
    """`DaskTaskRunner` is used, and `distributed` is not installed."""

    code = "FT2714"

    def __init__(self) -> None:
        super().__init__(
            "DaskTaskRunner needs the module 'distributed', which is not installed: pip install \"flowtell[dask]\"."
        )


# --- metrics -------------------------------------------------------------------------------------------------------


class ExportFailed(FlowtellError):
    """A file could not be written."""

    code = "FT2201"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path} cannot be written: {problem}. What was written before it stays.")


class ExtraMissing(PluginError):
    """A plugin is switched on and what it needs is not installed."""

    code = "FT2202"

    def __init__(self, plugin: str, module: str, extra: str) -> None:
        self.plugin, self.module, self.extra = plugin, module, extra
        super().__init__(f"Plugin '{plugin}' needs the module '{module}', which is not installed: pip install \"{extra}\".")


# --- settings and secrets -----------------------------------------------------------------------------------------


class SettingsError(ConfigError):
    """Named settings cannot be had."""

    code = "FT2700"


class SettingsNotFound(SettingsError):
    """No settings of this kind have this name."""

    code = "FT2701"

    def __init__(self, kind: str, name: str, known: tuple[str, ...], suggestion: str = "", environment: str = "") -> None:
        self.kind, self.name, self.known, self.suggestion, self.environment = kind, name, known, suggestion, environment
        where = f" in environment '{environment}'" if environment else ""
        hint = f" Did you mean '{suggestion}'?" if suggestion else ""
        there = (
            f"There are {', '.join(known)}." if known else f"There are none: add [settings.{kind}.{name}] to flowtell.toml."
        )
        super().__init__(f"There are no settings '{kind}.{name}'{where}.{hint} {there}")


class BadSettings(SettingsError):
    """Named settings do not fit the class that takes them."""

    code = "FT2702"

    def __init__(self, full_name: str, problems: tuple[str, ...]) -> None:
        self.full_name, self.problems = full_name, problems
        super().__init__(f"Settings '{full_name}' cannot be used: {'; '.join(problems)}.")


class SecretExposed(SettingsError):
    """A file with secrets is readable by others than its owner."""

    code = "FT2703"

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        super().__init__(f"Others than the owner can read secrets in {', '.join(paths)}: chmod 600 keeps them out.")


class SecretNotKept(SettingsError, TypeError):
    """A secret would have been written where anybody may read it."""

    code = "FT2704"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"A secret is not written down: {problem}.")


# --- automations --------------------------------------------------------------------------------------------------


class AutomationError(FlowtellError):
    """Something about automations."""

    code = "FT2750"


class NoSuchAutomation(AutomationError):
    """No automation has this name."""

    code = "FT2751"

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name, self.known = name, known
        super().__init__(f"There is no automation '{name}'. There are: {', '.join(known) or 'none'}.")


class NoSuchField(AutomationError):
    """A parameter of an automation names a field that the event lacks."""

    code = "FT2752"

    def __init__(self, path: str, known: tuple[str, ...]) -> None:
        self.path, self.known = path, known
        super().__init__(f"There is no field '{path}'; there are {', '.join(known) or 'none'}.")


class EventNotFound(AutomationError):
    """The log has no such event."""

    code = "FT2753"

    def __init__(self, event: str) -> None:
        self.event = event
        super().__init__(f"The log has no event {event}. 'flowtell events --json' shows the ids.")
