"""Response models, problem documents (RFC 9457) and the OpenAPI description of REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from benchmark.report.markdown import code, plain
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import familiarity
from benchmark.tracking.cards import Card

FIELD = "file"
"""The form field that holds a recording."""

OPENAPI_VERSION = "3.0.3"
"""The latest version that the bundled Swagger UI supports."""

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:ser-benchmark:problem:"
PROBLEM = "#/components/schemas/Problem"


class ProblemKind(NamedTuple):
    """HTTP status and title shared by all problems of one type."""

    status: int
    title: str


PROBLEMS = {
    "invalid": ProblemKind(422, "The request is invalid"),
    "unauthorized": ProblemKind(401, "A token is required"),
    "foreign-origin": ProblemKind(403, "The request comes from a page of another origin"),
    "not-found": ProblemKind(404, "Not found"),
    "method-not-allowed": ProblemKind(405, "Method not allowed"),
    "slow-upload": ProblemKind(408, "The request took too long to arrive"),
    "too-large": ProblemKind(413, "The request is too large"),
    "too-long": ProblemKind(413, "The recording is too long"),
    "not-a-form": ProblemKind(415, "Recordings must be sent in a form"),
    "not-audio": ProblemKind(415, "Not a recording"),
    "unknown-host": ProblemKind(421, "Unknown host name"),
    "damaged": ProblemKind(422, "The recording is damaged"),
    "silent": ProblemKind(422, "The recording is silent"),
    "too-short": ProblemKind(422, "The recording is too short"),
    "too-little-speech": ProblemKind(422, "The recording has too little speech"),
    "too-heavy": ProblemKind(422, "The recording needs too much memory"),
    "busy": ProblemKind(429, "Too many requests at once"),
    "bug": ProblemKind(500, "Internal error"),
    "slow": ProblemKind(503, "The response took too long"),
    "stopping": ProblemKind(503, "The service is being stopped"),
    "not-ready": ProblemKind(503, "No model is loaded at the moment"),
}
"""By the last part of their type."""

GENERAL = (
    *("unauthorized", "foreign-origin", "slow-upload", "too-large", "unknown-host", "slow"),
    "stopping",
)
RECORDING = (
    *("not-audio", "too-long", "damaged", "silent", "too-short", "too-little-speech"),
    "too-heavy",
)


def problem(name: str, detail: str) -> dict[str, Any]:
    """Return a problem document.

    >>> problem("silent", "no sample above -80 dB")["status"]
    422
    """
    kind = PROBLEMS[name]
    return {"type": TYPE + name, "title": kind.title, "status": kind.status, "detail": detail}


def problem_response(
    name: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    """Return a problem document as a response; `members` are added to it or replace parts of it."""
    document = problem(name, detail) | members
    return JSONResponse(document, document["status"], headers, media_type=MEDIA_TYPE)


class ProblemError(Exception):
    """A request that is answered with a problem document.

    `name` is a key of `PROBLEMS`, `detail` tells what is wrong with this request and what to do,
    and `members` are added to the document.
    """

    def __init__(self, name: str, detail: str, **members: Any) -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.members = members


class Problem(BaseModel):
    """Why a request or a recording has no result (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


DISTANCE = (
    "From the training recordings; 1 is the limit that 95 % of held-out recordings keep, each "
    "corpus with the same weight. Null if the model is not calibrated."
)
FAMILIARITY = (
    '"like the training recordings", "unlike the training recordings" (distance above 1: the '
    'probabilities say little), or "not calibrated".'
)


class RecordingPrediction(BaseModel):
    """The prediction for one recording."""

    file: str = Field(description="Name of the uploaded file.")
    emotion: str = Field(description="The most probable emotion.")
    probabilities: dict[str, float] = Field(description="By emotion; exact float32 values.")
    duration_s: float
    distance: float | None = Field(description=DISTANCE)
    familiarity: str = Field(description=FAMILIARITY)
    hint: str = Field(
        "",
        description="When POST /timeline says more: a recording far longer than those learned "
        "from, or with several channels; else empty.",
    )


class RecordingProblem(BaseModel):
    """Why one recording has no prediction."""

    file: str
    problem: Problem


class Predictions(BaseModel):
    """The prediction for each recording, in upload order."""

    model: str = Field(description="Study, split, name and digest; see GET /model.")
    predictions: list[RecordingPrediction | RecordingProblem]


class TimelineWindow(BaseModel):
    """The prediction for one window of one channel."""

    start_s: float
    end_s: float
    channel: int = Field(description="Index from 0.")
    emotion: str = Field(description="Empty if there is no prediction, for example in silence.")
    probabilities: dict[str, float]
    distance: float | None = Field(description=DISTANCE)
    familiarity: str = Field(description=f"{FAMILIARITY} Empty if there is no prediction.")
    reason: str = Field(description="Why there is no prediction, in a word; else empty.")


class RecordingTimeline(BaseModel):
    """The predictions for one recording over time."""

    model: str
    file: str
    duration_s: float
    channels: list[str] = Field(description="Titles; empty for a single channel.")
    windows: list[TimelineWindow]


class Health(BaseModel):
    """The state of a service that can answer."""

    status: str
    workers: int = Field(description="Worker processes with their model loaded.")


BINARY = {"type": "string", "format": "binary"}


def upload_route(text: str, example: dict[str, Any], *, multiple: bool) -> dict[str, Any]:
    """Return the OpenAPI description of a route that receives one recording, or multiple ones.

    `text` is its description in Markdown, and `example` a response.
    """
    files = {"type": "array", "items": BINARY, "minItems": 1} if multiple else BINARY
    form = {
        "schema": {
            "type": "object",
            "required": [FIELD],
            "properties": {FIELD: files},
            "additionalProperties": False,
        },
        "encoding": {FIELD: {"contentType": "audio/wav"}},
    }
    responses: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/json": {"example": example}}}
    }
    if multiple:
        description = "Some recordings have no prediction; each of them has its problem"
        responses[207] = {"model": Predictions, "description": description}
    return {
        "description": text,
        "responses": responses | problems("not-a-form", "invalid", "busy", *RECORDING),
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"multipart/form-data": form}}
        },
    }


