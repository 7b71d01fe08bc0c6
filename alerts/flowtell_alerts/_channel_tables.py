"""The tables `[channel.NAME]` of a configuration: which channel each makes, whom it tells, and where a slip in it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from msgspec import Struct

from flowtell.errors import BadValue, ConfigError, UnknownKey
from flowtell.rules import SEVERITIES, seconds
from flowtell_alerts._route import Offer, Route
from flowtell_alerts.channels import Channel, ChannelRefused, Factory
from flowtell_alerts.channels.settings import checked, place_of

GROUP: Final = "flowtell.channels"


class Common(Struct, frozen=True):
    """Keys that every channel has."""

    repeat: str = ""
    """How often people are reminded of what is open and not acknowledged, such as '4h'; never unless it is said."""
    hourly: int = -1
    """Most messages in an hour; 0 for any number, the type's own unless it is said."""
    severity: str = SEVERITIES[0]
    """The least severity that it is told of."""
    flow: tuple[str, ...] = ()
    """Patterns, of which one must fit; likewise those that follow."""
    environment: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()


def offers_of(tables: Mapping[str, Mapping[str, Any]], path: str, *, taken: Container[str]) -> list[Offer]:
    """The channels that the tables make; each is made once to see that it can be.

    Args:
        path: the file that the tables stand in, where there is one.
        taken: names that channels have already.

    Raises:
        UnknownKey, BadValue, ChannelRefused, ExtraMissing: one that cannot be made, with file and line.
    """
    return [_offer(name, table, path, taken) for name, table in tables.items()]


def types() -> dict[str, EntryPoint]:
    """Every installed type of channel. The first distribution by name keeps a name that two have."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.dist.name if entry.dist else "", reverse=True)
    return {entry.name: entry for entry in found}


def _offer(name: str, table: Mapping[str, Any], path: str, taken: Container[str]) -> Offer:
    try:
        if name in taken:
            raise BadValue("(name)", place_of(name), "[plugin.notifications] makes a channel of this name; take another")
        offer = _checked(name, table, path)
        offer.make().close()
    except (UnknownKey, BadValue) as error:
        raise _placed(error, name, path) from None
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  # an outsider's factory, whose text may hold a secret
        raise ChannelRefused(name, where(path, name), f"its factory raised {type(error).__name__}") from None
    return offer


def _checked(name: str, table: Mapping[str, Any], path: str) -> Offer:
    own = {key: value for key, value in table.items() if key not in Common.__struct_fields__ and key != "type"}
    common = _common(name, table)
    factory = _factory(name, table.get("type"), path)

    def make() -> Channel:
        channel = factory(name, dict(own))
        channel.name = name
        if common.repeat:
            channel.repeat_seconds = seconds(common.repeat)
        if common.hourly >= 0:
            channel.hourly = common.hourly
        return channel

    return Offer(make, Route(common.severity, common.flow, common.environment, common.owner, common.rule))


def _common(name: str, table: Mapping[str, Any]) -> Common:
    place = place_of(name)
    one_or_more = ("flow", "environment", "owner", "rule")
    given = {key: value for key, value in table.items() if key in Common.__struct_fields__}
    given |= {key: [given[key]] for key in one_or_more if isinstance(given.get(key), str) and "," not in given[key]}
    common = checked(name, given, Common)
    if common.severity not in SEVERITIES:
        raise BadValue("severity", place, f"it is none of {', '.join(SEVERITIES)}")
    try:
        if common.repeat and not 60 <= seconds(common.repeat) <= 30 * 86_400:
            raise BadValue("repeat", place, "it must lie between '1m' and '30d'")
    except ValueError as error:
        raise BadValue("repeat", place, str(error)) from None
    return common


def _factory(name: str, kind: Any, path: str) -> Factory:
    known = types()
    if kind not in known:
        close = difflib.get_close_matches(str(kind), known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(known))}"
        raise BadValue(
            "type", place_of(name), f"there is no type of channel {kind!r}; {hint}" if kind else f"it is missing; {hint}"
        )
    try:
        factory = known[kind].load()
    except (Exception, SystemExit) as error:
        problem = f"{known[kind].value} cannot be imported ({type(error).__name__}: {error})"
        raise ChannelRefused(name, where(path, name), problem) from error
    if not callable(factory):
        raise ChannelRefused(name, where(path, name), f"{known[kind].value} is no factory: it cannot be called")
    return factory  # type: ignore[no-any-return]


# --- where it stands ------------------------------------------------------------------------------------------------


def _placed(error: UnknownKey | BadValue, name: str, path: str) -> ConfigError:
    place = where(path, name, error.key)
    if isinstance(error, UnknownKey):
        return UnknownKey(error.key, place, error.suggestion)
    return BadValue(error.key, place, error.problem)


def where(path: str, name: str, key: str = "") -> str:
    """File and line of a channel's key, else of its table: `flowtell.toml:12, [channel.ops]`."""
    table = place_of(name)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):  # none, as where all is in environment variables
        return table
    begins = next((number for number, line in enumerate(lines, 1) if _heads(line, name)), 0)
    if not begins:
        return f"{path}, {table}"
    return f"{path}:{_line_of(key, lines, begins)}, {table}"


def _heads(line: str, name: str) -> bool:
    quoted = re.escape(name)
    return re.match(rf"""\s*\[\s*(tool\s*\.\s*flowtell\s*\.\s*)?channel\s*\.\s*["']?{quoted}["']?\s*\]""", line) is not None


def _line_of(key: str, lines: list[str], begins: int) -> int:
    for number, line in enumerate(lines[begins:], begins + 1):
        if line.lstrip().startswith("["):
            break
        if re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
            return number
    return begins


__all__ = ["GROUP", "Common", "offers_of", "types", "where"]
