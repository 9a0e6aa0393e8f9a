"""REST, its middleware and the server."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("multipart", reason="needs the extra `serve`")
pytest.importorskip("httpx", reason="needs the extra `dev`")

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from benchmark.console import Console
from benchmark.errors import BenchmarkError
from benchmark.serving.example_clip import example_wav
from benchmark.serving.limits import Limits
from benchmark.serving.pool import Pool
from benchmark.serving.predictor import Predictor
from benchmark.serving.rest import middleware
from benchmark.serving.rest.app import create_app
from benchmark.serving.rest.connection import Connection
from benchmark.serving.rest.middleware import with_middleware
from benchmark.serving.rest.schema import MEDIA_TYPE, TYPE
from benchmark.serving.server import Options, listen, serve, server
from tests.support.bench import Bench
from tests.support.platforms import linux
from tests.support.sounds import audio_file, sine

LIMITS = Limits(upload_bytes=8 * 2**20, files=3, clip_s=5.0, timeline_s=20.0, concurrent=2)
HERE = "http://127.0.0.1"
TOKEN = "a-long-and-secret-word"


@pytest.fixture(scope="module")
def pool(small_card: Path) -> Iterator[Pool]:
    """A pool of one worker."""
    pool = Pool(small_card, LIMITS)
    pool.start()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def rest(pool: Pool) -> TestClient:
    """A client of the service, without its page."""
    app = create_app(pool, LIMITS)
    counted = app.state.metrics.counted(with_middleware(app, LIMITS))
    return TestClient(counted, base_url=HERE, raise_server_exceptions=False)


def upload(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{number}.wav", content)) for number, content in enumerate(contents)]


def named(charset: str) -> dict[str, Any]:
    """A form whose file name has another meaning in each charset."""
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="\\ud800"\r\n\r\n'
    return {"content": head + b"hello\r\n--x--\r\n", "headers": {"content-type": kind}}


UNUSABLE = {
    "not-audio": (415, b"hello"),
    "damaged": (422, audio_file(sine(1.0))[:-100]),
    "silent": (422, audio_file(np.zeros(22_050))),
    "too-short": (422, audio_file(sine(0.01))),
    "too-long": (413, audio_file(sine(6.0))),
}


def test_a_recording_is_predicted_as_by_the_predictor(rest: TestClient, small_card: Path) -> None:
    predictor = Predictor.load(small_card)
    content = audio_file(sine(1.0))
    answer = rest.post("/predict", files=upload(content))
    expected = predictor.predict(content)
    assert answer.status_code == 200
    assert answer.json() == {
        "model": predictor.card.reference,
        "predictions": [
            {
                "file": "0.wav",
                "emotion": expected.emotion,
                "probabilities": expected.probabilities,
                "duration_s": 1.0,
                "distance": expected.distance,
                "familiarity": expected.familiarity,
                "hint": expected.hint,
            }
        ],
    }


def test_predictions_of_test_clips_equal_the_stored_results(
    rest: TestClient, finished: Bench
) -> None:
    for path, stored in finished.served(model="logistic_regression").iterrows():
        answer = rest.post("/predict", files=upload(path.read_bytes()))
        [found] = answer.json()["predictions"]
        assert np.array_equal(np.float32(list(found["probabilities"].values())), stored)


def test_several_recordings_are_predicted_in_order(rest: TestClient) -> None:
    answer = rest.post("/predict", files=upload(audio_file(sine(1.0)), audio_file(sine(2.0))))
    assert [found["duration_s"] for found in answer.json()["predictions"]] == [1.0, 2.0]


def test_one_unusable_recording_of_several_has_its_problem(rest: TestClient) -> None:
    answer = rest.post("/predict", files=upload(b"hello", audio_file(sine(1.0))))
    failed, predicted = answer.json()["predictions"]
    assert answer.status_code == 207
    assert set(failed) == {"file", "problem"}
    assert failed["problem"]["status"] == 415
    assert predicted["duration_s"] == 1.0


def test_if_all_recordings_are_unusable_the_response_is_a_problem(rest: TestClient) -> None:
    answer = rest.post("/predict", files=upload(UNUSABLE["silent"][1], b"hello"))
    assert answer.status_code == 422
    assert [file["problem"]["status"] for file in answer.json()["files"]] == [422, 415]


@pytest.mark.parametrize("address", ["/predict", "/timeline"])
@pytest.mark.parametrize("fault", ["not-audio", "damaged", "silent", "too-short"])
def test_an_unusable_recording_is_a_problem_with_a_reason(
    rest: TestClient, address: str, fault: str
) -> None:
    status, content = UNUSABLE[fault]
    answer = rest.post(address, files=upload(content))
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["type"] == TYPE + fault
    assert answer.json()["detail"]


def test_a_recording_too_long_for_a_prediction_has_a_timeline(rest: TestClient) -> None:
    status, content = UNUSABLE["too-long"]
    refused = rest.post("/predict", files=upload(content))
    assert refused.status_code == status
    assert "; /timeline takes up to " in refused.json()["detail"]
    assert rest.post("/timeline", files=upload(content)).status_code == 200


def test_a_timeline_has_every_channel(rest: TestClient) -> None:
    both = np.stack([sine(4.0), np.zeros(88_200)], axis=1)
    answer = rest.post("/timeline", files=upload(audio_file(both))).json()
    assert answer["channels"] == ["left", "right"]
    assert {window["reason"] for window in answer["windows"] if window["channel"]} == {"silent"}
    spoken = [window for window in answer["windows"] if not window["channel"]]
    assert spoken
    assert all(window["probabilities"] for window in spoken)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"content": b"RIFF", "headers": {"content-type": "audio/wav"}}, 415),
        ({"files": [("voice", ("a.wav", b"RIFF"))]}, 422),
        ({"files": [("other", ("", b""))], "data": {"file": "text"}}, 422),
        ({"files": upload(*[b"RIFF"] * 4)}, 422),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"...", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"...", "headers": {"content-type": "multipart/form-data"}}, 422),
        (named("undefined"), 422),
        (named("unicode_escape"), 415),
        ({}, 415),
    ],
    ids=[
        "no form", "other field", "text", "too many", "empty", "broken", "no boundary",
        "unreadable name", "name of half a sign", "nothing",
    ],
)  # fmt: skip
def test_a_request_without_a_form_of_recordings_is_refused(
    rest: TestClient, asked: dict[str, Any], status: int
) -> None:
    answer = rest.post("/predict", **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)


def test_the_model_is_described_by_its_card(rest: TestClient, pool: Pool) -> None:
    assert rest.get("/model").json() == pool.card.model_dump(mode="json")


def test_responses_are_counted(rest: TestClient, pool: Pool) -> None:
    rest.post("/predict", files=upload(b"hello"))
    counts = rest.get("/metrics").text
    assert re.search(r'ser_requests_total{route="/predict",status="415"} [1-9]', counts)
    assert f'reference="{pool.card.reference}"' in counts
    assert "ser_workers 1.0" in counts


def test_the_docs_load_nothing_from_another_host(rest: TestClient) -> None:
    answer = rest.get("/docs")
    assert answer.status_code == 200
    page = answer.text
    assert not re.findall(r'(?:src|href|url)[=:] ?["\'](?:https?:)?//', page)
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert files
    for file in files:
        assert rest.get(f"/{file}").status_code == 200


def test_the_example_can_be_predicted(rest: TestClient) -> None:
    clip = rest.get("/example.wav").content
    assert clip == example_wav()
    assert rest.post("/predict", files=upload(clip)).status_code == 200


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/predict", 405),
        ("POST", "/model", 405),
        ("FETCH", "/health", 405),
        ("GET", "/x", 404),
    ],
)
def test_an_unknown_path_or_method_is_a_problem(
    rest: TestClient, method: str, address: str, status: int
) -> None:
    answer = rest.request(method, address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)


def test_uploads_are_not_written_to_disk(
    rest: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    content = audio_file(sine(4.0, rate_hz=192_000), 192_000)
    assert len(content) > 2**20
    assert rest.post("/predict", files=upload(content)).status_code == 200


# The middleware, in front of a simple application.


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond after the number of seconds in the path."""
    assert scope["type"] == "http"
    body = (await receive())["body"]
    await asyncio.sleep(float(scope["path"].removeprefix("/") or 0))
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


