"""`POST /api/journal` from outside: what is kept, what is refused with which status, and what the log makes of it."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time

import pytest

from flowtell import bus
from flowtell.ids import new_id
from flowtell.server.batches import LARGEST_BATCH

from .conftest import line, started


def mirror(far, header):
    return far.home / "shipped" / "{writer}-{pid}.jsonl".format(**json.loads(header))


def test_what_is_sent_lies_there_byte_for_byte_before_the_answer(far, header):
    """At the offsets of the writer's own journal, and soon in the log with those as `n`."""
    lines = [line(str(number)) for number in range(3)]
    status, answer = far.post(header, len(header), b"".join(lines))
    assert status == 200
    assert mirror(far, header).read_bytes() == header + b"".join(lines)
    assert answer["place"] == len(header) + sum(map(len, lines))
    assert far.await_events(3) == ["0", "1", "2"]
    assert far.events()[1]["n"] == len(header) + len(lines[0])
    assert far.events()[0]["environment"] == "test"


def test_a_batch_sent_again_adds_nothing(far, header):
    """Wholly, or as an overlap whose rest is new: each byte is kept once."""
    first, second, third = line("1"), line("2"), line("3")
    place = len(header)
    for lines in (first + second, first + second, first, first + second + third):
        assert far.post(header, place, lines)[0] == 200
    assert far.post(header, place + len(first), second)[1]["place"] == place + len(first + second + third)
    assert far.await_events(3) == ["1", "2", "3"]
    assert mirror(far, header).read_bytes() == header + first + second + third


def test_a_gap_is_refused_and_the_right_place_told(far, header):
    """409, and nothing of it is kept; from the told place on it is taken."""
    first, second = line("1"), line("2")
    status, answer = far.post(header, len(header) + len(first), second)
    assert status == 409
    assert (answer["place"], answer["logged"]) == (len(header), 0)
    assert not mirror(far, header).exists()
    assert far.post(header, answer["place"], first + second)[0] == 200
    assert far.await_events(2) == ["1", "2"]


def test_other_bytes_at_a_place_that_is_taken_are_refused(far, header, monkeypatch):
    """Nobody rewrites what was received."""
    monkeypatch.setattr(far.service.ingester, "step", lambda: False)  # so that nothing is in the log yet
    first = line("first")
    assert far.post(header, len(header), first)[0] == 200
    status, answer = far.post(header, len(header), first.replace(b"first", b"other"))
    assert status == 409
    assert "other bytes" in answer["error"]
    assert mirror(far, header).read_bytes() == header + first


def test_another_header_of_the_same_writer_is_refused(far, header):
    assert far.post(header, len(header), line())[0] == 200
    other = json.dumps({**json.loads(header), "machine": "elsewhere"}).encode() + b"\n"
    assert far.post(other, len(other), line())[0] == 409


def altered(header, **fields):
    return json.dumps({**json.loads(header), **fields}).encode() + b"\n"


BAD = {
    "no gzip": lambda header: (b"not gzip", "gzip", None, 400),
    "cut gzip": lambda header: (gzip.compress(header + line())[:-9], "gzip", None, 400),
    "damaged gzip": lambda header: (damaged(gzip.compress(header + line())), "gzip", None, 400),
    "gzip and more": lambda header: (gzip.compress(header + line()) + b"x", "gzip", None, 400),
    "unknown encoding": lambda header: (header + line(), "br", None, 415),
    "nothing": lambda header: (b"", "", None, 400),
    "no header": lambda header: (line() + line(), "", None, 400),
    "garbage": lambda header: (os.urandom(300), "", None, 400),
    "a cut line": lambda header: (header + line() + line()[:-1], "", None, 400),
    "another's header": lambda header: (header + line(), "", {"writer": new_id()}, 400),
    "a writer that is a path": lambda header: (header + line(), "", {"writer": "../../etc/passwd"}, 400),
    "a header that is a path": lambda header: (altered(header, writer="../../x") + line(), "", None, 400),
    "a forged pid": lambda header: (altered(header, pid=-1) + line(), "", None, 400),
    "a pid that is a path": lambda header: (altered(header, pid="../x") + line(), "", None, 400),
    "tomorrow's format": lambda header: (altered(header, format=2) + line(), "", None, 400),
    "place in the header": lambda header: (header + line(), "", {"place": 3}, 400),
    "no place": lambda header: (header + line(), "", {"place": ""}, 400),
    "negative place": lambda header: (header + line(), "", {"place": "-1"}, 400),
    "place too large": lambda header: (header + line(), "", {"place": "9" * 30}, 400),
    "strange shipper": lambda header: (header + line(), "", {"shipper": "me"}, 400),
    "bomb": lambda header: (gzip.compress(header + b"\n" * (LARGEST_BATCH + 1)), "gzip", None, 413),
    "too much": lambda header: (header + b"\n" * (LARGEST_BATCH + 1), "", None, 413),
    "a header without end": lambda header: (b"{" * 100_000 + b"\n", "", None, 400),
}


