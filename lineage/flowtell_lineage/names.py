"""An asset's key and its OpenLineage name, both ways, and the one spelling of each.

OpenLineage names a dataset by two texts, namespace and name (openlineage.io/docs/spec/naming); here an asset is one key,
a URI. Every pair has one key and every key one pair. What is written in several ways gets one spelling: `s3a` is `s3`,
`postgresql` is `postgres`, hosts are lower case, passwords go, a store's own port is left out of keys and told in
namespaces, slashes at the end go. A key that people type (`postgres://shop/public/orders`) is its own spelling.

A namespace that is no address (`food_delivery`) has keys that begin with `dataset://`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

OPAQUE: Final = "flowtell"
"""Namespace of keys that are no URI."""
_WRAPPED: Final = "dataset"

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(?:/(.*))?", re.DOTALL)
_PORT: Final = re.compile(r":\d+$")
_ARN_TABLE: Final = re.compile(r"(arn:[^:/]*:[^:/]*:[^:/]*:[^:/]*)[:/]([^:/].*)", re.DOTALL)
"""Of a resource: partition, service, region and account, then what it is there (AWS General Reference, ARN format)."""

_SAME: Final = {
    "postgresql": "postgres",
    "s3a": "s3",
    "s3n": "s3",
    "gcs": "gs",
    "abfs": "abfss",
    "wasb": "wasbs",
}

_PORTS: Final = {
    "postgres": "5432",
    "redshift": "5439",
    "mysql": "3306",
    "mssql": "1433",
    "sqlserver": "1433",
    "oracle": "1521",
    "db2": "50000",
    "teradata": "1025",
    "hive": "10000",
    "cassandra": "9042",
    "crate": "4200",
    "oceanbase": "2881",
    "trino": "8080",
    "kafka": "9092",
    "hdfs": "8020",
}
"""What each listens on where nothing else is said."""

_DOTTED: Final = frozenset(_PORTS) - {"kafka", "hdfs"} | {"snowflake", "awsathena", "unitycatalog", "bigquery"}
"""Names are `database.schema.table`; keys have a slash there."""
_ROOTED: Final = frozenset({"hdfs", "dbfs", "file", "viewfs", "maprfs"})
"""Names are paths from the root. In object stores they are not, and a slash in front is a slip."""
_OBJECTS: Final = frozenset({"s3", "gs", "abfss", "wasbs"})
_BARE: Final = frozenset({"bigquery", "pubsub", "file"})
"""Namespaces of the whole world: the store's name alone."""
_FILES: Final = frozenset({"duckdb", "sqlite"})
"""Databases that are a file: the namespace is its path, and the table's name follows the last slash of a key."""
_COSMOS: Final = "azurecosmos"
_COSMOS_PATH: Final = re.compile(r"(dbs/[^/]+)(?:/(.*))?", re.DOTALL)
_HOSTS: Final = frozenset(_PORTS) | {"snowflake", "awsathena", "unitycatalog", "azurekusto", _COSMOS}
"""The authority is a host, in any case, whoever logs in."""


class Name(NamedTuple):
    """A dataset as OpenLineage names it."""

    namespace: str
    name: str


def key_of(namespace: str, name: str) -> str:
    """The key of a dataset. The same for all spellings of one dataset, and for no two datasets."""
    namespace = _without_end(namespace)
    if namespace in _BARE:
        return _key_in_bare(namespace, name)
    if namespace == OPAQUE and _is_opaque(name):
        return name
    if namespace.startswith("arn:") and "/" not in namespace:
        return f"arn://{namespace[4:]}/{name}"
    address = _URL.fullmatch(namespace)
    return (_key_at(address, name) if address else "") or f"{_WRAPPED}://{_wrapped(namespace)}/{name}"


def split(key: str) -> Name:
    """Namespace and name of a key; `key_of` brings them back to its one spelling."""
    table = _ARN_TABLE.fullmatch(key)
    if table:
        return Name(table[1], table[2])
    address = _URL.fullmatch(key)
    if address is None:
        return Name(OPAQUE, key)
    scheme, authority, path = _scheme(address[1]), address[2], address[3] or ""
    if scheme == _WRAPPED:
        return Name(_unwrapped(authority), path)
    if scheme == "arn":
        return Name(f"arn:{authority}", path)
    if scheme in _BARE and (scheme != "file" or not authority):
        return _bare(scheme, key[address.end(1) + 3 :])
    if scheme in _FILES:
        folder, _, inside = path.rstrip("/").rpartition("/")
        return Name(f"{scheme}://{authority}/{folder}".rstrip("/") if folder else f"{scheme}://{authority}", inside)
    if scheme == _COSMOS and (inner := _COSMOS_PATH.fullmatch(path)):
        return Name(f"{scheme}://{_host(scheme, authority)}/{inner[1]}", (inner[2] or "").rstrip("/"))
    return Name(_namespace(scheme, authority), _name(scheme, path))


def canonical(key: str) -> str:
    """The one spelling of a key."""
    return key_of(*split(key))


def canonical_name(namespace: str, name: str) -> Name:
    """The one spelling of a pair, with a store's own port told."""
    return split(key_of(namespace, name))


# --- from a name to a key -------------------------------------------------------------------------------------------


