"""Problem documents (RFC 9457): what is answered where an answer can't be given."""

from __future__ import annotations

from typing import Any, NamedTuple

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:ser-benchmark:problem:"


class Kind(NamedTuple):
    """One kind of problem.

    Attributes
    ----------
    status : int
        Of HTTP.
    title : str
        The same for every problem of its kind.
    """

    status: int
    title: str


PROBLEMS = {
    "invalid": Kind(422, "The request is not as it should be"),
    "unauthorized": Kind(401, "A token is needed"),
    "foreign-origin": Kind(403, "Asked for by a page of another origin"),
    "not-found": Kind(404, "There is nothing at this address"),
    "method-not-allowed": Kind(405, "This address does not know the method"),
    "slow-upload": Kind(408, "The request took too long to arrive"),
    "too-large": Kind(413, "The request is too large"),
    "too-long": Kind(413, "The recording is too long"),
    "not-a-form": Kind(415, "Recordings are sent in a form"),
    "not-audio": Kind(415, "Not a recording"),
    "unknown-host": Kind(421, "This service does not go by that name"),
    "damaged": Kind(422, "The recording is damaged"),
    "silent": Kind(422, "The recording is silent"),
    "too-short": Kind(422, "The recording is too short"),
    "too-heavy": Kind(422, "The recording is too much for the process that reads it"),
    "busy": Kind(429, "As much is being worked on as the service takes at once"),
    "bug": Kind(500, "The service has made a mistake"),
    "slow": Kind(503, "The answer took too long"),
    "not-ready": Kind(503, "No model is loaded at the moment"),
}
"""By the last word of their type."""


def problem(name: str, detail: str, **members: Any) -> dict[str, Any]:
    """Return a problem document.

    Parameters
    ----------
    name : str
        Of `PROBLEMS`.
    detail : str
        What it is this time, and what to do.
    **members
        Whatever else it tells.
    """
    kind = PROBLEMS[name]
    known = {"type": TYPE + name, "title": kind.title, "status": kind.status, "detail": detail}
    return known | members
