"""What stands before the service: who may ask, how much, and for how long.

It knows nothing of what is asked, so that it holds for REST and the page alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from benchmark.serving.limits import Limits
from benchmark.serving.problems import MEDIA_TYPE, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

OPEN_PATHS = {"/health"}  # tells whoever restarts a service no more than that it lives
SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
COOKIE = "ser_session"

LINGER_S = 2.0
"""A refused body is thrown away for so long: many senders read no answer before they have sent."""

RETRY_S = 1

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; media-src 'self' data: blob:; frame-ancestors 'none'; "
        b"form-action 'none'; base-uri 'none'; object-src 'none'",
    ),
)
"""Of every answer that does not set them itself: a browser asks no other host for anything."""


class Refusal(NamedTuple):
    """Why a request is not let in.

    Attributes
    ----------
    name : str
        Of `problems.PROBLEMS`.
    detail : str
    headers : tuple of (bytes, bytes)
    """

    name: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """An ASGI application before another: lets in who may ask, as much and as long as allowed.

    Parameters
    ----------
    app : ASGI application
    limits : Limits
        Of them `upload_bytes`, `concurrent` and `request_s` are kept here.
    hosts : iterable of str
        Names that the service goes by, without ports. A page elsewhere can let a name of its own
        point at this machine, so that a browser takes it for one of ours.
    token : str, optional
        That must be shown, as a bearer token or by the cookie that ``GET /?token=...`` sets.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        hosts: Iterable[str] = LOOPBACK,
        token: str | None = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.hosts = frozenset(host.lower() for host in hosts)
        self.token = token
        self._held_bytes = 0  # of bodies that are there, whole or in part
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(refusal, receive, send)
        elif login := self._login(scope):
            await _redirect(login, self._session(), send)
        else:
            await self._let_in(scope, headers, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> Refusal | None:
        """Return why a request may not be asked at all."""
        host = headers.get(b"host", "")
        origin = headers.get(b"origin")
        if _name(host) not in self.hosts:
            return Refusal(
                "unknown-host", "Name it with --allow-host where the service is started."
            )
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return Refusal("foreign-origin", "Only pages of this service may ask it.")
        if not self._known(scope, headers):
            detail = "Send `Authorization: Bearer TOKEN`, or open /?token=TOKEN in a browser."
            return Refusal("unauthorized", detail, ((b"www-authenticate", b"Bearer"),))
        if _stated_bytes(headers) > self.limits.upload_bytes:
            return self._too_large()
        return None

    def _known(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        """Whether somebody who asks has shown the token."""
        if self.token is None or scope["path"] in OPEN_PATHS:
            return True
        scheme, _, shown = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(shown.strip(), self.token):
            return True
        if _equal(_cookie(headers), self._session()):
            return True
        return scope["method"] == "GET" and _equal(_shown(scope), self.token)

    def _session(self) -> str:
        """Return the cookie's value, which does not tell the token."""
        return hmac.new((self.token or "").encode(), COOKIE.encode(), hashlib.sha256).hexdigest()

    def _login(self, scope: Scope) -> str:
        """Return where to go with a cookie, for an address with a token in it; else nothing."""
        if self.token is None or scope["method"] != "GET" or not _shown(scope):
            return ""
        path: str = scope.get("raw_path", b"/").decode("latin-1")
        return "/" + path.lstrip("/\\")  # two of them would lead to another host

    def _too_large(self) -> Refusal:
        mebibytes = self.limits.upload_bytes / 2**20
        return Refusal("too-large", f"A request has at most {mebibytes:g} MiB.")

    async def _let_in(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive, send: Send
    ) -> None:
        """Take in the body, then let the application answer, both in the time of one request."""
        until = asyncio.get_running_loop().time() + self.limits.request_s
        body = bytearray()
        try:
            refusal = await self._take_in(body, receive, until) if _has_body(headers) else None
            if refusal is not None:
                await _refuse(refusal, receive, send)
            elif scope["method"] in SAFE_METHODS:
                await self._answer(scope, _received(body, receive), send, until)
            elif self._working >= self.limits.concurrent:
                await _refuse(self._busy(), None, send)
            else:
                self._working += 1
                try:
                    await self._answer(scope, _received(body, receive), send, until)
                finally:
                    self._working -= 1
        except ConnectionAbortedError:  # nobody is there to be answered
            return
        finally:
            self._held_bytes -= len(body)

    def _busy(self) -> Refusal:
        detail = f"Up to {self.limits.concurrent} requests are worked on at once. Try again soon."
        return Refusal("busy", detail, ((b"retry-after", b"%d" % RETRY_S),))

    async def _take_in(self, body: bytearray, receive: Receive, until: float) -> Refusal | None:
        """Receive a body; return why not, where it is too large or too slow."""
        most_held = self.limits.concurrent * self.limits.upload_bytes
        try:
            async with asyncio.timeout_at(until):
                more = True
                while more:
                    message = await _next(receive)
                    part = message.get("body", b"")
                    body += part
                    self._held_bytes += len(part)
                    more = message.get("more_body", False)
                    if len(body) > self.limits.upload_bytes:
                        return self._too_large()
                    if self._held_bytes > most_held:
                        return self._busy()
        except TimeoutError:
            detail = f"A request must arrive within {self.limits.request_s:g} s."
            return Refusal("slow-upload", detail)
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, until: float) -> None:
        """Let the application answer; what it has begun to send by then it may finish."""

        async def begun(message: Message) -> None:
            if limit.expired():
                return
            if message["type"] == "http.response.start":
                limit.reschedule(None)
            await send(message)

        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                await self.app(scope, receive, begun)
        except TimeoutError:
            if not limit.expired():
                raise
            detail = f"A request may take {self.limits.request_s:g} s. Send a shorter recording."
            await _refuse(Refusal("slow", detail), None, send)


def _received(body: bytearray, receive: Receive) -> Receive:
    """Return what receives a body that is there already, and then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return receive_again


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionAbortedError
    return message


def _with_headers(send: Send) -> Send:
    """Return what sends answers with `HEADERS`, where they do not set them themselves."""

    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            message["headers"] = own + [pair for pair in HEADERS if pair[0] not in names]
        await send(message)

    return send_with


async def _refuse(refusal: Refusal, receive: Receive | None, send: Send) -> None:
    """Send a problem document, throw away what may still come, and close the connection."""
    document = problem(refusal.name, refusal.detail)
    content = json.dumps(document).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(content)),
        (b"connection", b"close"),
        *refusal.headers,
    ]
    await send({"type": "http.response.start", "status": document["status"], "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": receive is not None})
    if receive is not None:
        await _throw_away(receive)
        await send({"type": "http.response.body", "body": b""})


async def _throw_away(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError, ConnectionAbortedError):
        async with asyncio.timeout(LINGER_S):
            while (await _next(receive)).get("more_body", False):
                pass


async def _redirect(path: str, session: str, send: Send) -> None:
    """Give a browser its cookie, and the address without the token."""
    cookie = f"{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/"
    headers = [
        (b"location", path.encode("latin-1")),
        (b"set-cookie", cookie.encode()),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _name(host: str) -> str:
    """Return the name in a Host header, without its port; empty where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _stated_bytes(headers: dict[bytes, str]) -> int:
    stated = headers.get(b"content-length", "0")
    return int(stated) if stated.isascii() and stated.isdigit() else 0


def _has_body(headers: dict[bytes, str]) -> bool:
    return b"transfer-encoding" in headers or _stated_bytes(headers) > 0


def _equal(shown: str, right: str) -> bool:
    return hmac.compare_digest(shown.encode(), right.encode())


def _shown(scope: Scope) -> str:
    """Return the token in an address."""
    query = scope.get("query_string", b"").decode("latin-1")
    shown: list[str] = parse_qs(query).get("token", [""])
    return shown[0]


def _cookie(headers: dict[bytes, str]) -> str:
    pairs = (part.strip().partition("=") for part in headers.get(b"cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")