def damaged(body):
    return body[:40] + bytes([body[40] ^ 255]) + body[41:]


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_a_clear_status_and_leaves_nothing(far, header, what):
    """And the same writer's good batch is taken afterwards."""
    body, encoding, query, wanted = BAD[what](header)
    asked = {"writer": json.loads(header)["writer"], "place": len(header), **(query or {})}
    path = "/api/journal?" + "&".join(f"{name}={value}" for name, value in asked.items())
    headers = {"Content_Encoding": encoding} if encoding else {}
    status, answer, _ = far.ask("POST", path, body, **headers)
    assert status == wanted, answer
    assert answer["error"]
    assert not (far.home / "shipped").exists() or os.listdir(far.home / "shipped") == []
    assert far.post(header, len(header), line("good"))[0] == 200
    assert far.await_events(1) == ["good"]


def test_a_request_that_is_cut_leaves_nothing(far, header):
    """The connection ends before the body does."""
    body = header + line()
    writer = json.loads(header)["writer"]
    with socket.create_connection((far.host, int(far.port))) as raw:
        head = f"POST /api/journal?writer={writer}&place={len(header)} HTTP/1.1\r\nHost: localhost\r\n"
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
    time.sleep(0.2)
    assert not mirror(far, header).exists()


def test_lines_that_are_no_events_stop_nothing(far, header):
    """They are kept aside, as those of a local journal."""
    assert far.post(header, len(header), b"garbage\n" + line("good"))[0] == 200
    assert far.await_events(1) == ["good"]
    with far.service.store.reading() as connection:
        assert connection.exec_driver_sql("SELECT rejected FROM writers WHERE kind='journal'").scalar_one() == 1


def test_a_wrong_token_is_401_or_the_right_one_taken(serve, header):
    with serve(token="s3cret") as far:
        path = f"/api/journal?writer={json.loads(header)['writer']}&place={len(header)}"
        for wrong in ({}, {"Authorization": "Bearer s3cre"}):
            assert far.ask("POST", path, header + line(), **wrong)[0] == 401
        assert far.ask("POST", path, header + line(), Authorization="Bearer s3cret")[0] == 200


def test_back_pressure(serve, header, monkeypatch):
    """Beyond the bound of what the log has not taken: 429 with when to come back; and taken again afterwards."""
    with serve(backlog_bytes=2_000) as far:
        step = far.service.ingester.step
        monkeypatch.setattr(far.service.ingester, "step", lambda: False)
        time.sleep(0.1)
        lines = b"".join(line("x" * 500) for _ in range(5))
        assert far.post(header, len(header), lines)[0] == 200
        path = f"/api/journal?writer={json.loads(header)['writer']}&place={len(header) + len(lines)}"
        status, _, headers = far.ask("POST", path, header + line("later"))
        assert status == 429
        assert int(headers["retry-after"]) > 0
        monkeypatch.setattr(far.service.ingester, "step", step)
        far.await_events(5)
        assert far.ask("POST", path, header + line("later"))[0] == 200
        assert far.await_events(6)[-1] == "later"
        far.until(lambda: far.service.mirrors.backlog == 0)


