"""HTTP connections with time limits for slow clients."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
"""More are refused with status 503; above twice as many, they are closed without a response."""


class Connection(H11Protocol):
    """Uvicorn's connection, which by itself waits without a limit for headers and for readers.

    Attributes
    ----------
    headers_s : float
        Time limit for the request line and the headers.
    read_s : float
        Time limit for the client to read the next 48 kB of a response.
    """

    headers_s = 10.0
    read_s = 30.0
    _headers_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        super().connection_made(transport)
        if len(self.connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
            return
        # Headers and body of a response are written one after the other; without this option the
        # body would wait 40 ms for the acknowledgement of the headers.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect_request()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        previous = self.cycle
        super().data_received(data)
        if self.cycle is not previous:  # the headers are complete
            _cancel(self._headers_timer)

    def on_response_complete(self) -> None:  # noqa: D102
        previous = self.cycle
        super().on_response_complete()
        if self.cycle is previous:  # no pipelined request has begun
            self._expect_request()

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        _cancel(self._read_timer)
        self._read_timer = self.loop.call_later(self.read_s, self.transport.abort)

    def resume_writing(self) -> None:  # noqa: D102
        _cancel(self._read_timer)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        _cancel(self._headers_timer)
        _cancel(self._read_timer)
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        _cancel(self._headers_timer)
        self._headers_timer = self.loop.call_later(self.headers_s, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
