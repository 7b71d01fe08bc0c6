"""The plugin's end of the pipe: calls come in on one thread, what is said goes out from any."""

from __future__ import annotations

import os
import socket
import threading

from flowtell.plugin import PluginStatus
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.frames import FrameReader, PipeEnded, send


class Line:
    """A fork lets go of it at once: two processes that read from one pipe would each get half.

    So a fork that comes back from a call of the plugin finds nobody to answer, and ends.
    """

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._reader = FrameReader(pipe)
        self._saying = threading.Lock()
        os.register_at_fork(after_in_child=self._let_go)

    def _let_go(self) -> None:
        self._saying = threading.Lock()  # another thread may have held it
        self._pipe.close()

    def next_request(self) -> m.Request:
        """The next call. Where the server is gone, this process ends, without asking the plugin."""
        try:
            request: m.Request = m.decode_request(self._reader.next())
        except PipeEnded:
            os._exit(0)
        return request

    def ask_statuses(self) -> tuple[PluginStatus, ...]:
        """How all plugins of the server are doing. On the thread of the call under way: the answer comes in between."""
        self.say(m.AskStatuses())
        answer = self.next_request()
        assert isinstance(answer, m.Statuses)
        return answer.plugins

    def say(self, message: m.Message) -> None:
        """Send one message. Nothing where the pipe is gone, as in a fork."""
        frame = m.encode(message)
        try:
            with self._saying:
                send(self._pipe, frame)
        except PipeEnded:
            return
