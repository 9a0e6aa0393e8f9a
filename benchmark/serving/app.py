"""REST: what a service answers to whom it has let in."""

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
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from benchmark import __version__
from benchmark.features.audio import UnusableError
from benchmark.serving import schema
from benchmark.serving.example_clip import sample
from benchmark.serving.limits import Limits
from benchmark.serving.metrics import Metrics
from benchmark.serving.pool import LostError, Pool, SlowError
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.problems import MEDIA_TYPE, problem
from benchmark.serving.timeline import timeline

T = TypeVar("T")

ROUTES = (
    "/predict",
    "/timeline",
    "/model",
    "/health",
    "/metrics",
    "/example.wav",
    "/docs",
    "/openapi.json",
)
"""All of REST; whatever else there is, is the page."""

PAGE_ROUTES = ("/page/hear", "/page/listen")
"""Of the page, that are counted by name too."""

GONE = 499  # nobody reads it; nginx counts them by this number

PREDICT = (
    "A recording, or several in one request. Where some of several can't be predicted the status "
    "is 207, and each of those has its problem in place of an emotion; where none can, the answer "
    "is a problem document, with each file's problem under `files`."
)
TIMELINE = (
    "Windows of three seconds, one a second, each channel by itself: of a stereo recording the "
    "left one is the agent's and the right one the customer's, as call centres record."
)


