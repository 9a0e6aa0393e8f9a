"""The REST application."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from benchmark.engine.environment import __version__
from benchmark.features.audio import UnusableError
from benchmark.serving.example_clip import example_wav
from benchmark.serving.limits import Limits
from benchmark.serving.pool import LostError, Pool, SlowError
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.rest import schema
from benchmark.serving.rest.metrics import Metrics
from benchmark.serving.rest.middleware import CONTENT_POLICY
from benchmark.serving.rest.schema import ProblemError, problem_response
from benchmark.serving.timeline import timeline

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Status in the metrics if the client closed the connection, as in nginx; it is never sent."""

HTTP_PROBLEMS = {404: "not-found", 405: "method-not-allowed"}

PREDICT = (
    "One recording, or several in one request. If some of several recordings have no prediction, "
    "the status is 207 and each of those has its problem in place of an emotion. If all have none, "
    "the response is a problem document, with the problem of each file under `files`."
)
TIMELINE = (
    "Windows of three seconds, one each second, for each channel separately: left and right in a "
    "stereo recording."
)


class _InMemoryParser(MultiPartParser):
    """Keeps uploads of any size in memory; nothing is written to disk."""

    spool_max_size = sys.maxsize


def create_app(
    pool: Pool, limits: Limits, *, token: bool = False, address: str = "http://127.0.0.1:8000"
) -> FastAPI:
    """Return the REST application, to which the page can be added.

    The caller starts and closes the pool. `token` is whether the OpenAPI description mentions a
    bearer token, and `address` the base URL of its examples.
    """
    app = FastAPI(
        title="Speech emotion",
        version=__version__,
        description=schema.introduction(pool.card, limits, address, token=token),
        docs_url=None,
        redoc_url=None,
        openapi_tags=[{"name": "recordings"}, {"name": "service"}],
    )
    app.openapi_version = schema.OPENAPI_VERSION
    app.state.metrics = Metrics(pool, app.routes)
    _add_problem_handlers(app)
    _add_predict(app, pool, limits)
    _add_timeline(app, pool, limits)
    _add_service_routes(app, pool)
    _add_docs(app, token)
    return app


def _add_predict(app: FastAPI, pool: Pool, limits: Limits) -> None:
    @app.post(
        "/predict",
        tags=["recordings"],
        summary="Predict the emotion of recordings",
        **schema.upload_route(PREDICT, schema.predictions_example(pool.card), multiple=True),
    )
    async def predict(request: Request, response: Response) -> schema.Predictions:
        files = await _read_files(request, limits.files)
        results = await until_disconnect(request, _predict_all(pool, files, limits))
        predictions = [
            _entry(name, result) for (name, _), result in zip(files, results, strict=True)
        ]
        problems = [result for result in results if isinstance(result, ProblemError)]
        if len(problems) == len(files):
            entries = [entry.model_dump() for entry in predictions]
            raise ProblemError(problems[0].name, problems[0].detail, files=entries)
        response.status_code = 207 if problems else 200
        return schema.Predictions(model=pool.card.reference, predictions=predictions)


def _add_timeline(app: FastAPI, pool: Pool, limits: Limits) -> None:
    @app.post(
        "/timeline",
        tags=["recordings"],
        summary="Predict the emotion of one recording over time",
        **schema.upload_route(TIMELINE, schema.timeline_example(pool.card), multiple=False),
    )
    async def predict_timeline(request: Request) -> schema.RecordingTimeline:
        [(name, content)] = await _read_files(request, 1)
        pending = pool.ask(timeline, content, longest_s=limits.timeline_s)
        result = await until_disconnect(request, result_or_problem(pending))
        if isinstance(result, ProblemError):
            raise result
        return schema.RecordingTimeline(model=pool.card.reference, file=name, **result.to_dict())