def test_a_full_disk_is_507_and_nothing_half(far, header, monkeypatch):
    """What was there stays as it was, and the batch is taken when there is room again."""
    assert far.post(header, len(header), line("1"))[0] == 200
    before = mirror(far, header).read_bytes()
    pwrite = os.pwrite

    def full(fd, content, place):
        pwrite(fd, bytes(content)[:10], place)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowtell.server.mirrors.os.pwrite", full)
    status, _ = far.post(header, len(before), line("2"))
    assert status == 507
    monkeypatch.undo()
    assert mirror(far, header).read_bytes() == before
    assert far.post(header, len(before), line("2"))[0] == 200
    assert far.await_events(2) == ["1", "2"]


def test_a_standby_takes_nothing(far, header, monkeypatch):
    """503 with when to come back, whatever is asked."""
    monkeypatch.setattr(type(far.service), "leading", False)
    writer = json.loads(header)["writer"]
    for method, path in (
        ("POST", f"?writer={writer}&place=1"),
        ("GET", f"?writer={writer}"),
        ("GET", f"/alive?shipper={writer}"),
    ):
        status, _, headers = far.ask(method, f"/api/journal{path}")
        assert status == 503
        assert headers["retry-after"]


def test_what_is_known_of_a_writer(far, header):
    """404 for a stranger; then place and, once it is in the log, that place as logged."""
    writer = json.loads(header)["writer"]
    assert far.ask("GET", f"/api/journal?writer={writer}")[0] == 404
    place = far.post(header, len(header), line())[1]["place"]
    far.await_events(1)
    _, answer, _ = far.ask("GET", f"/api/journal?writer={writer}")
    assert (answer["place"], answer["logged"]) == (place, place)


def test_farewell_ends_the_writer_at_once(far, header):
    """What it left open has crashed, and the mirror goes once it is in the log."""
    assert far.post(header, len(header), started("nightly"), ended=True)[0] == 200
    far.until(lambda: far.states() == {"nightly": "crashed"}, 3)
    far.until(lambda: not mirror(far, header).exists())


def test_a_writer_whose_mirror_is_gone_goes_on_where_the_log_is(far, header):
    """A hole stands in for what the log has; what comes is read on, and nothing twice."""
    first, second = line("1"), line("2")
    far.post(header, len(header), first, ended=True)
    far.until(lambda: not mirror(far, header).exists() and far.service.mirrors._mirrors == {})
    place = len(header) + len(first)
    assert far.post(header, len(header), first + second)[1]["place"] == place + len(second)
    assert far.await_events(2) == ["1", "2"]
    assert mirror(far, header).stat().st_size == place + len(second)
    assert [event["n"] for event in far.events()] == [len(header), place]


def test_a_server_of_another_home_with_the_same_log_goes_on(serve, header, tmp_path, monkeypatch):
    """What a takeover is: the log says where to go on, the mirror begins with a hole."""
    first, second = line("1"), line("2")
    with serve("one") as far:
        far.post(header, len(header), first)
        far.await_events(1)
    (tmp_path / "two").mkdir()
    os.rename(tmp_path / "one" / "flowtell.db", tmp_path / "two" / "flowtell.db")
    with serve("two") as far:
        status, answer = far.post(header, len(header) + len(first), second)
        assert status == 200
        assert answer["place"] == len(header) + len(first + second)
        assert far.await_events(2) == ["1", "2"]


def test_received_and_not_yet_read_survives_the_server(serve, header, monkeypatch):
    """The answer said that it was kept: the next server reads it from the mirror."""
    with serve() as far:
        monkeypatch.setattr(far.service.ingester, "step", lambda: False)
        time.sleep(0.1)
        assert far.post(header, len(header), line("kept"))[0] == 200
    with serve() as far:
        assert far.await_events(1) == ["kept"]


def test_a_journal_on_the_servers_own_disk_is_read_there(far, monkeypatch):
    """Its shipper is told so, and nothing is mirrored: one place is not moved from two sides."""
    monkeypatch.setenv("FLOWTELL_HOME", str(far.home))
    bus.renew()
    from flowtell import events as e

    bus.emit(e.LogRecorded(id=new_id(), time=1, message="here"))
    with open(bus.journal_path(), "rb") as file:
        header, rest = file.readline(), file.read()
    status, answer = far.post(header, len(header), rest)
    assert status == 200
    assert answer["local"] is True
    assert not (far.home / "shipped").exists()
    assert far.await_events(1) == ["here"]