class RefusedError(Exception):
    """There is no answer but a problem document.

    Parameters
    ----------
    name : str
        Of `problems.PROBLEMS`.
    detail : str
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(name)
        self.name = name
        self.document = problem(name, detail)


class GoneError(Exception):
    """Nobody waits for the answer any longer."""


class _InMemory(MultiPartParser):
    """Keeps uploads in memory, whatever their size: nothing of them comes to the disk."""

    spool_max_size = sys.maxsize


def create_app(
    pool: Pool, limits: Limits, *, token: bool = False, address: str = "http://127.0.0.1:8000"
) -> FastAPI:
    """Return the REST application; the page can be mounted on it.

    Parameters
    ----------
    pool : Pool
        Started, and closed, by whoever asks.
    limits : Limits
    token : bool
        Whether its description tells of a bearer token. It is `Guard` that asks for it.
    address : str
        At which its description's examples ask.
    """
    app = FastAPI(
        title="Speech emotion",
        version=__version__,
        description=schema.introduction(pool.card, limits, address, token=token),
        docs_url=None,
        redoc_url=None,
        openapi_tags=[{"name": "recordings"}, {"name": "service"}],
    )
    app.openapi_version = schema.VERSION
    app.state.metrics = Metrics(pool, ROUTES + PAGE_ROUTES)
    _add_problems(app)
    _add_predict(app, pool, limits)
    _add_timeline(app, pool, limits)
    _add_service(app, pool)
    _add_description(app, token)
    for path in ROUTES:
        app.router.routes.append(Route(path, _OtherMethods(app, path), include_in_schema=False))
    return app


def _add_predict(app: FastAPI, pool: Pool, limits: Limits) -> None:
    @app.post(
        "/predict",
        tags=["recordings"],
        summary="Emotion of recordings",
        **schema.described(PREDICT, schema.predictions_example(pool.card), several=True),
    )
    async def predict(request: Request, response: Response) -> schema.Predictions:
        files = await _files(request, limits.files)
        outcomes = await unless_gone(request, _predict_all(pool, files, limits))
        answers = [_answer(name, found) for (name, _), found in zip(files, outcomes, strict=True)]
        refused = [found for found in outcomes if isinstance(found, RefusedError)]
        if len(refused) == len(files):
            refused[0].document["files"] = [answer.model_dump() for answer in answers]
            raise refused[0]
        response.status_code = 207 if refused else 200
        return schema.Predictions(model=pool.card.reference, predictions=answers)


def _add_timeline(app: FastAPI, pool: Pool, limits: Limits) -> None:
    @app.post(
        "/timeline",
        tags=["recordings"],
        summary="Emotion over time in one recording",
        **schema.described(TIMELINE, schema.timeline_example(pool.card), several=False),
    )
    async def over_time(request: Request) -> schema.TimelineAnswer:
        [(name, content)] = await _files(request, 1)
        asked = pool.ask(timeline, content, longest_s=limits.timeline_s)
        found = await unless_gone(request, outcome(asked))
        if isinstance(found, RefusedError):
            raise found
        return schema.TimelineAnswer(model=pool.card.reference, file=name, **found.told())


def _add_service(app: FastAPI, pool: Pool) -> None:
    card = pool.card.model_dump(mode="json")
    clip = sample()

    @app.get(
        "/model",
        tags=["service"],
        summary="The model's card: what made it, and how far to trust it",
        responses=schema.ok("application/json", {"type": "object"}, card) | schema.problems(),
    )
    async def model() -> JSONResponse:
        return JSONResponse(card)

    @app.get(
        "/health",
        tags=["service"],
        summary="Whether the service can answer; asked without a token",
        responses=schema.problems("not-ready"),
    )
    async def health() -> schema.Health:
        if not pool.ready:
            raise RefusedError("not-ready", "A worker process is being started. Try again soon.")
        return schema.Health(status="ok", workers=pool.ready)

    @app.get(
        "/metrics",
        tags=["service"],
        summary="Counts and times, for Prometheus",
        response_class=Response,
        responses=schema.ok("text/plain", {"type": "string"}) | schema.problems(),
    )
    async def metrics() -> Response:
        return Response(app.state.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get(
        "/example.wav",
        tags=["recordings"],
        summary="A generated recording, for trying things out",
        response_class=Response,
        responses=schema.ok("audio/wav", schema.BINARY) | schema.problems(),
    )
    async def example() -> Response:
        return Response(clip, media_type="audio/wav")


def _add_description(app: FastAPI, token: bool) -> None:
    """Add the page that shows the description; all its files come from here."""
    from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

    app.mount("/docs/static", StaticFiles(directory=swagger_ui_path))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title}: REST",
            swagger_js_url="docs/static/swagger-ui-bundle.js",
            swagger_css_url="docs/static/swagger-ui.css",
            swagger_favicon_url="docs/static/favicon-32x32.png",
            # By default a badge asks an outside host to check the description.
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )

    if token:
        described = app.openapi()
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        described["components"]["securitySchemes"] = schemes
        described["security"] = [{"token": []}]
        described["paths"]["/health"]["get"]["security"] = []


def _add_problems(app: FastAPI) -> None:
    """Let whatever goes wrong be answered with a problem document."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        # Its frames hold what was uploaded, and some of them the error itself: both would stay
        # until they are found to be garbage.
        error.__traceback__ = None
        return _problem_response(error.document)

    @app.exception_handler(GoneError)
    async def gone(_: Request, __: GoneError) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        name = "not-found" if error.status_code == 404 else "invalid"
        document = problem(name, f"{error.detail}.") | {"status": error.status_code}
        return _problem_response(document, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def bug(_: Request, __: Exception) -> JSONResponse:
        return _problem_response(problem("bug", "Its log tells more. Please report it."))


def _problem_response(
    document: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(document, document["status"], headers, media_type=MEDIA_TYPE)


class _OtherMethods:
    """Answers the methods that an address does not know, so that they never reach the page."""

    def __init__(self, app: FastAPI, path: str) -> None:
        known = [route for route in app.routes if isinstance(route, Route) and route.path == path]
        self._allowed = ", ".join(sorted({m for route in known for m in route.methods or ()}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"Allowed: {self._allowed}."
        document = problem("method-not-allowed", detail)
        await _problem_response(document, {"Allow": self._allowed})(scope, receive, send)


async def _files(request: Request, most: int) -> list[tuple[str, bytes]]:
    """Return name and content of each file in a form.

    Raises
    ------
    RefusedError
        If there is no form, or it holds no file, too many or something else.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(
            "not-a-form", f"Send a form: curl -F {schema.FIELD}=@call.wav {request.url.path}"
        )
    parser = _InMemory(request.headers, request.stream(), max_files=most, max_fields=most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError("invalid", error.message) from error
    except UnicodeError as error:  # in a charset of the form's own choosing
        raise RefusedError("invalid", "The form's names can't be read: write UTF-8.") from error
    try:
        files = [await _read(field, value) for field, value in form.multi_items()]
    finally:
        await form.close()
    if not files:
        raise RefusedError("invalid", f"There is no file in the form's field `{schema.FIELD}`.")
    return files


async def _read(field: str, value: UploadFile | str) -> tuple[str, bytes]:
    if field != schema.FIELD:
        raise RefusedError(
            "invalid", f"The form has an unknown field {field[:40]!r}. Allowed: {schema.FIELD}."
        )
    if isinstance(value, str):
        raise RefusedError("invalid", f"The form's field `{schema.FIELD}` holds text and no file.")
    name = (value.filename or "").encode(errors="replace").decode()  # half a sign is no UTF-8
    return name, await value.read()


async def unless_gone(request: Request, asked: Coroutine[Any, Any, T]) -> T:
    """Return what is asked for, unless whoever asks goes away first.

    Raises
    ------
    GoneError
        If they have.
    """
    answering = asyncio.ensure_future(asked)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise GoneError
    finally:
        answering.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _predict_all(
    pool: Pool, files: list[tuple[str, bytes]], limits: Limits
) -> list[Prediction | RefusedError]:
    return [
        await outcome(pool.ask(Predictor.predict, content, limits.clip_s)) for _, content in files
    ]


async def outcome(asked: Awaitable[T]) -> T | RefusedError:
    """Return what a worker answers of one recording, or what is wrong with the recording.

    Raises
    ------
    RefusedError
        If it is no fault of the recording.
    """
    try:
        return await asked
    except UnusableError as error:
        return RefusedError(error.fault, str(error))
    except LostError:
        detail = "The process that read it ran out of the memory it may take, or crashed."
        return RefusedError("too-heavy", detail)
    except SlowError as error:
        raise RefusedError("slow", "Send a shorter recording, or fewer at once.") from error


def _answer(name: str, found: Prediction | RefusedError) -> schema.Predicted | schema.Failed:
    if isinstance(found, RefusedError):
        return schema.Failed(file=name, problem=schema.Problem(**found.document))
    return schema.Predicted(
        file=name,
        emotion=found.emotion,
        probabilities=found.probabilities,
        duration_s=found.duration_s,
    )
