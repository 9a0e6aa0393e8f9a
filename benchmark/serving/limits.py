"""What a service puts up with: sizes, lengths, times and how much of it at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a service puts up with; beyond a limit a request is answered with a problem.

    Attributes
    ----------
    upload_bytes : int
        Of one request's body.
    files : int
        In one request.
    clip_s, timeline_s : float
        Length of a recording to be predicted, and of one in windows.
    concurrent : int
        Requests that are worked on or wait; one more is asked to come again.
    request_s : float
        Time for one request, from its first byte to its answer.
    memory_bytes : int
        That a worker process may take beyond what it needs when idle.
    """

    upload_bytes: int = 32 * 2**20
    files: int = 32
    clip_s: float = 60.0
    timeline_s: float = 900.0
    concurrent: int = 16
    request_s: float = 30.0
    memory_bytes: int = 2**30
