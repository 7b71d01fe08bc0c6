"""The parts of the door, each a pure decision: scopes, rates, names, addresses."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtell.bodies import nested_too_deeply, unpacked
from flowtell.server.buckets import Buckets, client_key
from flowtell.server.login import tokens_in, without_token
from flowtell.server.origins import is_loopback, known_host, loopback_origin, name_of, same_origin
from flowtell.server.scopes import granted, is_open, needed_scope

# --- scopes -------------------------------------------------------------------------------------------------------


@given(st.text(max_size=30), st.text(max_size=60))
def test_what_is_not_known_needs_the_careful_scope(method, path):
    """An unknown method, and a write to an unknown path, need `operate`."""
    needed = needed_scope(method, path)
    if method not in ("GET", "HEAD", "OPTIONS", "POST") and not path.startswith("/api/journal"):
        assert needed == "operate"
    signed = path.startswith("/api/signed/") and method == "POST"
    assert is_open(method, path) is (signed or (path in ("/healthz", "/readyz") and method in ("GET", "HEAD")))


def test_only_what_is_sent_to_a_signed_path_is_open():
    """Not what is read there, no websocket, and nothing beside it."""
    assert is_open("POST", "/api/signed/notifications/ops")
    assert not is_open("POST", "/api/signed/notifications/ops", websocket=True)
    assert not any(is_open("GET", path) for path in ("/api/signed/x", "/api/signed/"))
    assert not any(is_open("POST", path) for path in ("/api/signed", "/api/signedx", "/api/runs", "/healthz"))


def test_a_scope_implies_no_more_than_it_says():
    assert granted(("operate",)) == {"operate", "read"}
    assert granted(("ingest",)) == {"ingest"}
    assert granted(("admin",)) == {"admin", "operate", "ingest", "read"}
    assert granted(("of a later release", "")) == frozenset()


# --- rates --------------------------------------------------------------------------------------------------------


class Now:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def test_a_bucket_gives_so_many_at_once_and_so_many_a_second():
    now = Now()
    buckets = Buckets(10, 20, clock=now)
    assert [buckets.take("a") for _ in range(20)] == [0.0] * 20
    assert buckets.take("a") == pytest.approx(0.1)
    assert buckets.take("b") == 0.0
    now.seconds += 0.1
    assert buckets.take("a") == 0.0
    assert buckets.wait("a") == pytest.approx(0.1)
    now.seconds += 1.0
    assert [buckets.take("a") > 0 for _ in range(11)] == [False] * 10 + [True]
    now.seconds += 3600
    assert [buckets.take("a") > 0 for _ in range(21)] == [False] * 20 + [True]


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_no_pace_gets_more_than_the_rate(pauses):
    """Over any stretch of time: at most the depth and what the rate gives in it."""
    now = Now()
    buckets = Buckets(5, 3, clock=now)
    began, given_ = now.seconds, 0
    for pause in pauses:
        now.seconds += pause
        given_ += buckets.take("a") == 0
        assert given_ <= 3 + 5 * (now.seconds - began) + 1e-6


def test_no_rate_is_any_rate():
    assert all(Buckets(0, 0).take("a") == 0 for _ in range(10_000))


def test_a_hundred_thousand_addresses_fill_no_memory():
    """The one that was quiet longest is forgotten, and one that keeps coming is not; the last is as fast as the first."""
    keys = [client_key(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1") for number in range(100_000)]
    tracemalloc.start()
    buckets = Buckets(1, 2, most=20_000)
    times = []
    for thousand in range(100):
        began = time.process_time()
        for key in keys[thousand * 1000 : thousand * 1000 + 1000]:
            buckets.take(key)
            buckets.take("busy")
        times.append(time.process_time() - began)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(buckets) == 20_000
    assert peak < 10_000_000
    assert sum(times[-10:]) < 10 * sum(times[:10])
    assert buckets.take("busy") > 0


def test_a_client_is_its_address_or_its_network():
    """Whoever has one address of IPv6 has a network of them."""
    assert client_key("192.0.2.1") == "192.0.2.1"
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:2") != client_key("2001:db8:0:1::1")
    assert client_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_key("fe80::1%eth0") == client_key("fe80::2")
    assert client_key("x:" * 1000) == "x:" * 32


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:4727", "[::1]", "127.9.9.9", "localhost."]
)
def test_loopback_by_any_of_its_names(host):
    assert known_host(host, frozenset())


@pytest.mark.parametrize(
    "host", ["", "x", "localhost.evil", "127.0.0.1.evil", "0.0.0.0", "::", "[::2]", "localhost@evil", "1"]
)
def test_nothing_else_is_loopback(host):
    assert not known_host(host, frozenset())
    assert not is_loopback(name_of(host))


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_breaks_the_comparison_of_origins(origin, host):
    """Whatever a client sends is compared, never an error; nothing but a host is the same as a host."""
    same = same_origin(origin, host, frozenset())
    assert not same or "://" in origin or origin.startswith("//")
    assert loopback_origin(origin) in (True, False)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://a.example", "a.example", True),
        ("http://a.example", "a.example:80", True),
        ("https://a.example", "a.example:443", True),
        ("https://A.example:444", "a.EXAMPLE:444", True),
        ("http://[::1]:80", "[::1]", True),
        ("https://a.example", "a.example", True),
        ("http://a.example:81", "a.example", False),
        ("http://a.example", "b.a.example", False),
        ("http://a.example@evil", "a.example", False),
        ("http://a.example.", "a.example", True),
        ("null", "null", False),
        ("", "", False),
        ("http://", "", False),
        ("file://", "a.example", False),
    ],
)
def test_an_origin_is_the_servers_own_by_host_and_port(origin, host, same):
    assert same_origin(origin, host, frozenset()) is same
    assert same_origin("https://proxy.example", host, frozenset({"proxy.example"}))


@given(st.text(st.characters(codec="utf-8"), max_size=60), st.binary(max_size=60))
def test_a_sign_in_never_leads_elsewhere(path, query):
    """Whatever stood in the address: one slash, then nothing that ends a header or names a host."""
    place = without_token(f"/{path}", query)
    assert place.startswith("/")
    assert place[1:2] not in ("/", "\\")
    assert place.isascii()
    assert place.isprintable()


@given(st.text(max_size=200))
def test_any_cookie_can_be_read(cookie):
    assert len(tokens_in(cookie)) <= 4


# --- bodies -------------------------------------------------------------------------------------------------------

tricky = st.text(st.sampled_from('"\\[]{}a'), max_size=12)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | tricky,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | tricky, inner, max_size=4),
    max_leaves=40,
)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(documents, st.integers(0, 6), st.booleans())
def test_nesting_is_what_a_decoder_would_find(value, most, plain):
    """By brackets alone, whatever stands in strings."""
    body = json.dumps(value, ensure_ascii=plain, indent=None if plain else 1).encode("utf-8", "surrogatepass")
    assert nested_too_deeply(body, most) is (depth(value) > most)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(body):
    assert nested_too_deeply(body) in (True, False)
    assert nested_too_deeply(body * 200) in (True, False)


@given(st.binary(max_size=5000), st.integers(1, 50), st.sampled_from(["gzip", "deflate", "bare", ""]))
def test_what_was_packed_comes_out_however_it_is_cut(data, size, kind):
    """In parts of any size, the same bytes."""
    import gzip
    import zlib

    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "bare": lambda raw: zlib.compress(raw)[2:-4], "": bytes}[
        kind
    ](data)
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    encoding = "deflate" if kind == "bare" else kind
    assert b"".join(unpacked(parts, encoding, 10_000)) == data


def test_what_was_packed_is_bounded_both_ways():
    """By what it unpacks to, however little it was packed; and by how much it was packed, however much may come out."""
    import gzip
    import os

    from flowtell.errors import BodyTooLarge

    little = gzip.compress(os.urandom(50_000).hex().encode())
    assert sum(map(len, unpacked([little], "gzip", 100_000))) == 100_000
    much = gzip.compress(b"\0" * (40 << 20))
    assert sum(map(len, unpacked([gzip.compress(b"x" * 3_000_000)], "gzip", 3_000_000))) == 3_000_000
    for body, limit in ((little, 99_999), (much, 1 << 30)):
        with pytest.raises(BodyTooLarge):
            sum(map(len, unpacked([body], "gzip", limit)))
