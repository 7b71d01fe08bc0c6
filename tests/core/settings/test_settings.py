"""Named settings: typed, of an environment, from files and variables; one that is wrong is named with its place."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from flowtell import Secret, Settings
from flowtell.errors import BadSettings, BadValue, SecretNotKept, SettingsNotFound

Write = Callable[[str], Path]


class Warehouse(Settings):
    url: str
    password: Secret
    pool: int = 5
    schemas: list[str] = Field(default=[])


class HTTPService(Settings, kind="service"):
    timeout: float = 1.0


MAIN = '[settings.warehouse.main]\nurl = "db://one"\npassword = "hunter2-main"\n'


# --- where values come from ---------------------------------------------------------------------------------------


def test_a_table_of_the_file_becomes_an_object(write: Write) -> None:
    """Typed, with the class's defaults, and immutable."""
    write(MAIN)
    main = Warehouse.load("main")
    assert (main.url, main.password.get_secret_value(), main.pool) == ("db://one", "hunter2-main", 5)
    with pytest.raises(ValidationError):
        main.url = "db://two"


def test_the_environments_table_goes_over_the_file_and_variables_over_both(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Field by field; another environment's table is not looked at."""
    write(MAIN + '[environments.prod.settings.warehouse.main]\nurl = "db://prod"\n')
    assert Warehouse.load("main").url == "db://one"
    monkeypatch.setenv("FLOWTELL_ENVIRONMENT", "prod")
    assert Warehouse.load("main").url == "db://prod"
    assert Warehouse.load("main").password.get_secret_value() == "hunter2-main"
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__URL", "db://variable")
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__POOL", "7")
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__SCHEMAS", '["a", "b"]')
    main = Warehouse.load("main")
    assert (main.url, main.pool, main.schemas) == ("db://variable", 7, ["a", "b"])


def test_variables_alone_are_enough(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file; a name with a hyphen is spelled with an underscore there."""
    write("")
    monkeypatch.setenv("FLOWTELL_SETTINGS__SERVICE__EU_1__TIMEOUT", "2.5")
    assert HTTPService.load("eu-1").timeout == 2.5


def test_a_secret_comes_from_a_file(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by a variable or in the table; the later place goes before the earlier, whichever of the two it uses."""
    (tmp_path / "one").write_text("from-file\n")
    (tmp_path / "one").chmod(0o600)
    write(MAIN.replace('password = "hunter2-main"', f'password_file = "{tmp_path / "one"}"'))
    assert Warehouse.load("main").password.get_secret_value() == "from-file"
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__PASSWORD", "from-variable")
    assert Warehouse.load("main").password.get_secret_value() == "from-variable"
    monkeypatch.delenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__PASSWORD")
    write(MAIN)
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__PASSWORD_FILE", str(tmp_path / "one"))
    assert Warehouse.load("main").password.get_secret_value() == "from-file"
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__PASSWORD_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(BadValue, match="nowhere"):
        Warehouse.load("main")


def test_a_table_in_a_table(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable reaches into it by another `__`."""

    class Lake(Settings):
        options: dict[str, int] = Field(default={}, alias="opts")

    write("[settings.lake.main.opts]\nsize = 1\ndepth = 2\n")
    monkeypatch.setenv("FLOWTELL_SETTINGS__LAKE__MAIN__OPTS__SIZE", "3")
    assert Lake.load("main").options == {"size": 3, "depth": 2}


# --- what is wrong ------------------------------------------------------------------------------------------------


def test_a_name_that_there_is_not(write: Write) -> None:
    """What there is is listed, the closest named; with none of the kind, those of others."""
    write(MAIN + '[settings.warehouse.replica]\nurl = "db://two"\n')
    with pytest.raises(SettingsNotFound, match=r"Did you mean 'main'\? There are main, replica\.") as caught:
        Warehouse.load("mian")
    assert caught.value.known == ("main", "replica")
    with pytest.raises(SettingsNotFound, match=r"There are warehouse\.main, warehouse\.replica"):
        HTTPService.load("main")
    write("")
    with pytest.raises(SettingsNotFound, match=r"add \[settings\.warehouse\.main\] to flowtell\.toml"):
        Warehouse.load("main")


def test_all_that_does_not_fit_is_told_at_once_and_no_value(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field, place and what is wrong with it; a value might be what was to be kept secret."""
    write('[settings.warehouse.main]\nulr = "hunter2-ulr"\npassword = 55512345\npool = "hunter2-pool"\n')
    monkeypatch.setenv("FLOWTELL_SETTINGS__WAREHOUSE__MAIN__SCHEMAS", "[hunter2")
    with pytest.raises(BadSettings) as caught:
        Warehouse.load("main")
    told = str(caught.value)
    assert "no field 'ulr'" in told
    assert "did you mean 'url'?" in told
    assert "'url' is missing" in told
    assert "environment variable FLOWTELL_SETTINGS__WAREHOUSE__MAIN__SCHEMAS" in told
    assert "flowtell.toml" in told
    assert "hunter2" not in told
    assert "55512345" not in told
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings = 3", "settings"),
        ("[settings.warehouse]\nmain = 3", "settings.warehouse.main"),
        ("[environments.prod]\nstore = 'x'", "environments.prod.store"),
    ],
)
def test_a_table_of_another_shape_is_named(write: Write, text: str, said: str) -> None:
    write(text)
    with pytest.raises(BadValue) as caught:
        Warehouse.load("main")
    assert caught.value.key == said


def test_a_file_that_others_can_read_is_told_of(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table without secrets may be everybody's to read."""
    path = write(MAIN + "[settings.service.one]\ntimeout = 2\n")
    Warehouse.load("main")
    path.chmod(0o644)
    HTTPService.load("one")
    assert capsys.readouterr().err == ""
    Warehouse.load("main")
    told = capsys.readouterr().err
    assert f"Others than the owner can read secrets in {path}" in told
    assert "FT2703" in told


# --- a secret as a value ------------------------------------------------------------------------------------------


def test_a_secret_shows_nothing(write: Write) -> None:
    """By text, repr, format and JSON, alone and in its settings."""
    write(MAIN)
    main = Warehouse.load("main")
    for shown in (str(main.password), repr(main), f"{main.password}", main.model_dump_json(), repr([main.password])):
        assert "hunter2-main" not in shown
        assert "********" in shown
    assert copy.deepcopy(main) == main


def test_a_secret_is_pickled_as_its_place(write: Write) -> None:
    """Whoever reads the pickle loads it from there; a secret that has none is not pickled."""
    path = write(MAIN)
    main = Warehouse.load("main")
    data = pickle.dumps(main)
    assert b"hunter2" not in data
    assert pickle.loads(data) == main
    path.write_text(MAIN.replace("hunter2-main", "changed-since"))
    assert pickle.loads(data).password.get_secret_value() == "changed-since"
    with pytest.raises(SecretNotKept):
        pickle.dumps(Secret("never loaded"))


def test_config_show_hides_them_and_says_where_each_came_from(write: Write, tmp_path: Path, home: Path) -> None:
    """Every value: which are secret only the class knows."""
    write(MAIN)
    variables = {"FLOWTELL_HOME": str(home), "FLOWTELL_SETTINGS__WAREHOUSE__MAIN__POOL": "777"}
    command = [str(Path(sys.executable).with_name("flowtell")), "config", "show", "--sources", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path, check=True)
    shown = json.loads(done.stdout)
    assert shown["settings.warehouse.main.password"] == {"value": "********", "source": str(tmp_path / "flowtell.toml")}
    variable = "environment variable FLOWTELL_SETTINGS__WAREHOUSE__MAIN__POOL"
    assert shown["settings.warehouse.main.pool"] == {"value": "********", "source": variable}
    assert "hunter2" not in done.stdout
    table = subprocess.run(command[:-1], capture_output=True, text=True, env=variables, cwd=tmp_path, check=True).stdout
    assert "settings.warehouse.main.password" in table
    assert "777" not in table
