"""`flowtell sources add` and `remove` change one table and leave every other line as it is."""

from __future__ import annotations

import os
import tomllib

import pytest

from flowtell.cli import source_table
from flowtell.errors import SourceTableError

HAND_WRITTEN = """# ours
[server]
port = 1 # not the usual one

[source.other] # stays
kind = "prefect"
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_a_new_file_is_its_owners_alone(folder):
    """It may hold a key."""
    path = source_table.add("prefect", {"kind": "prefect", "api_key": 'a"b'}, str(folder))
    assert tomllib.loads((folder / "flowtell.toml").read_text()) == {
        "source": {"prefect": {"kind": "prefect", "api_key": 'a"b'}}
    }
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_added_and_removed_is_as_before(folder):
    """Comments, order and spacing of everything else included."""
    file = folder / "flowtell.toml"
    file.write_text(HAND_WRITTEN)
    source_table.add("prefect", {"kind": "prefect", "api_url": "http://x"}, str(folder))
    assert tomllib.loads(file.read_text())["source"]["prefect"]["api_url"] == "http://x"
    source_table.remove("prefect", str(folder))
    assert file.read_text() == HAND_WRITTEN


def test_a_table_between_others_is_taken_out(folder):
    file = folder / "flowtell.toml"
    file.write_text('[source.a]\nkind = "x"\n\n[source.b]\nkind = "y"\n[source.b.deep]\nz = 1\n\n[server]\nport = 2\n')
    source_table.remove("b", str(folder))
    assert tomllib.loads(file.read_text()) == {"source": {"a": {"kind": "x"}}, "server": {"port": 2}}


def test_pyproject_has_its_own_place(folder):
    file = folder / "pyproject.toml"
    file.write_text('[tool.flowtell]\nenvironment = "prod"\n')
    source_table.add("prefect", {"kind": "prefect"}, str(folder))
    assert tomllib.loads(file.read_text())["tool"]["flowtell"]["source"] == {"prefect": {"kind": "prefect"}}


@pytest.mark.parametrize("text", ['source = {prefect = {kind = "x"}}\n', '[source]\nprefect = {kind = "x"}\n'])
def test_what_is_written_another_way_is_left_alone(folder, text):
    (folder / "flowtell.toml").write_text(text)
    with pytest.raises(SourceTableError, match="by hand"):
        source_table.remove("prefect", str(folder))
    assert (folder / "flowtell.toml").read_text() == text


@pytest.mark.parametrize(
    ("name", "problem"),
    [("Prefect", "small letters"), ("other", "already"), ("a.b", "small letters"), ("", "small letters")],
)
def test_a_name_that_cannot_be_used(folder, name, problem):
    (folder / "flowtell.toml").write_text(HAND_WRITTEN)
    with pytest.raises(SourceTableError, match=problem):
        source_table.add(name, {"kind": "prefect"}, str(folder))
