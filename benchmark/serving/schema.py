"""The shapes of what REST answers, and how it is described (OpenAPI)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from benchmark.report.markdown import code, plain
from benchmark.serving.limits import Limits
from benchmark.serving.problems import MEDIA_TYPE, PROBLEMS, problem
from benchmark.tracking.cards import Card

FIELD = "file"
"""Of a form, that holds a recording."""

VERSION = "3.0.3"
"""Of OpenAPI: the latest that the bundled Swagger UI draws."""

PROBLEM = "#/components/schemas/Problem"

ANYWHERE = ("unauthorized", "foreign-origin", "slow-upload", "too-large", "unknown-host", "slow")
RECORDING = ("not-audio", "too-long", "damaged", "silent", "too-short", "too-heavy")


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Predicted(BaseModel):
    """What the model says of one recording."""

    file: str = Field(description="The file's name, as it was sent.")
    emotion: str = Field(description="The most probable one.")
    probabilities: dict[str, float] = Field(description="Of each emotion; exact values of float32.")
    duration_s: float


class Failed(BaseModel):
    """Why one recording has no emotion."""

    file: str
    problem: Problem


class Predictions(BaseModel):
    """What the model says of each recording, in the order in which they were sent."""

    model: str = Field(description="Study, split, name and digest; GET /model tells all of it.")
    predictions: list[Predicted | Failed]


class TimelineWindow(BaseModel):
    """What the model says of a part of one channel."""

    start_s: float
    end_s: float
    channel: int = Field(description="Counted from 0.")
    emotion: str = Field(description="Empty where there is none, as in silence.")
    probabilities: dict[str, float]
    reason: str = Field(description="Why there is no emotion, in a word; else empty.")


class TimelineAnswer(BaseModel):
    """What the model says of a recording over time."""

    model: str
    file: str
    duration_s: float
    channels: list[str] = Field(description="What each is called; empty for the only one.")
    windows: list[TimelineWindow]


class Health(BaseModel):
    """That the service can answer."""

    status: str
    workers: int = Field(description="Processes with their model loaded.")


BINARY = {"type": "string", "format": "binary"}


def described(text: str, example: dict[str, Any], *, several: bool) -> dict[str, Any]:
    """Return how an address is described to which recordings are sent.

    Parameters
    ----------
    text : str
        In Markdown.
    example : dict
        Of what it answers.
    several : bool
        Whether one request may hold more than one recording.
    """
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {
            FIELD: {"type": "array", "items": BINARY, "minItems": 1} if several else BINARY
        },
        "additionalProperties": False,
    }
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/json": {"example": example}}}
    }
    if several:
        answers[207] = {
            "model": Predictions,
            "description": "Some can't be predicted; each of them has its problem",
        }
    return {
        "description": text,
        "responses": answers | problems("not-a-form", "invalid", "busy", *RECORDING),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": form,
                        "encoding": {FIELD: {"contentType": "audio/wav"}},
                    }
                },
            }
        },
    }


def predictions_example(card: Card) -> dict[str, Any]:
    """Return what an answer of a model's looks like."""
    predicted = {"file": "example.wav", **_guess(card), "duration_s": 1.39}
    return {"model": card.reference, "predictions": [predicted]}


def timeline_example(card: Card) -> dict[str, Any]:
    """Return what a timeline of a model's looks like."""
    window = {"start_s": 0.0, "end_s": 1.39, "channel": 0, **_guess(card), "reason": ""}
    answer = {"model": card.reference, "file": "example.wav", "duration_s": 1.39}
    return answer | {"channels": [""], "windows": [window]}


def _guess(card: Card) -> dict[str, Any]:
    first, *others = card.emotions
    probabilities = {first: 1.0 - 0.125 * len(others)} | dict.fromkeys(others, 0.125)
    return {"emotion": first, "probabilities": probabilities}


def ok(media_type: str, form: dict[str, Any], example: Any = None) -> dict[int | str, Any]:
    """Return the description of an answer that is no problem."""
    content = {"schema": form} | ({} if example is None else {"example": example})
    return {200: {"description": "OK", "content": {media_type: content}}}


def problems(*names: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of problems by status, of those that are met everywhere too."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for name in (*names, *ANYWHERE):
        kind = PROBLEMS[name]
        known = by_status.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM}, "examples": {}}},
            },
        )
        known["description"] += f"{'; ' if known['description'] else ''}{kind.title}"
        known["content"][MEDIA_TYPE]["examples"][name] = {"value": problem(name, "...")}
        if name == "busy":
            known["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}
            }
    return by_status


def introduction(card: Card, limits: Limits, address: str, *, token: bool) -> str:
    """Return what stands at the head of the description, in Markdown."""
    trust = card.trust
    accuracy = trust.figures["accuracy"]
    voices = "; the recordings are generated by code" if card.generated else ""
    shown = "-H 'Authorization: Bearer TOKEN' " if token else ""
    return f"""{plain(card.title)}, of study {code(card.study)}: {code(card.reference)}.

How far to trust it ({plain(trust.title)}, {trust.speakers} speakers): right in
{accuracy.value:.0%} of {trust.clips} test clips, 95 % interval {accuracy.low:.0%} to
{accuracy.high:.0%}{voices}.

Try it: download [example.wav](example.wav), open *POST /predict* below, *Try it out*, choose the
file, *Execute*. Or

    curl {shown}-O {address}/example.wav
    curl {shown}-F file=@example.wav {address}/predict

A request has at most {limits.upload_bytes / 2**20:g} MiB and {limits.files} files; a recording at
most {limits.clip_s:g} s, for a timeline {limits.timeline_s:g} s. Up to {limits.concurrent} requests
are worked on at once, each up to {limits.request_s:g} s. Nothing that is sent is kept. Whatever
can't be answered is answered with a problem document (RFC 9457)."""
