"""A fork of the server holds nothing that the next server needs."""

from __future__ import annotations

import os
import signal

from flowtell.server.app import bind
from flowtell.server.role import IngestRole, is_taken


def test_a_fork_holds_neither_role_nor_port(tmp_path):
    """Though it lives on: the lock and the port are free as soon as the server has let go."""
    role = IngestRole(str(tmp_path))
    assert role.take()
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    begun, begins = os.pipe()
    fork = os.fork()
    if fork == 0:
        os.write(begins, b"x")
        signal.pause()
        os._exit(0)
    try:
        os.read(begun, 1)
        assert is_taken(str(tmp_path))
        role.release()
        listener.close()
        assert not is_taken(str(tmp_path))
        bind("127.0.0.1", port).close()
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)
        os.close(begun)
        os.close(begins)
