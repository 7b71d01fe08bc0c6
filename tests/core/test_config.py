"""Configuration: one key at fault is named with the closest there is, the nearest word goes first, secrets stay hidden."""

from __future__ import annotations

import pytest

from flowtell import config
from flowtell.errors import BadValue, ConfigError, UnknownKey


@pytest.fixture
def folder(tmp_path):
    """Write `flowtell.toml` there; load with `load(folder)`."""
    (tmp_path / "below").mkdir()
    return tmp_path


def load(folder, arguments=None, **environ):
    return config.load(arguments, environ, str(folder))


def write(folder, text, name="flowtell.toml"):
    (folder / name).write_text(text)


def test_file_under_environment_under_argument(folder):
    """Each place goes before the one below it, and says where a value came from."""
    assert load(folder)["server.port"] == 4727
    assert load(folder).sources["server.port"] == "default"
    write(folder, "[server]\nport = 1\n")
    assert load(folder)["server.port"] == 1
    assert load(folder, FLOWTELL_SERVER__PORT="2")["server.port"] == 2
    loaded = load(folder, {"server.port": 3}, FLOWTELL_SERVER__PORT="2")
    assert loaded["server.port"] == 3
    assert loaded.sources["server.port"] == "argument"
    assert load(folder, {"server.port": None})["server.port"] == 1


def test_a_folder_below_sees_the_file_above(folder):
    """The nearest file holds, and pyproject.toml only where it speaks of flowtell."""
    write(folder, '[tool.flowtell]\nenvironment = "above"\n', "pyproject.toml")
    write(folder / "below", "[tool.other]\nx = 1\n", "pyproject.toml")
    assert load(folder / "below")["environment"] == "above"
    write(folder / "below", 'environment = "near"\n')
    assert load(folder / "below")["environment"] == "near"


@pytest.mark.parametrize(
    ("given", "close"),
    [
        ("server.prot", "server.port"),
        ("retention.event_days", "retention.events_days"),
        ("enviroment", "environment"),
        ("qqqq", ""),
    ],
)
def test_an_unknown_key_is_an_error_with_the_closest_named(folder, given, close):
    """In a file, in the environment and as an argument."""
    table, _, key = given.rpartition(".")
    write(folder, f"[{table}]\n{key} = 1\n" if table else f"{key} = 1\n")
    variable = "FLOWTELL_" + given.upper().replace(".", "__")
    for problem in (lambda: load(folder), lambda: load("/", **{variable: "1"}), lambda: load("/", {given: 1})):
        with pytest.raises(UnknownKey) as caught:
            problem()
        assert caught.value.suggestion == close
        assert caught.value.key == given
        assert caught.value.code == "FT1101"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server.port", "many"),
        ("server.port", 1.5),
        ("retention.events_days", "old"),
        ("environment", 5),
        ("plugins.enable", 5),
    ],
)
def test_a_bad_value_is_named_with_its_place(folder, key, value):
    """The key, the value and where it stands; never a traceback of a conversion."""
    with pytest.raises(BadValue) as caught:
        load(folder, {key: value})
    assert caught.value.key == key
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["[server", "server = 5\nserver = 6", "plugin = 3", "[plugin]\nx = 1", b"environment = '\xff'", "home = []"],
    ids=["torn", "twice", "plugin number", "plugin key", "no utf-8", "list"],
)
def test_a_file_that_cannot_be_used_is_one_error(folder, text):
    """Whatever is in it, what comes out is a ConfigError that names the file."""
    (folder / "flowtell.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert "flowtell.toml" in str(caught.value)


def test_a_secret_comes_from_a_file(folder):
    """`*_FILE` names a file whose content, stripped, is the value; one that cannot be read is named."""
    (folder / "token").write_text("s3cret\n")
    assert load(folder, FLOWTELL_SERVER__TOKEN_FILE=str(folder / "token"))["server.token"] == "s3cret"
    with pytest.raises(BadValue, match="nowhere"):
        load(folder, FLOWTELL_SERVER__TOKEN_FILE=str(folder / "nowhere"))


def test_secrets_are_shown_nowhere(folder):
    """Not by repr, not by `shown`, not in an error."""
    loaded = load(folder, {"server.token": "s3cret", "store": "postgresql://me:hush@db/x"})
    assert "s3cret" not in repr(loaded)
    assert "hush" not in repr(loaded)
    assert loaded.shown("server.token") == "********"
    assert loaded["server.token"] == "s3cret"
    with pytest.raises(BadValue) as caught:
        load(folder, {"server.token": 123456})
    assert "123456" not in str(caught.value)


def test_a_plugins_keys_are_its_own(folder):
    """They are handed over unchecked, from file and environment."""
    write(folder, "[plugin.mine]\ncolour = 'red'\nsize = 3\n")
    loaded = load(folder, FLOWTELL_PLUGIN__MINE__SIZE="5")
    assert loaded.plugin("mine") == {"colour": "red", "size": "5"}
    assert loaded.plugin("other") == {}


# --- rules --------------------------------------------------------------------------------------------------------


def test_rules_are_tables_that_a_plugin_reads(folder):
    """They are no settings; whoever reads them is told the file, where there is one."""
    assert load(folder).rules_path == ""
    write(folder, '[[rules]]\nkind = "failed"\n')
    assert load(folder).rules_path == str(folder / "flowtell.toml")
    assert load(folder)["server.port"] == 4727
    write(folder, '[plugin.alerts]\nrules_path = "/etc/rules.toml"\n')
    assert load(folder).rules_path == "/etc/rules.toml"
    assert load(folder, FLOWTELL_PLUGIN__ALERTS__RULES_PATH="/other").rules_path == "/other"


@pytest.mark.parametrize("text", ["rules = 3\n", '[rules]\nkind = "failed"\n'], ids=["number", "table"])
def test_rules_that_are_no_list_are_refused(folder, text):
    """With how to write it."""
    write(folder, text)
    with pytest.raises(BadValue, match=r"\[\[rules\]\]"):
        load(folder)
