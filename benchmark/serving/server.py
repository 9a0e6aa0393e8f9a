"""The server: options, socket, and the service from start to end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import traceback
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.engine.files import user_path
from benchmark.engine.signals import ended_by_signals
from benchmark.errors import BenchmarkError
from benchmark.hints import install
from benchmark.serving.limits import Limits

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from benchmark.console import Console
    from benchmark.serving.pool import Pool
    from benchmark.tracking.cards import Card

WILDCARDS = ("0.0.0.0", "::")
"""Addresses that stand for all interfaces; clients cannot use them as a host name."""

LIBRARIES = ("fastapi", "multipart", "prometheus_client", "swagger_ui_bundle", "uvicorn")
"""Of the extra `serve`."""

MIN_TOKEN_LENGTH = 16  # attempts to guess a token are not slowed down
KEEP_ALIVE_S = 5
BACKLOG = 256
SHUTDOWN_S = 3  # for responses in progress


@dataclass(frozen=True)
class Options:
    """Options of a service.

    Attributes
    ----------
    host : str
        Address to listen on; by default only this machine can connect.
    port : int
        0 for any free port.
    token : str or None
        Required of every client; must be set if other machines can connect.
    hosts : tuple of str
        Allowed host names besides `host` and those of the loopback interface.
    workers : int
        Number of worker processes.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    workers: int = 1

    @property
    def address(self) -> str:
        """Base URL of the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class NoMessageFormatter(logging.Formatter):
    """Formats exceptions without their messages, which may contain uploaded data."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - a name of logging
        """Return the traceback and the class of an exception."""
        kind, _, frames = ei
        return "".join([*traceback.format_tb(frames), getattr(kind, "__name__", "")])


def serve(card: Path, options: Options, console: Console) -> None:
    """Serve REST and the page until Ctrl-C, or a signal that ends commands.

    Raises
    ------
    BenchmarkError
        If the options are unsafe, the address is not available, or the model cannot be loaded.
    """
    check_options(options)
    _check_libraries()
    handler = logging.StreamHandler()
    handler.setFormatter(NoMessageFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    from benchmark.serving.pool import Pool

    with contextlib.closing(listen(options.host, options.port)) as listener:
        options = replace(options, port=listener.getsockname()[1])
        pool = Pool(card, options.limits, options.workers)
        console.info(f"Loading {pool.card.reference} ...")
        with ended_by_signals():
            try:
                pool.start()
                app = service(pool, options)
                _print_addresses(pool.card, options, console)
                server(app).run(sockets=[listener])
            except KeyboardInterrupt:
                console.info("The service has stopped.")
            finally:
                pool.close()


def read_token(file: Path | None) -> str | None:
    """Return the first line of a file, else the value of SER_TOKEN, else None.

    SER_TOKEN is removed from the environment, so that no process that decodes uploads has it.

    Raises
    ------
    BenchmarkError
        If the file can't be read, or its first line is empty.
    """
    from_environment = os.environ.pop("SER_TOKEN", "")
    if file is None:
        return from_environment or None
    try:
        token = user_path(file).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"--token-file {file}: can't be read ({error}).") from error
    if not token:
        raise BenchmarkError(f"--token-file {file}: the first line is empty; it must be the token.")
    return token


def check_options(options: Options) -> None:
    """Refuse unsafe options.

    Raises
    ------
    BenchmarkError
        If other machines can connect and no token is set, or the token is invalid or too short.
    """
    token = options.token
    if token is not None and not (
        token.isascii() and token.isprintable() and token.strip() == token != ""
    ):
        raise BenchmarkError("The token must be printable ASCII without surrounding spaces.")
    if token is not None and len(token) < MIN_TOKEN_LENGTH:
        raise BenchmarkError(
            f"The token has {len(token)} characters and could be guessed; at least "
            f"{MIN_TOKEN_LENGTH} are required. `openssl rand -hex 16` generates one."
        )
    if token is None and not is_loopback(options.host):
        raise BenchmarkError(
            f"--host {options.host}: other machines could connect, so the service needs a token. "
            "Set SER_TOKEN or --token-file, or leave --host out to allow only this machine."
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address."""
    return all(ip_address(address).is_loopback for _, address in _addresses(host, 0))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    BenchmarkError
        If the address is in use or does not belong to this machine.
    """
    family, _ = _addresses(host, port)[0]
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BenchmarkError(
            f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port with "
            f"--port {port + 1}, or stop the process that uses it."
        ) from error


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BenchmarkError(f"--host {host}: unknown address ({error.strerror}).") from error
    return [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found]


def service(pool: Pool, options: Options) -> ASGIApp:
    """Return REST and the page behind the middleware, with requests counted."""
    from benchmark.serving.page.routes import add_page
    from benchmark.serving.rest.app import create_app
    from benchmark.serving.rest.middleware import LOOPBACK, with_middleware

    token = options.token is not None
    app = create_app(pool, options.limits, token=token, address=options.address)
    add_page(app, pool, options.limits)
    hosts = (*LOOPBACK, options.host, *options.hosts)
    protected = with_middleware(app, options.limits, hosts, options.token)
    counted: ASGIApp = app.state.metrics.counted(protected)
    return counted


def server(app: ASGIApp) -> uvicorn.Server:
    """Return the HTTP server for an application."""
    import uvicorn

    from benchmark.serving.rest.connection import MAX_CONNECTIONS, Connection

    # It logs every malformed form; the client is informed by the response.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return uvicorn.Server(config)


def _check_libraries() -> None:
    """Refuse to start if a library of the extra `serve` is missing."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise BenchmarkError(
            f"The service needs {', '.join(missing)}. Install the extra: {install('serve')}."
        )


def _print_addresses(card: Card, options: Options, console: Console) -> None:
    """Print the model, its performance and the addresses of the service."""
    from benchmark.serving.command import introduce

    introduce(card, console)
    console.print(f"page: {options.address}/")
    console.print(f"REST: {options.address}/docs")
    if options.host in WILDCARDS and not options.hosts:
        console.info(
            "Other machines are refused until --allow-host names the host they connect to."
        )
    if options.token is not None:
        console.info(
            "Open the page once as /?token=TOKEN; for REST, send `Authorization: Bearer TOKEN`."
        )
    console.info("Ctrl-C stops the service.")
