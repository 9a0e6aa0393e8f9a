"""The page: speak or drop a file, see what the model hears and how far to trust it."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import gradio.routes
from starlette.routing import Match, Mount

from benchmark.card import Card
from benchmark.corpora import synthetic
from benchmark.corpora.clip import Clip
from benchmark.features.audio import UnusableError
from benchmark.serving import markup
from benchmark.serving.heard import hear
from benchmark.serving.limits import Limits
from benchmark.serving.pool import BusyError, LostError, Pool, SlowError
from benchmark.serving.predictor import Predictor
from benchmark.serving.sample import sample

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_NAME = 80
LONGEST_LIVE_S = 10.0
FAULTS = (UnusableError, SlowError, BusyError, LostError)
QUIET = ("silent", "too-short")  # of a voice that is followed, no fault but a pause
NOTHING_SENT = "The recording did not arrive. Send it again."

SAMPLES = ("angry", "happy", "neutral", "sad")
"""What the generated voices to click are like, where the model knows these emotions."""

PATHS = {
    "GET": re.compile(
        r"/|/(config|theme\.css|favicon\.ico|manifest\.json)|/(assets|static)/.+"
        r"|/gradio_api/(queue/data|heartbeat/\w+|startup-events)"
    ),
    "POST": re.compile(r"/gradio_api/(queue/join|cancel|reset)"),
}
"""What the page itself asks of Gradio. All else that Gradio would answer does not exist here:
its API, its monitor, files of this computer, a proxy and fetching from other hosts among it."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'self'; object-src 'none'"
)
"""A browser asks no other host for anything, whatever a script on the page wants. Gradio makes
functions from strings; the microphone's worklet is a blob."""

POLICY_HEADER = (b"content-security-policy", POLICY.encode())

ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' "
    "rx='3' fill='%230b5cad'/><path d='M3 8v1M6 5v6M9 3v10M12 6v4' stroke='white' "
    "stroke-width='1.6' stroke-linecap='round'/></svg>"
)
HEAD = f'<link rel="icon" href="data:image/svg+xml,{ICON}"><meta name="robots" content="noindex">'

ANSWER_JS = """
element.setAttribute("aria-live", "polite");
watch("value", () => {
  const replay = element.querySelector(".replay");
  if (replay) replay.src = window.lastRecording;
});
"""
"""A changed answer is read aloud; what was sent is played from the browser's own memory."""


@dataclass(frozen=True)
class Sent:
    """A recording that somebody sent: what they call it, and its file's bytes."""

    name: str
    content: bytes


class Listener:
    """The page's answers.

    Parameters
    ----------
    pool : Pool
    limits : Limits
    """

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits

    async def hear(self, event: gr.EventData) -> str:
        """Return what is heard in a recording that was sent, or why nothing is."""
        sent = sent_in(event)
        return await self._answer(sent, None) if sent else markup.problem(NOTHING_SENT)

    async def hear_sample(self, chosen: Sent) -> str:
        """Return what is heard in one of the generated voices."""
        return await self._answer(chosen, chosen.content)

    async def listen(self, event: gr.EventData) -> str:
        """Return what is heard in the last seconds of a voice that speaks."""
        sent = sent_in(event)
        if sent is None:
            return markup.problem(NOTHING_SENT)
        try:
            return markup.live(
                await self._pool.ask(Predictor.predict, sent.content, LONGEST_LIVE_S)
            )
        except FAULTS as error:
            quiet = isinstance(error, UnusableError) and error.fault in QUIET
            told = reason(error, self._limits)
            return markup.quiet(str(error)) if quiet else markup.problem(told)

    async def _answer(self, sent: Sent, played: bytes | None) -> str:
        try:
            heard = await self._pool.ask(hear, sent.content, self._limits)
        except FAULTS as error:
            return markup.problem(reason(error, self._limits))
        return markup.answer(sent.name, heard, self._limits, played)


def sent_in(event: gr.EventData) -> Sent | None:
    """Return the recording that the page's script sent; None where there is none."""
    data = event._data
    if not isinstance(data, dict):
        return None
    name, content = data.get("name"), data.get("data")
    if not isinstance(name, str) or not isinstance(content, str):
        return None
    try:
        return Sent(name[:LONGEST_NAME], base64.b64decode(content, validate=True))
    except ValueError:
        return None


