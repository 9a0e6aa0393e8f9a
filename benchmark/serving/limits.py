"""Limits of a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a service; a request beyond a limit is answered with a problem document.

    Attributes
    ----------
    upload_bytes : int
        Size of a request's body.
    files : int
        Recordings in one request.
    clip_s, timeline_s : float
        Length of a recording for one prediction, and for a timeline.
    concurrent : int
        Requests that are processed or wait at the same time.
    request_s : float
        Time for one request, from its first byte to the start of its response.
    memory_bytes : int
        Memory of a worker process beyond its idle use.
    """

    upload_bytes: int = 32 * 2**20
    files: int = 32
    clip_s: float = 60.0
    timeline_s: float = 900.0
    concurrent: int = 16
    request_s: float = 30.0
    memory_bytes: int = 2**30