def _add_service_routes(app: FastAPI, pool: Pool) -> None:
    card = pool.card.model_dump(mode="json")
    example_clip = example_wav()

    @app.get(
        "/model",
        tags=["service"],
        summary="Model card: origin, measured performance and cost of the model",
        responses=schema.ok("application/json", {"type": "object"}, card) | schema.problems(),
    )
    async def model() -> JSONResponse:
        return JSONResponse(card)

    @app.get(
        "/health",
        tags=["service"],
        summary="Whether the service can answer; needs no token",
        responses=schema.problems("not-ready"),
    )
    async def health() -> schema.Health:
        if not pool.ready:
            raise ProblemError("not-ready", "A worker process is being started. Try again soon.")
        return schema.Health(status="ok", workers=pool.ready)

    @app.get(
        "/metrics",
        tags=["service"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses=schema.ok("text/plain", {"type": "string"}) | schema.problems(),
    )
    async def metrics() -> Response:
        return Response(app.state.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get(
        "/example.wav",
        tags=["recordings"],
        summary="An example clip of synthetic speech",
        response_class=Response,
        responses=schema.ok("audio/wav", schema.BINARY) | schema.problems(),
    )
    async def example() -> Response:
        return Response(example_clip, media_type="audio/wav")


def _add_docs(app: FastAPI, token: bool) -> None:
    """Add Swagger UI, with all its files served from here."""
    from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

    app.mount("/docs/static", StaticFiles(directory=swagger_ui_path))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        response = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title}: REST",
            swagger_js_url="docs/static/swagger-ui-bundle.js",
            swagger_css_url="docs/static/swagger-ui.css",
            swagger_favicon_url="docs/static/favicon-32x32.png",
            # The default shows a badge of an online validator, which is another host.
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )
        # FastAPI starts Swagger UI from an inline script.
        policy = CONTENT_POLICY.replace("script-src", "script-src 'unsafe-inline'")
        response.headers["content-security-policy"] = policy
        return response

    if token:
        description = app.openapi()
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        description["components"]["securitySchemes"] = schemes
        description["security"] = [{"token": []}]
        description["paths"]["/health"]["get"]["security"] = []


def _add_problem_handlers(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> JSONResponse:
        # The frames of the traceback hold the upload, and some of them the error itself. This
        # cycle would keep the upload in memory until garbage collection.
        error.__traceback__ = None
        return problem_response(error.name, error.detail, **error.members)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        name = HTTP_PROBLEMS.get(error.status_code, "invalid")
        return problem_response(name, f"{error.detail}.", error.headers, status=error.status_code)

    @app.exception_handler(Exception)
    async def bug(_: Request, __: Exception) -> JSONResponse:
        return problem_response("bug", "See the log of the service, and please report the error.")


async def _read_files(request: Request, max_files: int) -> list[tuple[str, bytes]]:
    """Return name and content of each file in a form.

    Raises
    ------
    ProblemError
        If the request is not a form, or the form has no file, too many files or other fields.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        example = f"curl -F {schema.FIELD}=@call.wav {request.url.path}"
        raise ProblemError("not-a-form", f"Send a form: {example}")
    parser = _InMemoryParser(
        request.headers, request.stream(), max_files=max_files, max_fields=max_files
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ProblemError("invalid", error.message) from error
    except UnicodeError as error:  # the form chooses its own charset
        raise ProblemError("invalid", "The names in the form must be UTF-8.") from error
    try:
        files = [await _read_file(field, value) for field, value in form.multi_items()]
    finally:
        await form.close()
    if not files:
        raise ProblemError("invalid", f"The form has no file in its field `{schema.FIELD}`.")
    return files


async def _read_file(field: str, value: UploadFile | str) -> tuple[str, bytes]:
    if field != schema.FIELD:
        raise ProblemError(
            "invalid", f"Unknown form field {field[:40]!r}. Allowed: {schema.FIELD}."
        )
    if isinstance(value, str):
        raise ProblemError("invalid", f"The form field `{schema.FIELD}` must hold a file.")
    name = (value.filename or "").encode(errors="replace").decode()  # replaces lone surrogates
    return name, await value.read()


async def until_disconnect(request: Request, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine, which is cancelled if the client disconnects.

    Raises
    ------
    ClientDisconnect
        If the client disconnected.
    """
    task = asyncio.ensure_future(coroutine)
    disconnect = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        disconnect.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _predict_all(
    pool: Pool, files: list[tuple[str, bytes]], limits: Limits
) -> list[Prediction | ProblemError]:
    results = []
    for _, content in files:
        result = await result_or_problem(pool.ask(Predictor.predict, content, limits.clip_s))
        if isinstance(result, ProblemError) and result.name == "too-long":
            longer = f"{result.detail}; /timeline takes up to {limits.timeline_s:g} s"
            result = ProblemError(result.name, longer)
        results.append(result)
    return results


async def result_or_problem(pending: Awaitable[T]) -> T | ProblemError:
    """Return the result of a worker, or the problem of the recording.

    Raises
    ------
    ProblemError
        If the problem is not one of the recording.
    """
    try:
        return await pending
    except UnusableError as error:
        return ProblemError(error.fault, str(error))
    except LostError:
        detail = "The worker process exceeded its memory limit, or crashed."
        return ProblemError("too-heavy", detail)
    except SlowError as error:
        raise ProblemError("slow", "Send a shorter recording, or fewer at once.") from error


def _entry(
    name: str, result: Prediction | ProblemError
) -> schema.RecordingPrediction | schema.RecordingProblem:
    if isinstance(result, ProblemError):
        document = schema.problem(result.name, result.detail)
        return schema.RecordingProblem(file=name, problem=schema.Problem(**document))
    return schema.RecordingPrediction(file=name, **result.to_dict())
