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
        super().__init__(f"No store for '{scheme}://'. Use sqlite:///PATH, or leave FLOWTELL_STORE unset for the default.")


# --- events and the journal ---------------------------------------------------------------------------------------


class MalformedEvent(FlowtellError):
    """A line or value that is no event."""

    code = "FT1201"

    def __init__(self, type: str, problem: str) -> None:
        self.type, self.problem = type, problem
        super().__init__(f"Malformed event{f' {type!r}' if type else ''}: {problem}")


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


class RunCancelled(FlowtellError):
    """The result was asked of a run that what surrounds it had cancelled."""

    code = "FT1307"

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"{kind.capitalize()} run '{name}' was cancelled: the flow run around it had ended.")


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
            f"Listening on {host} lets others in: set FLOWTELL_SERVER__TOKEN (or FLOWTELL_SERVER__TOKEN_FILE), "
            "or use 127.0.0.1."
        )


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
