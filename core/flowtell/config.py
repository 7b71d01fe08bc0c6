"""Configuration: `flowtell.toml` (or `[tool.flowtell]` in `pyproject.toml`), environment over it, arguments over both.

Each setting is declared once, in `SETTINGS`; loading, `config show --sources`, the JSON Schema and the docs read that.
The flow's process asks for two of them and must stay light, so nothing is parsed where no file is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowtell.errors import BadValue, UnknownKey

DAY = 86_400.0


class Setting(NamedTuple):
    """One key: its default, its type by that default, and a line of help. `secret` values are never shown."""

    key: str
    default: Any
    help: str
    secret: bool = False
    kind: type = str


def _text(key: str, default: str, help: str, *, secret: bool = False) -> Setting:
    return Setting(key, default, help, secret, str)


def _number(key: str, default: float, help: str) -> Setting:
    return Setting(key, default, help, False, float)


def _whole(key: str, default: int, help: str) -> Setting:
    return Setting(key, default, help, False, int)


def _switch(key: str, default: bool, help: str) -> Setting:
    return Setting(key, default, help, False, bool)


def _names(key: str, default: tuple[str, ...], help: str) -> Setting:
    return Setting(key, default, help, False, tuple)


SETTINGS: tuple[Setting, ...] = (
    _text("home", "~/.flowtell", "Folder of journals and of the default store."),
    _text("store", "", "SQLAlchemy URL of the store; default: flowtell.db in the home.", secret=True),
    _switch("quiet", False, "Whether a flow ends without its line on where to look."),
    _text("environment", "", "Name of the environment that events carry, such as 'production'."),
    _text("server.host", "127.0.0.1", "Address the server listens on; any but loopback needs a token."),
    _whole("server.port", 4727, "Port of the server; 0 takes a free one."),
    _text("server.token", "", "A token that may do everything, beside those of 'flowtell tokens'.", secret=True),
    _names("server.allowed_hosts", (), "Names a proxy in front is reached by; others are refused, and all need a token."),
    _names("server.proxies", (), "Addresses of proxies whose X-Forwarded-For and -Proto are believed."),
    _whole("server.max_body_bytes", 33_554_432, "Bytes of the largest body that ingest takes, as sent and unpacked."),
    _whole("server.max_connections", 1000, "Connections at a time; beyond that the answer is 503."),
    _number("server.requests_per_second", 500.0, "Requests a second of one token, or address without one; 0 for any."),
    _number("server.ingest_per_second", 2000.0, "The same for requests that bring events in."),
    _text("server.address", "", "URL by which other servers and agents reach this one; default: by its host and port."),
    _number("server.lease_seconds", 3.0, "Seconds after which a standby takes over from a silent server on PostgreSQL."),
    _text("url", "", "Address of a server elsewhere, to which journals are shipped; several, by commas, are tried in turn."),
    _text("token", "", "Bearer token for the server at `url`.", secret=True),
    _number("shipping.heartbeat_seconds", 10.0, "Seconds in which a shipped writer gives a sign of life; lost after two."),
    _number("shipping.agent_grace_seconds", 60.0, "Seconds that an agent may be away before its writers count as lost."),
    _number("shipping.exit_seconds", 5.0, "Seconds that a flow's process may take at its end to ship the rest."),
    _whole("shipping.memory_bytes", 64 << 20, "Bytes of events kept in memory where no journal can be written."),
    _whole("shipping.backlog_bytes", 256 << 20, "Bytes received and not yet in the log, beyond which senders are to wait."),
    _text("results.storage", "", "Folder or fsspec address where results are kept; default: results in the home."),
    _text("results.serializer", "pickle", "How they are kept: pickle, json, or either after compressed/."),
    _switch("results.refresh_cache", False, "Whether tasks compute anew what is kept, and keep that instead."),
    _number("serve.grace_seconds", 30.0, "Seconds that runs get to clean up when the process that serves them ends."),
    _number("retention.events_days", 30.0, "Days that events are kept in the log."),
    _number("retention.logs_days", 14.0, "Days that captured logs are kept."),
    _number("retention.runs_days", 365.0, "Days that runs and lineage are kept."),
    _text("alerts.heartbeat_url", "", "Address that is asked each minute while incidents are found and told.", secret=True),
    _names("plugins.enable", (), "Plugins of outsiders to switch on, by name."),
    _names("plugins.disable", (), "Built-in plugins to switch off, by name."),
    _number("plugins.deadline_seconds", 30.0, "Seconds that one call of a plugin may take."),
    _switch("plugins.trace", False, "Whether each call of a plugin is logged: what it was handed, and how long it took."),
    _names(
        "capture.redact",
        ("password", "secret", "token", "key", "credential", "authorization"),
        "Parameter names whose values are not kept.",
    ),
    _whole(
        "capture.max_value_bytes",
        16_384,
        "Bytes of one encoded parameter value that are kept; beyond that its type and size.",
    ),
    _whole(
        "capture.max_artifact_bytes",
        1_000_000,
        "Bytes of one encoded artifact that are kept; beyond that its first rows or characters.",
    ),
)

_BY_KEY = {setting.key: setting for setting in SETTINGS}
_PLUGIN_TABLE = "plugin"  # [plugin.NAME] holds that plugin's own keys, which only it knows
_SOURCE_TABLE = "source"  # [source.NAME] likewise, with its `kind`
_CHANNEL_TABLE = "channel"  # [channel.NAME] likewise, with its `type`; for the plugin that tells of incidents
_CHANNELS_PLUGIN, _CHANNELS, _CHANNELS_PATH, _HEARTBEAT = "notifications", "channels", "channels_path", "heartbeat_url"
_Tables = dict[str, dict[str, dict[str, Any]]]
_RULES = "rules"  # [[rules]] are tables that flowtell.rule_file reads, for the plugin that evaluates them
_RULES_PLUGIN, _RULES_PATH = "alerts", "rules_path"
_LIMITS = "limits"  # [limits.flow], [limits.tag] and [limits.name] hold numbers by names that are the user's
_CHECKS = "checks"  # [[checks]] are tables that flowtell.check_file reads, for the server that declares them
_NAMED, _ENVIRONMENTS = "settings", "environments"  # [settings.KIND.NAME], which flowtell.named_settings makes sense of
_NAMED_VARIABLE = "FLOWTELL_SETTINGS__"
_AUTOMATIONS = "automations"  # [[automations]] are tables that flowtell.automations reads, for the plugin of that name
_ELSEWHERE = frozenset({"demo", "debug", "test_slice", "test_seconds"})  # FLOWTELL_* read by others, and by our own tests


class NamedTables(NamedTuple):
    """The tables `[settings.KIND.NAME]` as they stand, for `flowtell.named_settings`."""

    path: str = ""
    tables: Any = None
    environments: Any = None
    """`[environments.ENVIRONMENT.settings.KIND.NAME]` goes over them."""
    variables: tuple[tuple[str, str], ...] = ()
    """And these over both: names as in the environment, without what all begin with."""


class Config(Mapping[str, Any]):
    """All settings by dotted key, each with the place it came from. Immutable; its `repr` hides secrets."""

    def __init__(
        self,
        values: dict[str, Any],
        sources: dict[str, str],
        tables: _Tables,
        checks_path: str = "",
        named: NamedTables = NamedTables(),  # noqa: B008  # immutable
    ) -> None:
        self._values, self.sources, self._tables = values, sources, tables
        self.checks_path = checks_path
        """The file whose `[[checks]]` hold; empty where none has any."""
        self.named = named

    @property
    def limits(self) -> dict[str, dict[str, Any]]:
        """The tables `[limits.flow]`, `[limits.tag]` and `[limits.name]`, for `flowtell.limits` to check."""
        return self._tables[_LIMITS]

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{key}={self.shown(key)!r}' for key in self)})"

    def shown(self, key: str) -> Any:
        """The value as it may be printed."""
        value = self._values[key]
        return "********" if _BY_KEY[key].secret and value else value

    def plugin(self, name: str) -> dict[str, Any]:
        """The keys under `[plugin.NAME]`, for that plugin's factory to check."""
        return dict(self._tables[_PLUGIN_TABLE].get(name, {}))

    def source(self, name: str) -> dict[str, Any]:
        """The keys under `[source.NAME]`: `kind`, `environment`, and the rest for that kind's factory to check."""
        return dict(self._tables[_SOURCE_TABLE].get(name, {}))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Every source that has a table, by name."""
        return tuple(sorted(self._tables[_SOURCE_TABLE]))

    @property
    def rules_path(self) -> str:
        """The file whose `[[rules]]` hold: that of the configuration unless `[plugin.alerts]` names another; or empty."""
        return str(self.plugin(_RULES_PLUGIN).get(_RULES_PATH, ""))

    @property
    def channels_plugin(self) -> str:
        """The plugin that the tables `[channel.NAME]` are for; empty where there are none."""
        return _CHANNELS_PLUGIN if self._tables[_CHANNEL_TABLE] else ""

    @property
    def home(self) -> str:
        return os.path.abspath(os.path.expanduser(str(self._values["home"])))

    @property
    def store_url(self) -> str:
        return str(self._values["store"]) or f"sqlite:///{self.home}/flowtell.db"


def load(
    arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, folder: str | None = None
) -> Config:
    """Read the configuration of `folder` (default: the working one, then its parents).

    Raises:
        UnknownKey: a key that no setting has, with the closest one named.
        BadValue: a value of the wrong type.
    """
    environ = os.environ if environ is None else environ
    values = {setting.key: setting.default for setting in SETTINGS}
    sources = dict.fromkeys(values, "default")
    tables: _Tables = {_PLUGIN_TABLE: {}, _SOURCE_TABLE: {}, _CHANNEL_TABLE: {}, _LIMITS: {}}
    path = find_file(folder or _working_folder())
    taken = _take_file(path, values, sources, tables) if path else _Taken()
    _take_environment(environ, values, sources, tables)
    for key, value in (arguments or {}).items():
        if value is not None:
            values[key], sources[key] = _checked(key, value, "arguments"), "argument"
    _hand_on_channels(path, values, tables)
    variables = tuple(
        (name.removeprefix(_NAMED_VARIABLE), environ[name]) for name in sorted(environ) if name.startswith(_NAMED_VARIABLE)
    )
    named = NamedTables(path, taken.named, taken.environments, variables)
    return Config(values, sources, tables, path if taken.has_checks else "", named)


class _Taken(NamedTuple):
    """What of a file is others' to read."""

    has_checks: bool = False
    named: Any = None
    environments: Any = None


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # deleted under the process
        return "/"


