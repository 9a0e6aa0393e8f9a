"""Routes of the page: the page itself, its static files, and the requests of its script."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from benchmark.serving.example_clip import example_clips
from benchmark.serving.limits import Limits
from benchmark.serving.page import html
from benchmark.serving.pool import Pool
from benchmark.serving.predictor import Predictor
from benchmark.serving.rest.app import result_or_problem, until_disconnect
from benchmark.serving.rest.schema import PROBLEMS, ProblemError
from benchmark.serving.timeline import analyse

T = TypeVar("T")

MAX_LIVE_S = 10.0
PAUSES = ("silent", "too-short", "too-little-speech")
"""Problems of a recording that in live mode are pauses of the speaker."""


def add_page(app: FastAPI, pool: Pool, limits: Limits) -> None:
    """Add the page at "/" to the REST application."""
    examples = example_clips(pool.card.emotions)
    page = html.page(pool.card, limits, examples)

    async def analysed(request: Request, content: bytes, audio: bytes | None) -> HTMLResponse:
        result = await _result(request, pool.ask(analyse, content, limits))
        if isinstance(result, ProblemError):
            return _problem(result, limits)
        return HTMLResponse(html.analysis(result, limits, audio))

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page)

    @app.post("/page/analysis", include_in_schema=False)
    async def recording(request: Request) -> HTMLResponse:
        return await analysed(request, await request.body(), None)

    @app.post("/page/examples/{emotion}", include_in_schema=False)
    async def example(request: Request, emotion: str) -> HTMLResponse:
        if emotion not in examples:
            raise ProblemError("not-found", f"Example clips: {', '.join(examples)}.")
        return await analysed(request, examples[emotion], examples[emotion])

    @app.post("/page/live", include_in_schema=False)
    async def live(request: Request) -> HTMLResponse:
        pending = pool.ask(Predictor.predict, await request.body(), MAX_LIVE_S)
        result = await _result(request, pending)
        if not isinstance(result, ProblemError):
            return HTMLResponse(html.live(result))
        if result.name in PAUSES:
            return HTMLResponse(html.live(None, result.detail))
        return _problem(result, limits)

    static = Path(__file__).with_name("static")
    app.mount("/page/static", StaticFiles(directory=static))


async def _result(request: Request, pending: Coroutine[Any, Any, T]) -> T | ProblemError:
    """Return the result of a worker, or its problem."""
    try:
        return await until_disconnect(request, result_or_problem(pending))
    except ProblemError as error:
        error.__traceback__ = None  # its frames hold the upload
        return error


def _problem(error: ProblemError, limits: Limits) -> HTMLResponse:
    """Return why there is no prediction and what a visitor can do."""
    advice = " WAV, FLAC, OGG and MP3 can always be read." if error.name == "not-audio" else ""
    text = {
        "slow": f"The analysis was stopped after {limits.request_s:g} s. Try a shorter recording.",
        "too-heavy": "The recording needs too much memory. Try a shorter one.",
    }.get(error.name, f"This recording can't be used: {error.detail}.{advice}")
    return HTMLResponse(html.problem(text), PROBLEMS[error.name].status)
