"""A wire between server and PostgreSQL that can be cut, held still, or lose one answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closed by a reset, without goodbye."""


class Proxy:
    """Listens on a free port of the loopback, in a thread of its own. All methods are for the test's thread."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lines: set[_Line] = set()
        self._open = True
        self._loses: tuple[bytes, bytes] | None = None
        self.lost = threading.Event()
        """Set when an answer was lost."""
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._do(self._listen())
        self.port = int(self._server.sockets[0].getsockname()[1])

    # --- what is done to it -----------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Every connection is reset, and so is each new one, until `mend`."""
        self._call(self._cut)

    def reset(self) -> None:
        """Every connection is reset; new ones are fine."""
        self._call(self._reset_all)

    def stall(self) -> None:
        """Nothing goes through, and nobody is told: peers stay connected, and new ones get no answer, until `mend`."""
        self._call(self._flowing.clear)

    def mend(self) -> None:
        self._call(self._mend)

    def lose_answer(self, *, session: str, of: str) -> None:
        """Once: what the server answers to this statement of a session so named is lost, and the connection reset."""
        self.lost.clear()
        self._loses = (session.encode(), of.encode() + b"\0")

    def close(self) -> None:
        self._call(self._cut)
        self._call(self._server.close)
        self._do(asyncio.sleep(0.05))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- in the loop ------------------------------------------------------------------------------------------------

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _call(self, function: Callable[[], object]) -> None:
        async def called() -> None:
            function()

        self._do(called())

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(writer)
        self._lines.add(line)
        try:
            if not self._open:
                return
            above, upward = await asyncio.open_connection("127.0.0.1", self._target)
            line.writers.append(upward)
            ways = [self._pump(line, reader, upward, self._sees), self._pump(line, above, writer, self._passes)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            line.reset()
            self._lines.discard(line)

    async def _pump(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        allows: Callable[[_Line, bytes], bool],
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._flowing.wait()
            if not allows(line, data):
                return
            writer.write(data)
            await writer.drain()

    def _sees(self, line: _Line, data: bytes) -> bool:
        line.said += data[: max(0, 2000 - len(line.said))]  # the start of a session names it
        if self._loses is not None and self._loses[0] in line.said and data.endswith(self._loses[1]):
            self._loses, line.loses = None, True
        return True

    def _passes(self, line: _Line, data: bytes) -> bool:
        if line.loses:
            self.lost.set()
        return not line.loses

    def _cut(self) -> None:
        self._open = False
        self._reset_all()

    def _reset_all(self) -> None:
        for line in list(self._lines):
            line.reset()

    def _mend(self) -> None:
        self._open = True
        self._flowing.set()


class _Line:
    """One connection, both ways."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.said = b""
        self.loses = False

    def reset(self) -> None:
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
