"""One journal on its way: resumed at the server's place, forgotten only when logged, whatever stands in between."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager
from random import Random

import pytest

from flowtell.errors import NoServerNamed, ServerUnreachable, ShippingRefused
from flowtell.ids import new_id
from flowtell.journal import new_header, open_journal
from flowtell.shipping import file as shipped_file
from flowtell.shipping.file import JournalFile, NoJournal
from flowtell.shipping.memory import MemoryJournal
from flowtell.shipping.sender import Backoff, Sender, addresses
from flowtell.shipping.shipment import Shipment

from .conftest import line


def ship(journal, sender, *, last=False):
    shipment = Shipment(journal, new_id())
    while shipment.has_more() and shipment.send(sender, last=last):
        pass
    return shipment


@pytest.fixture
def sender(far):
    made = Sender(far.url)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path):
    """A journal file that is written, and the same as its shipper reads it."""
    writing = open_journal(str(tmp_path / "near"))
    reading = JournalFile(writing.path)
    yield writing, reading
    reading.close()
    writing.close()


def test_from_memory(far, sender, journal):
    """Kept until the log has it, then forgotten; offsets go on."""
    for number in range(100):
        assert journal.write(line(str(number)))
    shipment = ship(journal, sender)
    assert far.await_events(100) == [str(number) for number in range(100)]
    assert journal.start < journal.end() or shipment.logged == shipment.place
    shipment.send(sender)
    assert journal.start == journal.end() == shipment.place
    journal.write(line("more"))
    shipment.send(sender)
    assert far.await_events(101)[-1] == "more"


def test_from_a_file_while_it_is_written(far, sender, file):
    """Whole lines only: a torn one waits for its end, and one that death has cut is not waited for."""
    writing, reading = file
    whole, torn = line("whole"), line("torn")
    writing.write(whole + torn[:20])
    shipment = ship(reading, sender)
    assert shipment.place == len(reading.header_line) + len(whole)
    writing.write(torn[20:])
    assert shipment.send(sender)
    assert far.await_events(2) == ["whole", "torn"]
    writing.write(torn[:20])
    shipment.send(sender, last=True)
    assert shipment.said_farewell


def test_another_shipper_has_sent_a_part(far, sender, file):
    """Each goes on where the server is: all once, by whoever."""
    writing, reading = file
    first, second = Shipment(reading, new_id()), Shipment(reading, new_id())
    for number in range(20):
        writing.write(line(str(number)))
        (first if number % 3 else second).send(sender)
    for shipment in (first, second):
        shipment.send(sender)
    assert far.await_events(20) == [str(number) for number in range(20)]
    assert first.place == second.place == reading.end()


def test_a_server_that_lost_everything_is_sent_what_there_is(serve, file):
    """From a file all of it; from memory what is still there, the place of the rest filled with nothing."""
    writing, reading = file
    memory = MemoryJournal(new_header("", "", ""), 1 << 20)
    with serve("one") as far:
        sender = Sender(far.url)
        for journal in (writing, memory):
            journal.write(line("early"))
        shipments = [ship(journal, sender) for journal in (reading, memory)]
        far.await_events(2)
        for shipment in shipments:
            shipment.send(sender)
        assert memory.start == memory.end()
        sender.close()
    for journal in (writing, memory):
        journal.write(line("late"))
    with serve("two") as far:
        sender = Sender(far.url)
        for shipment in shipments:
            while shipment.has_more():
                shipment.send(sender)
        assert sorted(far.await_events(3)) == ["early", "late", "late"]
        sender.close()


def test_a_line_too_long_for_any_server_costs_itself_alone(far, sender, file, monkeypatch):
    """The places of what follows stay as they are, and the loss is counted."""
    monkeypatch.setattr(shipped_file, "LONGEST_LINE", 10_000)
    monkeypatch.setattr("flowtell.shipping.shipment._BLANK", 7_000)
    writing, reading = file
    monkeypatch.setattr("flowtell.shipping.shipment.CHUNK", 1 << 12)
    writing.write(line("before"))
    writing.write(line("x" * 30_000))
    writing.write(line("after"))
    shipment = ship(reading, sender, last=True)
    assert shipment.said_farewell
    assert far.await_events(2) == ["before", "after"]
    with far.service.store.reading() as connection:
        assert connection.exec_driver_sql("SELECT dropped, rejected FROM writers WHERE kind='journal'").one() == (1, 0)


def test_a_long_line_comes_whole(far, sender, file):
    """Longer than a chunk, and than a megabyte."""
    writing, reading = file
    writing.write(line("x" * 3_000_000))
    writing.write(line("after"))
    ship(reading, sender)
    assert [len(message) for message in far.await_events(2)] == [3_000_000, 5]


# --- servers that are none ------------------------------------------------------------------------------------------------


@contextmanager
def answering(status, body, headers=(), swallow=10**9):
    """A server that answers every POST so; one with a body above `swallow` bytes gets 413."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            size = int(self.headers["Content-Length"])
            self.rfile.read(size)
            seen.append(size)
            answer = status if size <= swallow else 413
            self.send_response(answer)
            text = body(self.path) if callable(body) else body
            for name, value in (*headers, ("Content-Length", str(len(text)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (500, b"<html>", ShippingRefused),
        (200, b"hello", ServerUnreachable),
        (200, b"{}" * 9, ServerUnreachable),
        (200, b'{"place": "many"}', ServerUnreachable),
        (302, b"", ShippingRefused),
        (401, b'{"error": "a token is needed"}', ShippingRefused),
        (404, b"\xff\xfe", ShippingRefused),
        (429, b'{"error": "wait"}', ShippingRefused),
        (507, b'{"error": "full"}', ShippingRefused),
        (409, b'{"place": 999999999, "logged": 5, "error": "gap"}', ShippingRefused),
    ],
)
def test_whatever_answers_nothing_is_forgotten(journal, status, body, wanted):
    """An error of ours with the address and the reason in it; the events stay."""
    journal.write(line("kept"))
    with answering(status, body, [("Retry-After", "7")]) as (url, _):
        sender = Sender(url)
        with pytest.raises(wanted, match=url) as caught:
            Shipment(journal, new_id()).send(sender)
        sender.close()
    assert journal.start < journal.end()
    if status == 429:
        assert caught.value.retry_after == 7


def test_a_proxy_that_takes_little_is_sent_little(journal):
    """A 413 halves what is sent at a time; a line that is still too large is given up and told of."""
    for _ in range(200):
        journal.write(line("".join(new_id() for _ in range(60))))
    journal.write(line("".join(new_id() for _ in range(3000))))
    journal.write(line("last"))
    places = {}
    with answering(200, lambda _: json.dumps({"place": places["next"]}).encode(), swallow=20_000) as (url, sizes):
        sender = Sender(url)
        shipment = Shipment(journal, new_id())
        while shipment.has_more():
            places["next"] = shipment.place + len(shipment._lines())
            shipment.send(sender)
        sender.close()
    assert shipment.place == journal.end()
    refused = [size for size in sizes if size > 20_000]
    assert 5 < len(refused) < 10
    assert shipment._untold == 0


def test_nobody_there(journal):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sender = Sender(f"http://127.0.0.1:{port}")
    with pytest.raises(ServerUnreachable, match=r"refused"):
        Shipment(journal, new_id()).send(sender)


def test_one_that_never_answers_is_waited_for_until_the_bound(journal):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = Sender(f"http://127.0.0.1:{listener.getsockname()[1]}")
        sender.until = time.monotonic() + 0.3
        with pytest.raises(ServerUnreachable, match="timed out"):
            Shipment(journal, new_id()).send(sender)
    assert time.monotonic() < sender.until + 1


def test_of_several_the_one_that_takes_it(far, journal):
    """A dead one and a standby are passed by; the one that answered is asked first from then on."""
    journal.write(line("1"))
    with answering(503, b'{"error": "standby"}') as (standby, asked), socket.create_server(("127.0.0.1", 0)) as dead:
        gone = f"http://127.0.0.1:{dead.getsockname()[1]}"
        dead.close()
        sender = Sender(f"{gone}, {standby}, {far.url}")
        shipment = ship(journal, sender)
        assert len(asked) == 1
        assert sender.address.url == far.url
        journal.write(line("2"))
        shipment.send(sender)
        assert len(asked) == 1
        sender.close()
    assert far.await_events(2) == ["1", "2"]


def test_too_much_at_once_is_no_reason_to_go_elsewhere(journal):
    with answering(429, b"{}") as (full, _), answering(200, b"{}") as (other, asked):
        sender = Sender(f"{full},{other}")
        with pytest.raises(ShippingRefused):
            Shipment(journal, new_id()).send(sender)
        sender.close()
    assert asked == []


@pytest.mark.parametrize("url", ["", " , ", "ftp://x", "localhost:4727", "http://", "http://x:port", "http://[::1"])
def test_an_address_that_is_none_is_named(url):
    with pytest.raises(NoServerNamed, match="FLOWTELL_URL"):
        addresses(url)


def test_an_address_with_a_prefix_and_a_password():
    """The prefix goes before every path; a password is shown nowhere."""
    (address,) = addresses("https://me:hush@host:99/below/")
    assert (address.secure, address.host, address.port, address.prefix) == (True, "host", 99, "/below")
    assert address.url == "https://host:99/below"


def test_waits_grow_and_are_spread():
    """Up to a third of a heartbeat and a quarter, so that a server that is back is found well within the grace."""
    backoff = Backoff()
    waits = [backoff.fail(10.0) for _ in range(12)]
    assert 0.1 < waits[0] < 0.3
    assert 2.4 < waits[-1] < 4.2
    assert backoff.fail(10.0, 50) < 4.2
    assert backoff.fail(1.0) < 0.42
    backoff.succeed()
    assert backoff.fail(10.0) < 0.3
    assert backoff.fail(10.0, 2.0) > 1.4
    assert len({round(backoff.fail(10.0), 4) for _ in range(8)}) > 1


# --- journals ---------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_and_tells_what_it_dropped():
    """Beyond the bound events are dropped and counted; once there is room a line tells how many."""
    journal = MemoryJournal(new_header("", "", ""), 1_000)
    took = [journal.write(b"x" * 99 + b"\n") for _ in range(15)]
    assert took == [True] * 10 + [False] * 5
    assert journal.unreported == 5
    journal.forget(journal.start + 500)
    assert journal.write(b"y\n")
    assert journal.unreported == 0
    assert journal.read(journal.start + 500, 1 << 20) == b'{"type":"journal.dropped","count":5}\ny\n'


def test_memory_reads_from_any_place():
    """Also from within a line, which another server may have a part of."""
    journal = MemoryJournal(new_header("", "", ""), 1_000)
    for text in (b"one\n", b"two\n", b"three\n"):
        journal.write(text)
    start = journal.start
    assert journal.read(start, 1) == b"one\n"
    assert journal.read(start, 9) == b"one\ntwo\n"
    assert journal.read(start + 2, 100) == b"e\ntwo\nthree\n"
    journal.forget(start + 6)
    assert journal.start == start + 4
    assert journal.read(start + 4, 100) == b"two\nthree\n"


def test_memory_is_one_journal_whatever_is_read_and_forgotten(monkeypatch):
    """Read anywhere in pieces of any size, forgotten up to anywhere: always what was written, in whole lines."""
    monkeypatch.setattr("flowtell.shipping.memory._BLOCK", 50)
    random = Random(5)
    journal = MemoryJournal(new_header("", "", ""), 1 << 20)
    whole = b"-" * journal.start
    place = journal.start
    for _ in range(3_000):
        for _ in range(random.randrange(4)):
            text = b"x" * random.randrange(30) + b"\n"
            journal.write(text)
            whole += text
        assert journal.end() == len(whole)
        size = random.randrange(1, 120)
        got = journal.read(place, size)
        assert whole[place : place + len(got)] == got
        assert got.endswith(b"\n") or (not got and place == len(whole))
        assert len(got) <= size or got.count(b"\n") == 1
        place += len(got)
        if random.random() < 0.3:
            journal.forget(random.randrange(journal.start, place + 1))
            assert journal.start <= place
            place = random.choice([place, journal.start])
        if place < len(whole):
            assert journal.line_length(place) == whole.index(b"\n", place) + 1 - place
    journal.forget(len(whole))
    assert journal.start == journal.end()
    assert journal._held == 0


def test_a_file_that_is_no_journal(tmp_path):
    """Or a copy under another name, which must not speak for the journal whose writer lives."""
    path = tmp_path / "x-1.jsonl"
    for content in (b"", b"garbage\n", b'{"type":"journal.opened","writer":"y","pid":1}\n'):
        path.write_bytes(content)
        with pytest.raises(NoJournal):
            JournalFile(str(path))