def reason(error: Exception, limits: Limits) -> str:
    """Return why there is no answer, and what to do, as a visitor is told."""
    if isinstance(error, UnusableError):
        advice = " WAV, FLAC, OGG and MP3 can be read." if error.fault == "not-audio" else ""
        return f"This recording can't be used: {error}.{advice}"
    if isinstance(error, SlowError):
        return f"It took longer than {limits.request_s:g} s and was stopped. Try a shorter one."
    if isinstance(error, BusyError):
        return "Too many recordings are being heard at present. Try again in a moment."
    return "This recording took more memory than it may, and was stopped. Try a shorter one."


def sample_clips(emotions: tuple[str, ...]) -> dict[str, Sent]:
    """Return generated voices to try, by emotion: of those a model knows, where it knows any.

    Parameters
    ----------
    emotions : tuple of str
        That the model knows.
    """
    known = [name for name in (*SAMPLES, *synthetic.MANNERS) if name in emotions]
    chosen = list(dict.fromkeys(known))[: len(SAMPLES)] or SAMPLES
    speakers = synthetic.SPEAKERS
    return {
        emotion: Sent(f"generated voice, {emotion}", _spoken(emotion, speakers[place]))
        for place, emotion in enumerate(chosen)
    }


def _spoken(emotion: str, speaker: str) -> bytes:
    # Not one of the corpus's own names: no model has learned from this clip.
    name = f"{speaker}_{emotion}_s1_page"
    return sample(Clip("synthetic", name, Path(), f"synthetic/{speaker}", "", emotion, "s1"))


class PageRoute(Mount):
    """The page at "/", of which only what it asks for itself is there."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave to the app's own routes, and their errors, all that is not the page's."""
        method = "GET" if scope.get("method") == "HEAD" else scope.get("method", "")
        asked = PATHS.get(method)
        if scope["type"] != "http" or asked is None or not asked.fullmatch(scope["path"]):
            return Match.NONE, {}
        return super().matches(scope)


class Policed:
    """An ASGI app whose answers tell the browser to ask no other host for anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == "/":
            scope = {**scope, "query_string": b""}  # Gradio would open what it names

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), POLICY_HEADER]
            await send(message)

        await self._app(scope, receive, send_with_policy)


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


def _blocks(listener: Listener, card: Card, limits: Limits) -> gr.Blocks:
    """Return the page's components, and what they ask of the listener."""
    asked = _asked(limits)
    blocks = gr.Blocks(title=f"Voice to emotion: {card.title}", analytics_enabled=False)
    with blocks:
        gr.HTML(markup.header(card), elem_id="model")
        with gr.Row(elem_id="work"):
            with gr.Column(min_width=300):
                voice = gr.HTML(markup.voice(limits), elem_id="voice", js_on_load=_script())
                samples = _samples(card)
            with gr.Column(min_width=300):
                answer = gr.HTML(markup.waiting(), elem_id="answer", js_on_load=ANSWER_JS)
        gr.HTML(markup.about(card), elem_id="about")
        voice.submit(listener.hear, None, answer, **asked)
        voice.input(listener.listen, None, answer, **asked | {"show_progress": "hidden"})
        for button, sent in samples:
            button.click(partial(listener.hear_sample, sent), None, answer, **asked)
    most = limits.concurrent
    blocks.queue(api_open=False, max_size=4 * most, default_concurrency_limit=most)
    return blocks


def _script() -> str:
    return Path(__file__).with_name("page.js").read_text(encoding="utf-8")


def _samples(card: Card) -> list[tuple[gr.Button, Sent]]:
    gr.HTML("<h2>Or try a voice made by code</h2>", elem_id="samples-title")
    with gr.Row(elem_id="samples"):
        return [
            (gr.Button(emotion, size="sm", min_width=90), sent)
            for emotion, sent in sample_clips(card.emotions).items()
        ]


def _asked(limits: Limits) -> dict[str, Any]:
    """Return how anything is asked: by the page alone, with many at once."""
    return {
        "api_visibility": "private",
        "concurrency_limit": limits.concurrent,
        "show_progress": "minimal",
    }


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
    with _private_folder():
        gr.mount_gradio_app(
            app,
            _blocks(Listener(pool, limits), pool.card, limits),
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
