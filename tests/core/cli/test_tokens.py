"""`flowtell tokens`: made, listed, revoked; shown once, kept nowhere."""

from __future__ import annotations

import re
import sqlite3

import pytest

MADE = re.compile(r"ft_[A-Za-z0-9_-]{43}")


def make(flowtell, *words):
    return flowtell("tokens", "create", *words, "--json").json


def test_a_token_is_shown_once_and_kept_nowhere(flowtell, home):
    """The store has a digest of it; no listing shows it, nor does any file of the home hold it."""
    outcome = flowtell("tokens", "create", "agent", "--scope", "ingest")
    token = dict(outcome.rows)["token"]
    assert MADE.fullmatch(token)
    assert token not in outcome.err
    for words in (("list",), ("list", "--all", "--json"), ("revoke", "agent"), ("list", "--all")):
        assert token not in "".join(flowtell("tokens", *words)[1:])
    held = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert token.encode() not in held
    assert token[3:].encode() not in held


def test_scopes_are_checked_and_put_in_order(flowtell):
    assert make(flowtell, "a", "--scope", "ingest,read", "--scope", "read")["scopes"] == ["read", "ingest"]
    for words in (("--scope", "write"), ("--scope", ""), ()):
        outcome = flowtell("tokens", "create", "b", *words)
        assert outcome.code == 2
        assert "There are: read, ingest, operate, admin." in outcome.err


def test_a_token_can_expire(flowtell):
    """In minutes, hours, days or weeks; what is no such time is said."""
    made = make(flowtell, "a", "--scope", "read", "--expires", "90d")
    assert made["expires"] - made["created"] == 90 * 86_400 * 1_000_000
    for wrong in ("0d", "90", "d", "-1d", "1.5h", "9999999w", "\u0661d", "1y", " 1d"):
        assert flowtell("tokens", "create", "b", "--scope", "read", f"--expires={wrong}").code == 2, wrong


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "\x1b[31m"])
def test_a_strange_name_is_refused(flowtell, name):
    assert flowtell("tokens", "create", name, "--scope", "read").code == 2


def test_a_name_is_free_again_once_its_token_is_revoked(flowtell):
    first = make(flowtell, "web", "--scope", "read")
    assert flowtell("tokens", "create", "web", "--scope", "read").err.startswith("Error FT1902")
    assert flowtell("tokens", "revoke", "web", "--json").json["id"] == first["id"]
    second = make(flowtell, "web", "--scope", "read")
    assert flowtell("tokens", "revoke", "web", "--json").json["id"] == second["id"]
    assert [row[3] for row in flowtell("tokens", "list", "--all").rows] == ["revoked", "revoked"]
    assert flowtell("tokens", "list", "--json").json == []


def test_a_token_is_revoked_by_id_name_or_itself(flowtell):
    """Once more changes nothing; one that is not there is said, and is not repeated where it might be a token."""
    made = [make(flowtell, name, "--scope", "read") for name in ("a", "b", "c")]
    for wanted, token in ((made[0]["id"], made[0]), ("b", made[1]), (made[2]["token"], made[2])):
        revoked = flowtell("tokens", "revoke", wanted, "--json").json
        assert (revoked["id"], revoked["state"]) == (token["id"], "revoked")
        assert flowtell("tokens", "revoke", wanted, "--json").json["revoked"] == revoked["revoked"]
    assert flowtell("tokens", "revoke", "nobody").err.startswith("Error FT1901: There is no token 'nobody'")
    unknown = "ft_" + "x" * 43
    assert unknown not in flowtell("tokens", "revoke", unknown).err


def test_clearing_needs_a_yes(flowtell):
    make(flowtell, "a", "--scope", "admin")
    assert flowtell("tokens", "clear").code == 2
    assert len(flowtell("tokens", "list").rows) == 1
    assert flowtell("tokens", "clear", "--yes", "--json").json == {"deleted": 1}


def test_a_store_from_before_there_were_tokens_gets_the_table(flowtell, home):
    """A token can be made in it, and asking for them is no error."""
    flowtell("tokens", "list")
    with sqlite3.connect(home / "flowtell.db") as connection:
        connection.execute("DROP TABLE tokens")
    connection.close()
    assert flowtell("tokens", "list", "--json").json == []
    assert make(flowtell, "a", "--scope", "read")["name"] == "a"


def check(flowtell):
    return next(check for check in flowtell("doctor", "--json").json if check["name"] == "tokens")


def test_doctor_warns_of_a_store_that_everybody_reads(flowtell, home):
    """Only once there is something to keep from them, and where the folders above let them in."""
    above = [folder for folder in home.parents if not folder.stat().st_mode & 0o001]
    assert check(flowtell)["verdict"] == "ok"
    make(flowtell, "a", "--scope", "read")
    for folder in (home, *above):
        folder.chmod(0o755)
    (home / "flowtell.db").chmod(0o644)
    try:
        assert check(flowtell)["verdict"] == "warn"
        assert check(flowtell)["mend"] == f"chmod o-rwx {home}"
        home.chmod(0o700)
        assert check(flowtell) == {"name": "tokens", "verdict": "ok", "message": "1 valid", "mend": ""}
    finally:
        for folder in above:
            folder.chmod(0o700)


def test_doctor_warns_of_a_token_that_ends_soon(flowtell):
    make(flowtell, "a", "--scope", "read", "--expires", "2d")
    found = check(flowtell)
    assert (found["verdict"], found["message"]) == ("warn", "a will expire within a week")
