"""By HTTPS: the same, and a certificate that nobody vouches for is refused."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from .test_shipper import finish, journals, run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of localhost, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", folder / "key", "-out", folder / "certificate"]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *names, *files],
        check=True,
        capture_output=True,
    )
    return folder


class Proxy:
    """Ends TLS before the server, as a proxy does in most places."""

    def __init__(self, certificate, port):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate / "certificate", certificate / "key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        self._target = port
        self._sockets = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                near = self._context.wrap_socket(plain, server_side=True)
            except OSError:  # it does not trust us
                plain.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += (near, far)
            thread = threading.Thread(target=self._carry, args=(near, far))
            self._threads.append(thread)
            thread.start()

    def _carry(self, near, far):
        """Both ways on one thread: a TLS connection is not for two."""
        near.settimeout(0.01)
        far.settimeout(0.01)
        while True:
            for one, other in ((near, far), (far, near)):
                try:
                    content = one.recv(65_536)
                except TimeoutError:
                    continue
                except OSError:
                    content = b""
                if not content:
                    self._end(near, far)
                    return
                other.settimeout(5)
                other.sendall(content)
                other.settimeout(0.01)

    def _end(self, *sockets):
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end(*self._sockets)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()


@pytest.fixture
def proxy(far, certificate):
    made = Proxy(certificate, int(far.port))
    yield made
    made.close()


def test_a_flow_ships_by_https(far, proxy, certificate, tmp_path):
    """Events, the stream that says it lives, a fork that leaves it as it is, and the farewell."""
    trust = {"SSL_CERT_FILE": str(certificate / "certificate")}
    fork = "import os; time.sleep(0.7); os.fork() or os._exit(0); os.wait(); print('forked', flush=True)"
    process = run(proxy.url, tmp_path / "near", middle=f"{fork}; sys.stdin.readline()", **trust)
    far.until(lambda: far.states() == {"nightly": "running"})
    assert process.stdout.readline() == "380\n"
    far.until(lambda: far.service.presence.open_streams().total() == 1)
    streams, connections = far.service.presence.open_streams(), len(proxy._sockets)
    assert process.stdout.readline() == "forked\n"
    time.sleep(1.0)
    assert far.service.presence.open_streams() == streams
    assert len(proxy._sockets) == connections, "a connection was made anew"
    assert finish(process)[::2] == (0, "")
    far.until(lambda: far.states() == {"nightly": "completed"})
    assert journals(tmp_path / "near") == []


def test_a_certificate_nobody_vouches_for_is_refused(far, proxy, tmp_path):
    """Said once, with the reason; nothing is sent, and all is kept."""
    code, _, errors = finish(run(proxy.url, tmp_path / "near", FLOWTELL_TOKEN="s3cret"))
    assert code == 0
    assert "FT1811" in errors
    assert "certificate" in errors
    assert far.states() == {}
    assert len(journals(tmp_path / "near")) == 1
