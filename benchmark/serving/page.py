"""The page: speak or drop a file, see what the model hears and how far to trust it."""

from __future__ import annotations

import os
import re
import tempfile
from base64 import b64encode
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
import gradio.routes
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.routing import Match, Mount

from benchmark.corpora import synthetic
from benchmark.corpora.clip import Clip
from benchmark.serving import html
from benchmark.serving.analysis import hear
from benchmark.serving.app import RefusedError, outcome, unless_gone
from benchmark.serving.example_clip import sample
from benchmark.serving.limits import Limits
from benchmark.serving.pool import Pool
from benchmark.serving.predictor import Predictor
from benchmark.tracking.cards import Card

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

LONGEST_LIVE_S = 10.0
QUIET = ("silent", "too-short")  # of a voice that is followed, no fault but a pause

SAMPLES = ("angry", "happy", "neutral", "sad")
"""What the generated voices to click are like, where the model knows these emotions."""

SHELL = re.compile(r"/|/(theme\.css|favicon\.ico|manifest\.json)|/(assets|static)/.+")
"""What the page asks of Gradio, by GET alone. All else that Gradio would answer does not exist
here: its queue, which keeps answers that nobody fetches, its API, its monitor, files of this
computer, a proxy and fetching from other hosts among it."""

POLICY = (
    "default-src 'self'; script-src 'self' {scripts} 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src data: blob:; "
    "worker-src 'none'; connect-src 'self'; frame-src 'none'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'self'; object-src 'none'"
)
"""A browser asks no other host for anything, whatever a script on the page wants, and runs no
script that somebody has put into the page. Gradio makes functions from strings; the microphone's
worklet is a blob."""

INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)

ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' "
    "rx='3' fill='%230b5cad'/><path d='M3 8v1M6 5v6M9 3v10M12 6v4' stroke='white' "
    "stroke-width='1.6' stroke-linecap='round'/></svg>"
)
HEAD = f'<link rel="icon" href="data:image/svg+xml,{ICON}"><meta name="robots" content="noindex">'


def _add_answers(app: FastAPI, pool: Pool, limits: Limits, samples: dict[str, bytes]) -> None:
    """Add what the page's script asks for: recordings in, pieces of the page out."""

    async def answered(request: Request, content: bytes, played: bytes | None) -> HTMLResponse:
        heard = await _asked(request, pool.ask(hear, content, limits))
        if isinstance(heard, RefusedError):
            return _problem(heard, limits)
        return HTMLResponse(html.answer(heard, limits, played))

    @app.post("/page/hear", include_in_schema=False)
    async def recording(request: Request) -> HTMLResponse:
        return await answered(request, await request.body(), None)

    @app.post("/page/samples/{emotion}", include_in_schema=False)
    async def generated(request: Request, emotion: str) -> HTMLResponse:
        if emotion not in samples:
            raise RefusedError("not-found", f"There are samples of {', '.join(samples)}.")
        return await answered(request, samples[emotion], samples[emotion])

    @app.post("/page/listen", include_in_schema=False)
    async def listen(request: Request) -> HTMLResponse:
        content = await request.body()
        heard = await _asked(request, pool.ask(Predictor.predict, content, LONGEST_LIVE_S))
        if not isinstance(heard, RefusedError):
            return HTMLResponse(html.live(heard))
        if heard.name in QUIET:
            return HTMLResponse(html.quiet(heard.document["detail"]))
        return _problem(heard, limits)


async def _asked(request: Request, asked: Coroutine[Any, Any, T]) -> T | RefusedError:
    """Return what a worker answers, or why it does not."""
    try:
        return await unless_gone(request, outcome(asked))
    except RefusedError as error:
        error.__traceback__ = None  # its frames hold what was sent
        return error


def _problem(refused: RefusedError, limits: Limits) -> HTMLResponse:
    told = html.problem(reason(refused, limits))
    return HTMLResponse(told, refused.document["status"])


def reason(refused: RefusedError, limits: Limits) -> str:
    """Return why there is no answer, and what to do, as a visitor is told."""
    words = {
        "slow": f"It took longer than {limits.request_s:g} s and was stopped. Try a shorter one.",
        "too-heavy": "This recording took more memory than it may, and was stopped. "
        "Try a shorter one.",
    }
    if refused.name in words:
        return words[refused.name]
    advice = " WAV, FLAC, OGG and MP3 can be read." if refused.name == "not-audio" else ""
    return f"This recording can't be used: {refused.document['detail']}.{advice}"


