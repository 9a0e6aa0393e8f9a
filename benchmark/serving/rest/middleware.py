"""ASGI middleware in front of REST and the page: access, limits and security headers.

Starlette's `TrustedHostMiddleware` is not used: its refusal is not a problem document.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from benchmark.serving.limits import Limits
from benchmark.serving.rest.schema import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

PUBLIC_PATHS = {"/health"}
"""Need no token; a supervisor that restarts the service learns only that it runs."""

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
COOKIE = "ser_session"

DISCARD_S = 2.0
"""How long the rest of a refused body is received: many clients read no response before they have
sent everything."""

RETRY_AFTER_S = 1

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data: blob:; worker-src 'none'; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'none'; object-src 'none'"
)
"""A browser runs only scripts of this service and sends requests to no other host."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": CONTENT_POLICY,
}


def with_middleware(
    app: ASGIApp, limits: Limits, hosts: Iterable[str] = LOOPBACK, token: str | None = None
) -> ASGIApp:
    """Return an application behind all middleware; WebSocket connections are closed.

    `hosts` and `token` are those of `AccessControl`.
    """
    http = AccessControl(RequestLimits(app, limits), hosts, token)

    async def protected(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await http(scope, receive, _with_security_headers(send))
        elif scope["type"] == "lifespan":
            await app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    return protected


def _with_security_headers(send: Send) -> Send:
    """Return a `send` that adds `SECURITY_HEADERS` to a response that does not set them itself."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


class AccessControl:
    """Refuses foreign host names, foreign origins and requests without the token.

    Parameters
    ----------
    hosts : iterable of str
        Allowed host names, without ports. Protects against DNS rebinding: a foreign web page can
        let its own host name resolve to this machine.
    token : str, optional
        Required as a bearer token or as the cookie that ``GET /?token=...`` sets.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str | None) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.token = token
        # The token cannot be computed from the cookie.
        self._session = hmac.new((token or "").encode(), COOKIE.encode(), sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await _refuse(refusal, receive, send)
        elif self.token is not None and _token_in_address(request):
            await self._login(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if _host_name(host) not in self.hosts:
            detail = "Allow the name with --allow-host when the service is started."
            return _refusal("unknown-host", detail)
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return _refusal("foreign-origin", "Only pages of this service may send requests.")
        if not self._authorized(request):
            detail = "Send `Authorization: Bearer TOKEN`, or open /?token=TOKEN in a browser."
            return _refusal("unauthorized", detail, {"www-authenticate": "Bearer"})
        return None

    def _authorized(self, request: Request) -> bool:
        if self.token is None or request.scope["path"] in PUBLIC_PATHS:
            return True
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        return (
            (scheme.lower() == "bearer" and _equal(bearer.strip(), self.token))
            or _equal(request.cookies.get(COOKIE, ""), self._session)
            or _equal(_token_in_address(request), self.token)
        )

    def _login(self, scope: Scope) -> Response:
        """Return a redirect to the address without the token, which sets the cookie."""
        path = scope.get("raw_path", b"/").decode("latin-1")
        location = "/" + path.lstrip("/\\")  # `//name` would lead to another host
        response = RedirectResponse(location, 303, {"cache-control": "no-store"})
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="strict")
        return response


class RequestLimits:
    """Bounds the size of a request, its time, and the number of concurrent requests.

    Bodies are received here in full, in memory, before the application sees the request.

    Parameters
    ----------
    limits : Limits
        `upload_bytes`, `concurrent` and `request_s` are enforced here.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self._buffered_bytes = 0  # of all bodies, complete or in part
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive the body of a request, then call the application, both within `request_s`."""
        deadline = asyncio.get_running_loop().time() + self.limits.request_s
        body = bytearray()
        try:
            refusal = await self._receive_body(scope, body, receive, deadline)
            if refusal is not None:
                await _refuse(refusal, receive, send)
            elif scope["method"] in SAFE_METHODS:
                await self._call_app(scope, _replay(body, receive), send, deadline)
            elif self._running >= self.limits.concurrent:
                await self._busy()(scope, receive, send)
            else:
                self._running += 1
                try:
                    await self._call_app(scope, _replay(body, receive), send, deadline)
                finally:
                    self._running -= 1
        except ClientDisconnect:
            return
        finally:
            self._buffered_bytes -= len(body)

    async def _receive_body(
        self, scope: Scope, body: bytearray, receive: Receive, deadline: float
    ) -> Response | None:
        """Append the request's body; return a refusal if it is too large or too slow."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        declared_bytes = int(length) if length.isascii() and length.isdigit() else 0
        if declared_bytes > self.limits.upload_bytes:
            return self._too_large()
        if not declared_bytes and "transfer-encoding" not in headers:
            return None
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in Request(scope, receive).stream():
                    body += chunk
                    self._buffered_bytes += len(chunk)
                    if len(body) > self.limits.upload_bytes:
                        return self._too_large()
                    if self._buffered_bytes > self.limits.concurrent * self.limits.upload_bytes:
                        return self._busy()
        except TimeoutError:
            detail = f"A request must arrive within {self.limits.request_s:g} s."
            return _refusal("slow-upload", detail)
        return None

    async def _call_app(self, scope: Scope, receive: Receive, send: Send, deadline: float) -> None:
        """Call the application; a response that has begun by the deadline may finish."""
        begun = False

        async def send_in_time(message: Message) -> None:
            nonlocal begun
            if limit.expired():
                return
            if message["type"] == "http.response.start":
                begun = True
                limit.reschedule(None)
            await send(message)

        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                await self.app(scope, receive, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            detail = f"A request may take {self.limits.request_s:g} s. Send a shorter recording."
            await _refusal("slow", detail)(scope, receive, send)
        except asyncio.CancelledError:  # the service stops
            if begun:
                raise
            await _refusal("stopping", "Send the request again.")(scope, receive, send)

    def _too_large(self) -> Response:
        mebibytes = self.limits.upload_bytes / 2**20
        return _refusal("too-large", f"A request has at most {mebibytes:g} MiB.")

    def _busy(self) -> Response:
        detail = f"At most {self.limits.concurrent} requests run at once. Try again soon."
        return _refusal("busy", detail, {"retry-after": str(RETRY_AFTER_S)})


def _refusal(name: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return a problem document after which the connection is closed."""
    return problem_response(name, detail, {"connection": "close"} | (headers or {}))


async def _refuse(refusal: Response, receive: Receive, send: Send) -> None:
    """Send a response, discard what is still received for a while, then end the response."""

    async def send_open(message: Message) -> None:
        await send({"more_body": True, **message} if "body" in message else message)

    scope = {"type": "http"}
    await refusal(scope, receive, send_open)
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DISCARD_S):
            async for _ in Request(scope, receive).stream():
                pass
    await send({"type": "http.response.body", "body": b""})


def _replay(body: bytearray, receive: Receive) -> Receive:
    """Return a `receive` that yields a received body first, then what follows it."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return receive_again


def _token_in_address(request: Request) -> str:
    return request.query_params.get("token", "") if request.method == "GET" else ""


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port; empty if it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