def find_file(folder: str) -> str:
    """The configuration file that holds for `folder`, or an empty string."""
    while True:
        for name in ("flowtell.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and (name == "flowtell.toml" or _mentions_flowtell(path)):
                return path
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent


def _mentions_flowtell(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"[tool.flowtell" in file.read(1_000_000)
    except OSError:
        return False


def _take_file(path: str, values: dict[str, Any], sources: dict[str, str], tables: _Tables) -> _Taken:
    import tomllib

    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except (OSError, ValueError) as error:  # no TOML, or no UTF-8
        raise BadValue("(file)", path, str(error)) from error
    if path.endswith("pyproject.toml"):
        table = _table("tool.flowtell", table.get("tool", {}).get("flowtell", {}), path)
    for part, own in tables.items():
        for name, keys in _table(part, table.pop(part, {}), path).items():
            own[name] = dict(_table(f"{part}.{name}", keys, path))
    _take_rules(table, path, tables[_PLUGIN_TABLE])
    checks = table.pop(_CHECKS, [])
    if not isinstance(checks, list):
        raise BadValue(_CHECKS, path, "it is no list of tables; write [[checks]] above the keys of each check")
    if not isinstance(table.pop(_AUTOMATIONS, []), list):
        raise BadValue(_AUTOMATIONS, path, "it is no list of tables; write [[automations]] above the keys of each")
    tables[_PLUGIN_TABLE].setdefault(_AUTOMATIONS, {}).setdefault("path", path)
    taken = _Taken(bool(checks), table.pop(_NAMED, None), table.pop(_ENVIRONMENTS, None))
    for key, value in _flat(table):
        values[key], sources[key] = _checked(key, value, path), path
    return taken


def _take_rules(table: dict[str, Any], path: str, plugins: dict[str, dict[str, Any]]) -> None:
    """Only where they are: a flow's process has no use for them, and who has reads the file again when it changes."""
    if not isinstance(table.pop(_RULES, []), list):
        raise BadValue(_RULES, path, "it is no list of tables; write [[rules]] above the keys of each rule")
    plugins.setdefault(_RULES_PLUGIN, {}).setdefault(_RULES_PATH, path)


def _hand_on_channels(path: str, values: Mapping[str, Any], tables: _Tables) -> None:
    """Channels and heartbeat are keys of the plugin that uses them, which names the file where one of them is at fault."""
    found: dict[str, Any] = {_CHANNELS: tables[_CHANNEL_TABLE], _CHANNELS_PATH: path} if tables[_CHANNEL_TABLE] else {}
    if values["alerts.heartbeat_url"]:
        found[_HEARTBEAT] = values["alerts.heartbeat_url"]
    if found:
        tables[_PLUGIN_TABLE].setdefault(_CHANNELS_PLUGIN, {}).update(found)


def _table(key: str, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadValue(key, path, f"{value!r} is not a table; write [{key}] above its keys")
    return value


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        pairs += _flat(value, f"{key}.") if isinstance(value, dict) else [(key, value)]
    return pairs


def _take_environment(environ: Mapping[str, str], values: dict[str, Any], sources: dict[str, str], tables: _Tables) -> None:
    ours = (name for name in environ if name.startswith("FLOWTELL_") and not name.startswith(_NAMED_VARIABLE))
    for variable in sorted(ours):
        key = variable[len("FLOWTELL_") :].lower().replace("__", ".")
        text, place = environ[variable], f"environment variable {variable}"
        if key.endswith("_file") and key not in _BY_KEY:
            key, text = key[:-5], _read_secret(text, place)
        part, _, rest = key.partition(".")
        if part == _LIMITS and "." in rest:
            name, _, own = rest.partition(".")
            tables[part].setdefault(name, {})[own] = _CONVERT[int](text) if text.isdigit() else text
        elif part in tables and "." in rest:
            name, _, own = rest.partition(".")
            tables[part].setdefault(name, {})[own] = text
        elif key not in _ELSEWHERE:
            values[key], sources[key] = _checked(key, text, place), place


def _read_secret(path: str, place: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise BadValue(path, place, f"cannot be read ({error.strerror})") from error


def _checked(key: str, value: Any, place: str) -> Any:
    setting = _BY_KEY.get(key)
    if setting is None:
        import difflib

        close = difflib.get_close_matches(key, _BY_KEY, n=1, cutoff=0.6)
        raise UnknownKey(key, place, close[0] if close else "")
    try:
        return _CONVERT[setting.kind](value)
    except (TypeError, ValueError):
        shown = "it" if setting.secret else repr(value)
        raise BadValue(key, place, f"{shown} is not {_WORD[setting.kind]}") from None


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return _BOOLEANS[str(value).lower()]
    except KeyError:
        raise ValueError(value) from None


def _to_names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _to_whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_CONVERT: dict[type, Any] = {str: _to_text, int: _to_whole, float: float, bool: _to_bool, tuple: _to_names}
_WORD = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of names"}
