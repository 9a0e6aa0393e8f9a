"""The server: an address, its connections, and how it begins and ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.serving.limits import Limits

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from benchmark.console import Console
    from benchmark.serving.pool import Pool
    from benchmark.tracking.cards import Card

OFFLINE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Set before Gradio is imported, whatever the user's shell says: no outside host is asked."""

EVERYWHERE = ("0.0.0.0", "::")
"""Addresses that stand for all of a machine's, and by which no other machine can ask for it."""

LIBRARIES = ("fastapi", "gradio", "multipart", "prometheus_client", "swagger_ui_bundle", "uvicorn")
"""Of the extra `serve`."""

LEAST_TOKEN = 16  # signs: nobody who guesses is slowed down
KEEP_ALIVE_S = 5
BACKLOG = 256
END_S = 3  # for answers on their way when the service ends


@dataclass(frozen=True)
class Options:
    """How a service is run.

    Attributes
    ----------
    host : str
        The address that it listens at; by default this machine alone can reach it.
    port : int
        0 for any that is free.
    token : str or None
        That whoever asks must show; needed where other machines can reach the service.
    hosts : tuple of str
        Names that the service goes by besides those of this machine alone and `host`.
    limits : Limits
    workers : int
        Processes that predict.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    workers: int = 1

    @property
    def address(self) -> str:
        """Where the service is found, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class WithoutMessages(logging.Formatter):
    """Tells where something went wrong and never of what: a message may hold what was sent."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return the frames of an exception and its kind."""
        kind, _, where = ei
        return "".join([*traceback.format_tb(where), getattr(kind, "__name__", "")])


def serve(card: Path, options: Options, console: Console) -> None:
    """Answer REST and show the page, until Ctrl-C.

    Parameters
    ----------
    card : Path
        Of the model.
    options : Options
    console : Console

    Raises
    ------
    BenchmarkError
        If the address can't be had, must not be without a token, or the model can't be loaded.
    """
    os.environ.update(OFFLINE)
    check_options(options)
    _check_libraries()
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutMessages())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    from benchmark.serving.pool import Pool

    with contextlib.closing(listen(options.host, options.port)) as listener:
        options = replace(options, port=listener.getsockname()[1])
        pool = Pool(card, options.limits, options.workers)
        console.info(f"Loading {pool.card.reference} ...")
        with _ended_by_sigterm():
            try:
                pool.start()
                app = service(pool, options)
                _say(pool.card, options, console)
                server(app).run(sockets=[listener])
            except KeyboardInterrupt:
                console.info("The service has ended.")
            finally:
                pool.close()


def check_options(options: Options) -> None:
    """Refuse what would leave a service open to others.

    Raises
    ------
    BenchmarkError
        If other machines can reach it and no token is set, or the token is none.
    """
    token = options.token
    if token is not None and not (
        token.isascii() and token.isprintable() and token.strip() == token != ""
    ):
        raise BenchmarkError(
            "The token must be of letters, digits and signs, without spaces around."
        )
    if token is not None and len(token) < LEAST_TOKEN:
        raise BenchmarkError(
            f"The token has {len(token)} signs and could be guessed; it must have at least "
            f"{LEAST_TOKEN}. `openssl rand -hex 16` makes one."
        )
    if token is None and not is_loopback(options.host):
        raise BenchmarkError(
            f"--host {options.host}: other machines could reach the service, so it needs a token. "
            "Set SER_TOKEN or --token-file, or leave --host out to be reached from here alone."
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    return all(ip_address(address).is_loopback for _, address in _addresses(host, 0))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    BenchmarkError
        If the address is taken or none of this machine's.
    """
    family, _ = _addresses(host, port)[0]
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BenchmarkError(
            f"{host}:{port} can't be listened at ({error.strerror}). Choose another port with "
            f"--port {port + 1}, or end what runs there."
        ) from error


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BenchmarkError(
            f"--host {host}: no address of this machine ({error.strerror})."
        ) from error
    return [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found]


def service(pool: Pool, options: Options) -> ASGIApp:
    """Return the whole service: REST and the page, counted, behind the guard."""
    from benchmark.serving.app import create_app
    from benchmark.serving.middleware import LOOPBACK, Guard
    from benchmark.serving.page import mount_page

    token = options.token is not None
    app = create_app(pool, options.limits, token=token, address=options.address)
    whole = mount_page(app, pool, options.limits)
    hosts = (*LOOPBACK, options.host, *options.hosts)
    guard = Guard(whole, options.limits, hosts, options.token)
    watched: ASGIApp = app.state.metrics.watching(guard)
    return watched


def server(app: ASGIApp) -> uvicorn.Server:
    """Return what answers whoever connects, until SIGINT or SIGTERM."""
    import uvicorn

    from benchmark.serving.connection import CONNECTIONS, Connection

    # It warns of every broken form, which whoever sent it is told.
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
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=END_S,
    )
    return uvicorn.Server(config)


def _check_libraries() -> None:
    """Refuse to begin where the service's libraries are not installed."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise BenchmarkError(
            f"The service needs {', '.join(missing)}. Install the extra: "
            "pip install 'ser-benchmark[serve]'."
        )


def _say(card: Card, options: Options, console: Console) -> None:
    """Say where the service is, what it is and how far to trust it."""
    from benchmark.serving.command import introduce

    introduce(card, console)
    console.print(f"page: {options.address}/")
    console.print(f"REST: {options.address}/docs")
    if options.host in EVERYWHERE and not options.hosts:
        console.info("Other machines are refused until --allow-host tells by which name they ask.")
    if options.token is not None:
        console.info(
            "Open the page once as /?token=TOKEN; ask REST with `Authorization: Bearer TOKEN`."
        )
    console.info("Ctrl-C ends it.")


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that no worker is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