def _key_in_bare(scheme: str, name: str) -> str:
    """Of `bigquery`, `pubsub`, `file`. A path that does not begin at the root is nobody's but its namespace's."""
    if scheme == "file" and not name.startswith("/"):
        return f"{_WRAPPED}://{scheme}/{name}"
    if scheme == "file":
        return f"file:///{name.strip('/')}"
    return f"{scheme}://{(_swap_dots(name) if scheme in _DOTTED else name).rstrip('/')}"


def _key_at(address: re.Match[str], name: str) -> str:
    """Of a namespace that is an address; empty where it holds more than one."""
    scheme, authority, path = _scheme(address[1]), address[2], address[3] or ""
    if scheme == _COSMOS and _COSMOS_PATH.fullmatch(path) and path.count("/") == 1:
        return f"{scheme}://{_host(scheme, authority)}/{path}/{name}".rstrip("/")
    if scheme in _FILES:
        return _key_in_file(scheme, authority, path, name)
    if path or scheme in ("arn", _WRAPPED) or (scheme in _BARE and (scheme != "file" or not authority)):
        return ""
    if scheme == _COSMOS and name.startswith("dbs/"):
        return ""  # it would read as the other kind
    host = _without_port(scheme, _host(scheme, authority))
    inside = _path(scheme, name)
    return f"{scheme}://{host}/{inside}" if inside or not host else f"{scheme}://{host}"


def _key_in_file(scheme: str, authority: str, path: str, name: str) -> str:
    """Empty for a name that would read as a part of the file's path."""
    if "/" in name or (path and not name):
        return ""
    file = f"{scheme}://{authority}/{path}" if path else f"{scheme}://{authority}"
    return f"{file}/{name}" if name else file


def _path(scheme: str, name: str) -> str:
    if scheme in _DOTTED:
        return _swap_dots(name).rstrip("/")
    return (name.strip("/") if scheme in _ROOTED | _OBJECTS else name).rstrip("/")


# --- from a key to a name -------------------------------------------------------------------------------------------


def _bare(scheme: str, rest: str) -> Name:
    if scheme == "file":
        return Name(scheme, "/" + rest.strip("/"))
    return Name(scheme, _swap_slashes(rest.rstrip("/")) if scheme in _DOTTED else rest.rstrip("/"))


def _namespace(scheme: str, authority: str) -> str:
    host, port = _host(scheme, authority), _PORTS.get(scheme, "")
    if port and host and not _PORT.search(host):
        host = f"{host}:{port}"
    return f"{scheme}://{host}"


def _name(scheme: str, path: str) -> str:
    if scheme in _DOTTED:
        return _swap_slashes(path.rstrip("/"))
    if scheme in _ROOTED:
        return "/" + path.strip("/")
    return path.strip("/") if scheme in _OBJECTS else path.rstrip("/")


# --- parts ----------------------------------------------------------------------------------------------------------


def _scheme(text: str) -> str:
    """In its one spelling, without the driver that SQLAlchemy writes behind it."""
    scheme = text.lower()
    store = scheme.partition("+")[0]
    store = _SAME.get(store, store)
    return store if store in _HOSTS else _SAME.get(scheme, scheme)


def _host(scheme: str, authority: str) -> str:
    return authority.rpartition("@")[2].lower() if scheme in _HOSTS else authority


def _without_port(scheme: str, host: str) -> str:
    """Of one host; of a list of brokers each keeps its own."""
    port = _PORTS.get(scheme)
    return host.removesuffix(f":{port}") if port and "," not in host and len(host) > len(port) + 1 else host


def _without_end(namespace: str) -> str:
    """Without slashes at the end, but for those of an address that is nothing more."""
    shorter = namespace.rstrip("/")
    if shorter.endswith(":") and "/" not in shorter and _URL.fullmatch(namespace):
        bare = shorter[:-1]
        return bare if bare in _BARE else f"{shorter}//"
    return shorter


def _is_opaque(name: str) -> bool:
    return not _URL.fullmatch(name) and not _ARN_TABLE.fullmatch(name)


_TO_KEY: Final = {".": "/", "/": "%2F", "%2E": ".", "%2F": "%2E"}
_TO_NAME: Final = {there: here for here, there in _TO_KEY.items()}
_TOKEN: Final = re.compile(r"[./]|%2[EF]")


def _swap_dots(name: str) -> str:
    """Dots become slashes. What was a slash or is escaped trades places with the rest, so that nothing is lost."""
    return _TOKEN.sub(lambda found: _TO_KEY[found[0]], name)


def _swap_slashes(path: str) -> str:
    return _TOKEN.sub(lambda found: _TO_NAME[found[0]], path)


_SLASH: Final = re.compile(r"/|%(?:25)*2F")
_ESCAPED: Final = re.compile(r"%(?:25)*2F")


def _wrapped(namespace: str) -> str:
    """Without slashes: each is `%2F`, and what looks like one already gets one escape more."""
    return _SLASH.sub(lambda found: "%2F" if found[0] == "/" else f"%25{found[0][1:]}", namespace)


def _unwrapped(authority: str) -> str:
    return _ESCAPED.sub(lambda found: "/" if found[0] == "%2F" else f"%{found[0][3:]}", authority)


__all__ = ["OPAQUE", "Name", "canonical", "canonical_name", "key_of", "split"]