def predictions_example(card: Card) -> dict[str, Any]:
    """Return an example of `Predictions`."""
    prediction = {"file": "example.wav", **_prediction_example(card), "duration_s": 1.39}
    return {"model": card.reference, "predictions": [prediction]}


def timeline_example(card: Card) -> dict[str, Any]:
    """Return an example of `RecordingTimeline`."""
    window = {"start_s": 0.0, "end_s": 1.39, "channel": 0, **_prediction_example(card)}
    return {
        "model": card.reference,
        "file": "example.wav",
        "duration_s": 1.39,
        "channels": [""],
        "windows": [window | {"reason": ""}],
    }


def _prediction_example(card: Card) -> dict[str, Any]:
    first, *others = card.emotions
    probabilities = {first: 1.0 - 0.125 * len(others)} | dict.fromkeys(others, 0.125)
    familiar = {"distance": 0.75, "familiarity": familiarity(0.75)}
    return {"emotion": first, "probabilities": probabilities, **familiar}


def ok(media_type: str, schema: dict[str, Any], example: Any = None) -> dict[int | str, Any]:
    """Return the description of a successful response."""
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {200: {"description": "OK", "content": {media_type: content}}}


def problems(*names: str) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of problem responses by status; `GENERAL` is always included."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for name in (*names, *GENERAL):
        kind = PROBLEMS[name]
        content = {"schema": {"$ref": PROBLEM}, "examples": {}}
        entry = by_status.setdefault(
            kind.status, {"description": "", "content": {MEDIA_TYPE: content}}
        )
        entry["description"] += f"{'; ' if entry['description'] else ''}{kind.title}"
        entry["content"][MEDIA_TYPE]["examples"][name] = {"value": problem(name, "...")}
        if name == "busy":
            retry_after = {"description": "Seconds.", "schema": {"type": "string"}}
            entry["headers"] = {"Retry-After": retry_after}
    return by_status


def introduction(card: Card, limits: Limits, address: str, *, token: bool) -> str:
    """Return the general description of the API, in Markdown."""
    header = "-H 'Authorization: Bearer TOKEN' " if token else ""
    return f"""{plain(card.title)} of the study {code(card.study)}: {code(card.reference)}.

Measured performance with its 95 % CI: {card.performance}

{plain(card.calibrated)}

{plain(card.costs)}

To try it, download [example.wav](example.wav), open *POST /predict* below, *Try it out*, choose the
file, *Execute*. On the command line:

    curl {header}-O {address}/example.wav
    curl {header}-F file=@example.wav {address}/predict

A request has at most {limits.upload_bytes / 2**20:g} MiB and {limits.files} files. A recording has
at most {limits.clip_s:g} s, for a timeline {limits.timeline_s:g} s. At most {limits.concurrent}
requests run at once, each for up to {limits.request_s:g} s. Uploads are not stored. Every error is
a problem document (RFC 9457)."""