def sample_clips(emotions: tuple[str, ...]) -> dict[str, bytes]:
    """Return generated voices to try, WAV, by emotion: of those a model knows, where it knows any.

    Parameters
    ----------
    emotions : tuple of str
        That the model knows.
    """
    known = [name for name in (*SAMPLES, *synthetic.MANNERS) if name in emotions]
    chosen = list(dict.fromkeys(known))[: len(SAMPLES)] or SAMPLES
    speakers = synthetic.SPEAKERS
    return {emotion: _spoken(emotion, speakers[place]) for place, emotion in enumerate(chosen)}


def _spoken(emotion: str, speaker: str) -> bytes:
    # Not one of the corpus's own names: no model has learned from this clip.
    name = f"{speaker}_{emotion}_s1_page"
    return sample(Clip("synthetic", name, Path(), f"synthetic/{speaker}", "", emotion, "s1"))


class PageRoute(Mount):
    """The page at "/", of which only what it asks for itself is there."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave to the app's own routes, and their errors, all that is not the page's."""
        read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not read or not SHELL.fullmatch(scope["path"]):
            return Match.NONE, {}
        return super().matches(scope)


class Policed:
    """An ASGI app whose page tells the browser what to run, and to ask no other host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        # Gradio would open what the query names; a packed page does not show its scripts.
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        start: Message = {}
        page = bytearray()

        async def taken(message: Message) -> None:
            start.update(message if message["type"] == "http.response.start" else {})
            page.extend(message.get("body", b""))

        await self._app({**scope, "query_string": b"", "headers": plain}, receive, taken)
        told = (b"content-security-policy", policy(bytes(page)).encode())
        await send({**start, "headers": [*start["headers"], told]})
        await send({"type": "http.response.body", "body": bytes(page)})


def policy(page: bytes) -> str:
    """Return what a page's browser is told: to run the scripts that are in it, and no others."""
    digests = (sha256(script).digest() for script in INLINE.findall(page))
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
    return POLICY.format(scripts=scripts)


@contextmanager
def _private_folder() -> Iterator[None]:
    """Give Gradio a folder of its own while it is mounted.

    Nothing that is sent is ever written, but Gradio makes a folder when it starts, and the place
    where it would do so may belong to another user of the machine.
    """
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        gradio.routes.DEFAULT_TEMP_DIR = folder  # type: ignore[attr-defined]  # read on import
        yield


def _theme() -> gr.themes.Base:
    """Return a theme of the system's own fonts: Gradio's would be asked of another host."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        text_size=gr.themes.sizes.text_lg,
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )


def _blocks(card: Card, limits: Limits, samples: dict[str, bytes]) -> gr.Blocks:
    """Return the page; none of its components asks Gradio for anything."""
    blocks = gr.Blocks(title=f"Voice to emotion: {card.title}", analytics_enabled=False)
    with blocks:
        gr.HTML(html.header(card), elem_id="model")
        with gr.Row(elem_id="work"):
            with gr.Column(min_width=300):
                gr.HTML(html.voice(limits, samples), elem_id="voice", js_on_load=_script())
            with gr.Column(min_width=300):
                gr.HTML(html.waiting(), elem_id="answer")
        gr.HTML(html.about(card), elem_id="about")
    return blocks


def _script() -> str:
    return Path(__file__).with_name("page.js").read_text(encoding="utf-8")


def mount_page(app: FastAPI, pool: Pool, limits: Limits) -> FastAPI:
    """Return an app with the page at "/"; what it does not answer is left to the app.

    Parameters
    ----------
    app : FastAPI
        With all its own routes.
    pool : Pool
        Started.
    limits : Limits
    """
    samples = sample_clips(pool.card.emotions)
    _add_answers(app, pool, limits, samples)
    with _private_folder():
        gr.mount_gradio_app(
            app,
            _blocks(pool.card, limits, samples),
            path="/",
            footer_links=[],
            run_history=False,
            app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
            show_error=False,
            max_file_size=0,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=_theme(),
            css_paths=Path(__file__).with_name("page.css"),
            head=HEAD,
        )
    mounted = app.router.routes.pop()
    if not isinstance(mounted, Mount):
        raise TypeError(f"Gradio mounted a {type(mounted).__name__}")
    app.router.routes.append(PageRoute("/", Policed(mounted.app), name="page"))
    return app