def protected(limits: Limits = LIMITS, token: str | None = None) -> TestClient:
    return TestClient(
        with_middleware(plain, limits, token=token), base_url=f"{HERE}:8000", follow_redirects=False
    )


def test_the_application_receives_the_whole_body() -> None:
    assert protected().post("/", content=b"x" * 100_000).text == "100000 bytes"


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 2**20


def test_a_too_large_body_is_refused_with_and_without_its_length() -> None:
    client = protected()
    stated = client.post("/", content=b"x" * (LIMITS.upload_bytes + 1))
    streamed = client.post("/", content=chunks(9))
    fits = client.post("/", content=chunks(8))
    assert (stated.status_code, streamed.status_code, fits.status_code) == (413, 413, 200)
    assert streamed.json()["type"] == TYPE + "too-large"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.5", "[::1"])
def test_an_unknown_host_name_is_refused(host: str) -> None:
    assert protected().get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000"])
def test_loopback_host_names_are_allowed(host: str) -> None:
    assert protected().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1", "http://[x]",
        "127.0.0.1:8000", "http://127.0.0.1:8000@evil.example",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    answer = protected().post("/", headers={"origin": origin})
    assert (answer.status_code, answer.json()["type"]) == (403, TYPE + "foreign-origin")


def test_the_own_page_is_allowed() -> None:
    assert protected().post("/", headers={"origin": f"{HERE}:8000"}).status_code == 200


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_without_the_token_a_request_is_refused(shown: str) -> None:
    answer = protected(token=TOKEN).get("/", headers={"authorization": shown.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert protected(token=TOKEN).get("/?token=wrong").status_code == 401
    assert protected(token=TOKEN).post(f"/?token={TOKEN}").status_code == 401


def test_with_the_token_a_request_is_allowed() -> None:
    answer = protected(token=TOKEN).get("/", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200


def test_a_browser_sends_the_token_once() -> None:
    client = protected(token=TOKEN)
    answer = client.get(f"//evil.example/?token={TOKEN}".removeprefix("/evil.example"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200


def test_health_needs_no_token(pool: Pool) -> None:
    app = create_app(pool, LIMITS, token=True)
    client = TestClient(with_middleware(app, LIMITS, token=TOKEN), base_url=HERE)
    assert client.get("/health").json() == {"status": "ok", "workers": 1}
    assert client.get("/model").status_code == 401


def test_a_response_that_takes_too_long_is_stopped() -> None:
    began = time.monotonic()
    answer = protected(Limits(request_s=0.3)).post("/30")
    assert (answer.status_code, answer.json()["type"]) == (503, TYPE + "slow")
    assert time.monotonic() - began < 2


def test_too_many_concurrent_requests_get_a_retry_after() -> None:
    client = protected()
    others = [
        threading.Thread(target=client.post, args=("/1.5",)) for _ in range(LIMITS.concurrent)
    ]
    for other in others:
        other.start()
    time.sleep(0.5)
    refused = client.post("/0")
    for other in others:
        other.join()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert client.post("/0").status_code == 200


def test_every_response_has_the_security_headers(rest: TestClient) -> None:
    for answer in (rest.get("/docs"), rest.get("/x"), rest.get("/", headers={"host": "evil"})):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


# The server and its connections.


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Address of a server whose time limits are half a second."""
    monkeypatch.setattr(Connection, "headers_s", 0.5)
    monkeypatch.setattr(middleware, "DISCARD_S", 0.5)
    listener = listen("127.0.0.1", 0)
    answering = server(with_middleware(plain, Limits(upload_bytes=2**20, request_s=0.5)))
    thread = threading.Thread(target=answering.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    answering.should_exit = True
    thread.join()


def answer_to(address: tuple[str, int], *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Everything received until the server closes the connection."""
    with closing(socket.create_connection(address, timeout=5)) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


def test_a_request_in_progress_is_told_that_the_service_stops(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("benchmark.serving.server.SHUTDOWN_S", 1)
    listener = listen("127.0.0.1", 0)
    stopping = server(with_middleware(plain, Limits(request_s=30)))
    thread = threading.Thread(target=stopping.run, kwargs={"sockets": [listener]})
    thread.start()
    waiting: list[bytes] = []
    head = b"POST /30 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    client = threading.Thread(
        target=lambda: waiting.append(answer_to(listener.getsockname(), head))
    )
    client.start()
    time.sleep(1)
    stopping.should_exit = True
    thread.join()
    client.join()
    assert waiting[0].startswith(b"HTTP/1.1 503 ")
    assert (TYPE + "stopping").encode() in waiting[0]
    assert "Traceback" not in caplog.text


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


def test_a_connection_without_a_request_is_closed(address: tuple[str, int]) -> None:
    assert answer_to(address) == b""


def test_a_connection_with_slow_headers_is_closed(address: tuple[str, int]) -> None:
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        answer_to(address, *[HEAD[n : n + 1] for n in range(20)], pause_s=0.1)


def test_a_slow_body_is_refused(address: tuple[str, int]) -> None:
    answer = answer_to(address, HEAD + b"Content-Length: 100\r\n\r\n", b"x", pause_s=0.1)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow-upload" in answer


def test_a_too_large_body_is_refused_before_it_is_sent(address: tuple[str, int]) -> None:
    answer = answer_to(address, HEAD + b"Content-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_a_too_large_body_can_read_the_response(
    address: tuple[str, int],
) -> None:
    body = b"x" * 2**20
    answer = answer_to(address, HEAD + b"Content-Length: 4194304\r\n\r\n", *[body] * 4)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_clients_that_disconnect_do_not_affect_others(address: tuple[str, int]) -> None:
    for _ in range(20):
        with closing(socket.create_connection(address, timeout=5)) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    whole = HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc"
    assert answer_to(address, whole).endswith(b"3 bytes")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(host="0.0.0.0"), "needs a token"),
        (Options(host="no.such.host.invalid"), "no.such.host.invalid"),
        (Options(token=""), "token"),
        (Options(token="0123456789abcde"), "15 characters and could be guessed"),
    ],
    ids=["open to others", "unknown", "empty token", "short token"],
)
def test_unsafe_or_unknown_addresses_are_refused(
    small_card: Path, options: Options, words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        serve(small_card, options, Console(quiet=True))


def test_a_port_that_is_taken_is_refused_in_one_line(small_card: Path) -> None:
    with closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BenchmarkError, match=f"127.0.0.1:{port} .*another port"):
            serve(small_card, Options(port=port), Console(quiet=True))


@linux
def test_a_service_prints_its_addresses_and_stops_its_workers_on_ctrl_c(small_card: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from benchmark.console import Console\n"
        "from benchmark.serving.server import Options, serve\n"
        "if __name__ == '__main__':\n"
        f"    serve(Path({str(small_card)!r}), Options(port=0), Console())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    page, docs = process.stdout.readline().split()[1], process.stdout.readline().split()[1]
    address = ("127.0.0.1", int(page.rstrip("/").rpartition(":")[2]))
    health = answer_to(
        address, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert docs == f"{page}docs"
    assert health.endswith(b'{"status":"ok","workers":1}')
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "The service has stopped." in said
    time.sleep(1)  # the tracker of shared memory ends by itself when its pipe is closed
    assert children
    assert [child for child in children if running(child)] == []


def running(process: str) -> bool:
    """Whether a process is running and not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
