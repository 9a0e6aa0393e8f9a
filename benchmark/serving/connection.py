"""A connection that is not held for ever by whoever sends or reads slowly."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 256  # that are answered; twice as many are heard, to be told so


class Connection(H11Protocol):
    """Uvicorn's own, which by itself waits for headers, and for readers, as long as they like.

    Attributes
    ----------
    headers_s : float
        For the lines before a request's body to arrive.
    read_s : float
        For the next 48 kB of an answer to be read.
    """

    headers_s = 10.0
    read_s = 30.0
    _asking: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > 2 * CONNECTIONS:
            transport.abort()
            return
        # Head and body of an answer are written one after the other; the second would otherwise
        # wait 40 ms for the first to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in some bytes, and wait no longer once they begin a request."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop(self._asking)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it has come already."""
        before = self.cycle
        super().on_response_complete()
        if self.cycle is before:
            self._wait()

    def pause_writing(self) -> None:
        """Wait for whoever reads."""
        super().pause_writing()
        self._stop(self._reading)
        self._reading = self.loop.call_later(self.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, as something was read."""
        self._stop(self._reading)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop(self._asking)
        self._stop(self._reading)
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop(self._asking)
        self._asking = self.loop.call_later(self.headers_s, self.transport.abort)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
