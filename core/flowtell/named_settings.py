"""Settings by kind and name, as files and the environment give them: `[settings.warehouse.main]` for `Warehouse`'s `main`.

Plain values, each with the place it came from; the classes that check them are the user's. Over the file's tables go those
of the environment (`[environments.prod.settings.warehouse.main]`), over both variables, such as
`FLOWTELL_SETTINGS__WAREHOUSE__MAIN__URL`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from flowtell.config import Config, NamedTables
from flowtell.errors import BadValue, SettingsNotFound

FILE: Final = "_file"
"""A field's name with this behind it names the file that holds its value."""


class Given(NamedTuple):
    """One value that somebody gave, a table's values one by one."""

    path: tuple[str, ...]
    """Field, and below it the keys of a table."""
    value: Any
    source: str
    file: str = ""
    """Of the file in which it stands as it is; empty for the environment."""


All = dict[tuple[str, str], list[Given]]
"""By kind and name; what is last goes over what is before it."""


def plain(name: str) -> str:
    """As a variable of the environment spells it, which has no capitals and no hyphens."""
    return name.lower().replace("-", "_")


def all_settings(config: Config) -> All:
    """Everything that holds in the configuration's environment.

    Raises:
        BadValue: a table is none, or a variable names no field.
    """
    given: dict[tuple[str, str], dict[tuple[str, ...], Given]] = {}
    for key, one in _given(config.named, str(config["environment"])):
        fields = given.setdefault(key, {})
        place = tuple(plain(part) for part in one.path)
        before = fields.pop(place, one)  # so that what comes later is later in the order, too
        fields[place] = one._replace(path=before.path)
    return {key: list(fields.values()) for key, fields in given.items()}


def settings_named(config: Config, kind: str, name: str) -> list[Given]:
    """What was given for these settings.

    Raises:
        SettingsNotFound: nothing was; what there is is named.
        BadValue: as `all_settings`.
    """
    found = all_settings(config)
    if (kind, plain(name)) in found:
        return found[kind, plain(name)]
    known = tuple(sorted(one for of, one in found if of == kind))
    close = difflib.get_close_matches(plain(name), known, n=1)
    if not known:
        kinds = sorted({of for of, _ in found})
        known = tuple(f"{of}.{one}" for of, one in sorted(found))
        close = [f"{of}.{name}" for of in difflib.get_close_matches(kind, kinds, n=1)]
    raise SettingsNotFound(kind, name, known, next(iter(close), ""), config["environment"])


def text_of(config: Config, kind: str, name: str, field: str) -> str:
    """One field's text as it holds now.

    Raises:
        SettingsNotFound, BadValue: it is not given any more, or its file cannot be read.
    """
    found = ""
    is_there = False
    for one in settings_named(config, kind, name):
        if plain(one.path[0]) == plain(field):
            found, is_there = str(one.value), True
        elif plain(one.path[0]) == plain(field) + FILE:
            found, is_there = read_file(str(one.value), one.source), True
    if not is_there:
        raise SettingsNotFound(kind, f"{name}.{field}", (), "", config["environment"])
    return found


def read_file(path: str, place: str) -> str:
    """What a file holds, without the line break at its end.

    Raises:
        BadValue: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().rstrip("\r\n")
    except OSError as error:
        raise BadValue(path, place, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise BadValue(path, place, "is no text in UTF-8") from None


def _given(named: NamedTables, environment: str) -> Iterator[tuple[tuple[str, str], Given]]:
    yield from _of_tables("settings", {} if named.tables is None else named.tables, named.path)
    own = _table("environments", {} if named.environments is None else named.environments, named.path)
    for one, tables in own.items():
        prefix = f"environments.{one}"
        for key, value in _table(prefix, tables, named.path).items():
            if key != "settings":
                raise BadValue(f"{prefix}.{key}", named.path, "an environment's table holds settings alone")
            if one == environment:
                yield from _of_tables(f"{prefix}.settings", value, named.path)
    for variable, text in named.variables:
        yield _of_variable(variable, text)


def _of_tables(prefix: str, tables: Any, path: str) -> Iterator[tuple[tuple[str, str], Given]]:
    for kind, names in _table(prefix, tables, path).items():
        for name, fields in _table(f"{prefix}.{kind}", names, path).items():
            own = f"{prefix}.{kind}.{name}"
            source = path if prefix == "settings" else f"{path} [{own}]"
            for place, value in _leaves(_table(own, fields, path)):
                yield (plain(kind), plain(name)), Given(place, value, source, path)


def _of_variable(variable: str, text: str) -> tuple[tuple[str, str], Given]:
    kind, *rest = variable.lower().split("__")
    source = f"environment variable FLOWTELL_SETTINGS__{variable}"
    if len(rest) < 2 or not all((kind, *rest)):
        problem = "it is to name a kind, a name and a field: FLOWTELL_SETTINGS__WAREHOUSE__MAIN__URL"
        raise BadValue("settings", source, problem)
    return (kind, rest[0]), Given(tuple(rest[1:]), text, source)


def _table(key: str, value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadValue(key, path, "is no table: settings are [settings.KIND.NAME]")
    return value


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


__all__ = ["FILE", "All", "Given", "all_settings", "plain", "read_file", "settings_named", "text_of"]
