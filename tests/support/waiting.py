"""Free ports, and waiting for a condition."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

PATIENCE_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def wait_until(true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until something is true, but not for ever."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it has not come to be"
        time.sleep(0.1)
