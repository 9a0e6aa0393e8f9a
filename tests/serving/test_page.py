"""The page in a headless browser: what a visitor does and sees."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

httpx = pytest.importorskip("httpx", reason="needs the extra `dev`")
pytest.importorskip("multipart", reason="needs the extra `serve`")

from benchmark.serving.example_clip import example_clips  # noqa: E402
from benchmark.serving.limits import Limits  # noqa: E402
from benchmark.serving.page import html  # noqa: E402
from benchmark.tracking.cards import Card, read_card  # noqa: E402

pytest.importorskip("playwright", reason="needs Playwright, of the extra `dev`")
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright  # noqa: E402

from tests.support.bench import Bench  # noqa: E402
from tests.support.sounds import audio_file, sine  # noqa: E402
from tests.support.waiting import free_port, wait_until  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

RATE_HZ = 22_050
# The small study's speakers have 12 % more on average: each of these is clearly one emotion.
PITCHES_HZ = {"low": 200, "middle": 265, "high": 360}
LIMITS = Limits(upload_bytes=2**21, clip_s=20.0, timeline_s=30.0)

SERVER = f"""
import sys
from benchmark.engine.processes import prepare_libraries

prepare_libraries()

from pathlib import Path


def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1"):
            print("left the machine:", arguments[1], flush=True)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "::1", "localhost"):
        print("left the machine:", arguments[0], flush=True)


sys.addaudithook(watch)

import uvicorn
from benchmark.serving.rest.app import create_app
from benchmark.serving.rest.middleware import with_middleware
from benchmark.serving.limits import Limits
from benchmark.serving.page.routes import add_page
from benchmark.serving.pool import Pool

limits = {LIMITS!r}
pool = Pool(Path(sys.argv[1]), limits)
pool.start()
try:
    app = create_app(pool, limits)
    add_page(app, pool, limits)
    uvicorn.run(with_middleware(app, limits), port=int(sys.argv[2]), log_level="warning")
finally:
    pool.close()
"""


OUTLINE = """() => {
  const focused = document.activeElement;
  const seen = focused.matches("input") ? focused.nextElementSibling : focused;
  return getComputedStyle(seen).outlineStyle;
}"""


Opener = Callable[..., Page]


@dataclass(frozen=True)
class Service:
    """A running service: its address, the only folder it may write to, and its log."""

    address: str
    folder: Path
    log: Path
    process: int

    def post(self, path: str, content: bytes = b"") -> httpx.Response:
        """Send a request as the page's script does."""
        return httpx.post(self.address + path, content=content, timeout=30)

    def resident_mb(self) -> float:
        """Resident memory of the server without its workers."""
        pages = Path(f"/proc/{self.process}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.fixture(scope="module")
def service(finished: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port = free_port()
    folder, log = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("log") / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(finished.card()), str(port)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(folder)},
            cwd=Path(__file__).parents[2],
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address) or process.poll() is not None, 180)
        assert process.poll() is None, log.read_text()
        yield Service(address, folder, log, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def answers(address: str) -> bool:
    try:
        return bool(httpx.get(f"{address}/health").is_success)
    except httpx.TransportError:
        return False


def as_file(content: bytes, name: str = "voice.wav") -> FilePayload:
    return {"name": name, "mimeType": "audio/wav", "buffer": content}


@pytest.fixture(scope="module")
def asked_hosts() -> set[str]:
    """The hosts of all requests of all pages in this module."""
    return set()


@pytest.fixture(scope="module")
def open_page(
    service: Service, asked_hosts: set[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opener]:
    """Open the page in a browser whose microphone plays the given samples in a loop."""
    voices = tmp_path_factory.mktemp("voices")
    with sync_playwright() as playwright:
        browsers: list[Browser] = []

        def opened(heard: np.ndarray | None = None, size: tuple[int, int] = (1280, 900)) -> Page:
            voice = voices / f"{len(browsers)}.wav"
            voice.write_bytes(
                audio_file(sine(1.0, PITCHES_HZ["low"], noise=0.2) if heard is None else heard)
            )
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[
                    "--no-sandbox",
                    "--use-fake-ui-for-media-stream",
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-audio-capture={voice}",
                ],
            )
            browsers.append(browser)
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.on("request", lambda request: asked_hosts.add(host_of(request.url)))
            page.goto(service.address)
            page.wait_for_selector("#voice .live")
            return page

        yield opened
        for browser in browsers:
            browser.close()


def host_of(url: str) -> str:
    """The host of a URL; empty for data, the page's own for a blob."""
    return urlsplit(url.removeprefix("blob:")).netloc


@pytest.fixture(scope="module")
def page(open_page: Opener) -> Page:
    return open_page()


def shown(page: Page, words: str) -> str:
    """Wait until the prediction contains some words, and return all its text."""
    expect(page.locator("#answer")).to_contain_text(words, timeout=20_000)
    return page.inner_text("#answer")


def stored_files(service: Service) -> list[Path]:
    return [path for path in service.folder.rglob("*") if path.is_file()]


@needs_browser
@pytest.mark.parametrize("emotion", ["low", "high"])
def test_a_file_is_chosen_and_its_bars_appear(page: Page, emotion: str) -> None:
    page.set_input_files(
        "#voice-file",
        as_file(audio_file(sine(0.3, PITCHES_HZ[emotion], noise=0.2)), f"{emotion}.wav"),
    )
    shown(page, f"{emotion}.wav, 0.3 s")
    assert page.inner_text("#answer h2").lower() == emotion
    assert page.locator("#answer .bars li").count() == len(PITCHES_HZ)
    assert page.inner_text("#answer .bars .first .name") == emotion


@needs_browser
def test_predictions_of_test_clips_equal_the_stored_results(page: Page, finished: Bench) -> None:
    stored = finished.served()
    for path in stored.index[:6]:
        page.set_input_files("#voice-file", path)
        shown(page, path.name)
        probabilities = {
            row.locator(".name").inner_text(): row.locator(".percent").get_attribute("value")
            for row in page.locator("#answer .bars li").all()
        }
        exact = [np.float32(probabilities[column.removeprefix("p_")]) for column in stored]
        assert exact == stored.loc[path].tolist()


@needs_browser
def test_a_file_is_dropped_and_its_bars_appear(page: Page) -> None:
    data = base64.b64encode(audio_file(sine(0.3, PITCHES_HZ["high"], noise=0.2))).decode()
    dropped = page.evaluate_handle(
        """data => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const dropped = new DataTransfer();
          dropped.items.add(new File([bytes], "dropped.wav", {type: "audio/wav"}));
          return dropped;
        }""",
        data,
    )
    page.dispatch_event("#voice .drop", "drop", {"dataTransfer": dropped})
    shown(page, "dropped.wav")
    assert page.inner_text("#answer h2").lower() == "high"


@needs_browser
def test_a_long_stereo_recording_is_shown_over_time_and_by_channel(page: Page) -> None:
    samples = np.stack(
        [
            np.r_[sine(6, PITCHES_HZ["low"], noise=0.2), sine(6, PITCHES_HZ["high"], noise=0.2)],
            sine(12, PITCHES_HZ["middle"], noise=0.2),
        ],
        axis=1,
    )
    page.set_input_files("#voice-file", as_file(audio_file(samples), "call.wav"))
    answer = shown(page, "call.wav, 12.0 s, channels together")
    assert "left" in answer
    assert "right" in answer
    assert page.locator("#answer svg.wave").count() == 2
    page.click("#answer summary")
    assert "0.0 to 3.0 s\tleft\tlow" in page.inner_text("#answer table")
    assert "9.0 to 12.0 s\tleft\thigh" in page.inner_text("#answer table")


@needs_browser
def test_a_recording_too_long_for_one_prediction_is_predicted_in_windows_only(page: Page) -> None:
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(25, PITCHES_HZ["low"], noise=0.2)), "long.wav")
    )
    shown(page, "Longer than 20 s: only windows are predicted")
    assert page.locator("#answer .bars").count() == 0
    assert page.locator("#answer .strip i").count() > 20


@needs_browser
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"RIFF no sound at all", "damaged or truncated"),
        (b"a letter to my aunt", "WAV, FLAC, OGG and MP3 can always be read"),
        (b"", "empty"),
        (audio_file(np.zeros(RATE_HZ)), "silent"),
        (audio_file(sine(31, PITCHES_HZ["low"], noise=0.2)), "at most 30 s"),
    ],
    ids=["broken", "no sound", "empty", "silent", "too long"],
)
def test_an_unusable_file_shows_a_message_and_the_page_works_on(
    page: Page, content: bytes, words: str
) -> None:
    page.set_input_files("#voice-file", as_file(content))
    assert "No prediction." in shown(page, words)
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(0.3, PITCHES_HZ["high"], noise=0.2)), "next.wav")
    )
    shown(page, "next.wav")
    assert page.inner_text("#answer h2").lower() == "high"


@needs_browser
def test_a_file_that_is_too_large_is_not_even_sent(page: Page) -> None:
    page.set_input_files("#voice-file", as_file(bytes(LIMITS.upload_bytes + 1), "large.wav"))
    expect(page.locator("#voice .status")).to_contain_text("large.wav is too large")


@needs_browser
def test_the_largest_allowed_file_is_accepted(page: Page) -> None:
    page.set_input_files("#voice-file", as_file(b"x" * LIMITS.upload_bytes, "just so.wav"))
    shown(page, "WAV, FLAC, OGG and MP3 can always be read")


@needs_browser
def test_a_refusal_of_the_middleware_is_shown(page: Page) -> None:
    page.eval_on_selector("#voice .drop", "drop => { drop.dataset.bytes *= 2; }")
    page.set_input_files("#voice-file", as_file(bytes(LIMITS.upload_bytes + 1)))
    assert "No prediction." in shown(page, "A request has at most 2 MiB.")
    page.reload()
    page.wait_for_selector("#voice .live")


@needs_browser
def test_a_stopped_service_is_reported(page: Page) -> None:
    page.context.set_offline(True)
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(0.3, PITCHES_HZ["low"], noise=0.2)))
    )
    shown(page, "The service can't be reached")
    page.context.set_offline(False)
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(0.3, PITCHES_HZ["low"], noise=0.2)), "back.wav")
    )
    shown(page, "back.wav")


@needs_browser
def test_an_example_clip_is_clicked_and_can_be_played(page: Page) -> None:
    page.get_by_role("button", name="happy", exact=True).click()
    shown(page, "synthetic speech, happy")
    assert page.locator("#answer .bars li").count() == len(PITCHES_HZ)
    assert page.eval_on_selector("#answer audio", "player => player.duration") > 1.0


@needs_browser
def test_a_file_name_is_shown_as_it_is(page: Page) -> None:
    name = "<img src=x onerror=alert(1)>.wav"
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(0.3, PITCHES_HZ["low"], noise=0.2)), name)
    )
    shown(page, name)
    assert page.locator("#answer img").count() == 0


def record(page: Page) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#voice .status")).to_contain_text("Recording")
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop and analyse", exact=True).click()


@needs_browser
@pytest.mark.parametrize(("heard", "opposite"), [("low", "high"), ("high", "low")])
def test_the_microphone_is_recorded_and_predicted(
    open_page: Opener, heard: str, opposite: str
) -> None:
    page = open_page(sine(5.0, PITCHES_HZ[heard], noise=0.2))
    record(page)
    shown(page, "your recording, 1.")
    listed = [row.lower().split() for row in page.locator("#answer .bars li").all_inner_texts()]
    shares = {words[0]: int(words[1]) for words in listed}
    # The browser's own stand-in for a microphone leaves gaps, enough to fall to the neighbour.
    assert shares[heard] > shares[opposite]
    assert page.eval_on_selector("#answer audio", "player => player.duration") > 1.0


@needs_browser
def test_a_microphone_that_gave_nothing_is_not_predicted(open_page: Opener) -> None:
    page = open_page(np.zeros(3 * RATE_HZ))
    record(page)
    expect(page.locator("#voice .status")).to_have_text("Nothing was recorded.")


@needs_browser
def test_live_mode_follows_a_voice(open_page: Opener) -> None:
    page = open_page(
        np.r_[sine(3.5, PITCHES_HZ["low"], noise=0.2), sine(3.5, PITCHES_HZ["high"], noise=0.2)]
    )
    page.get_by_role("button", name="Live", exact=True).click()
    heard = []

    def changed() -> bool:
        page.wait_for_timeout(200)
        heard.extend(page.locator("#answer h2").all_inner_texts()[:1])
        return sum(a != b for a, b in pairwise(heard)) >= 2

    wait_until(changed, 30)
    assert {"Low", "High"} <= {emotion.capitalize() for emotion in heard}
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#voice .status")).to_have_text("Stopped.")


@needs_browser
def test_live_mode_waits_during_silence(open_page: Opener) -> None:
    page = open_page(np.zeros(3 * RATE_HZ))
    page.get_by_role("button", name="Live", exact=True).click()
    assert "No prediction" not in shown(page, "Listening: silent")


@needs_browser
def test_everything_can_be_done_by_the_keyboard(page: Page) -> None:
    page.reload()
    page.wait_for_selector("#voice .live")
    page.wait_for_timeout(500)
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.id")
        )
        assert page.evaluate(OUTLINE) == "solid"
    assert reached == [
        "voice-file", "Record", "Live", "angry", "happy", "neutral", "sad",
        "About this model and this page",
    ]  # fmt: skip
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    shown(page, "synthetic speech, sad")


@needs_browser
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_the_performance_stays_in_sight_and_nothing_is_cut_off(
    open_page: Opener, size: tuple[int, int]
) -> None:
    page = open_page(size=size)
    page.set_input_files(
        "#voice-file",
        as_file(audio_file(sine(12, PITCHES_HZ["low"], noise=0.2)), "a" * 70 + ".wav"),
    )
    shown(page, "12.0 s")
    page.click("#about summary")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#model .trust")).to_be_in_viewport()
    assert page.evaluate("document.querySelector('#model').offsetHeight") <= size[1] / 8
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@needs_browser
def test_no_request_leaves_the_machine(page: Page, service: Service, asked_hosts: set[str]) -> None:
    page.reload()
    page.wait_for_selector("#voice .live")
    assert asked_hosts - {""} == {urlsplit(service.address).netloc}
    assert "left the machine" not in service.log.read_text()


@needs_browser
def test_no_upload_is_stored(page: Page, service: Service) -> None:
    page.set_input_files(
        "#voice-file", as_file(audio_file(sine(0.3, PITCHES_HZ["low"], noise=0.2)), "private.wav")
    )
    shown(page, "private.wav")
    assert stored_files(service) == []
    assert "private" not in service.log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("PUT", "/page/analysis", 405),
        ("POST", "/page/examples/no-such-emotion", 404),
        ("GET", "/page/static/", 404),
        ("GET", "/page/static/..%2froutes.py", 404),
        ("GET", "/page/static/%2e%2e/templates/page.html", 404),
        ("GET", "/page/templates/page.html", 404),
        ("POST", "/page/static/page.js", 405),
        ("GET", "/no/such/thing", 404),
    ],
)
def test_other_paths_and_methods_are_problems(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, service.address + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "content", "status", "words"),
    [
        (
            "/page/analysis",
            b"a letter to my aunt",
            415,
            "WAV, FLAC, OGG and MP3 can always be read",
        ),
        ("/page/analysis", b"", 415, "empty"),
        ("/page/analysis", audio_file(np.zeros(RATE_HZ)), 422, "silent"),
        ("/page/analysis", audio_file(sine(31, PITCHES_HZ["low"], noise=0.2)), 413, "at most 30 s"),
        ("/page/analysis", audio_file(sine(1, PITCHES_HZ["low"], noise=0.2)), 200, "<data"),
        ("/page/live", b"a letter to my aunt", 415, "WAV, FLAC, OGG and MP3 can always be read"),
        ("/page/live", audio_file(np.zeros(RATE_HZ)), 200, "Listening: silent"),
        ("/page/live", audio_file(sine(11, PITCHES_HZ["low"], noise=0.2)), 413, "at most 10 s"),
        ("/page/live", audio_file(sine(1, PITCHES_HZ["low"], noise=0.2)), 200, "<data"),
        ("/page/examples/happy", b"", 200, "<data"),
    ],
)
def test_a_piece_of_the_page_has_the_status_that_rest_would_give(
    service: Service, path: str, content: bytes, status: int, words: str
) -> None:
    answer = service.post(path, content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert words in answer.text


def test_the_openapi_description_does_not_mention_the_page(service: Service) -> None:
    assert "/page" not in httpx.get(service.address + "/openapi.json").text


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory as Linux tells it")
def test_no_response_and_no_recording_stays_in_memory(service: Service) -> None:
    largest = b"x" * LIMITS.upload_bytes
    for _ in range(20):
        service.post("/page/examples/happy")
        service.post("/page/analysis", largest)
    before = service.resident_mb()
    for _ in range(100):
        service.post("/page/examples/happy")
    for _ in range(40):
        service.post("/page/analysis", largest)
    assert service.resident_mb() < before + 8


def test_the_routes_of_rest_work_beside_the_page(service: Service) -> None:
    assert httpx.get(service.address + "/predict").status_code == 405
    assert httpx.get(service.address + "/model").json()["model"]


def test_the_content_policy_allows_no_other_host(service: Service) -> None:
    policy = httpx.get(service.address).headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "default-src 'self'" in policy[0]
    assert "http" not in policy[0]
    [scripts] = [part for part in policy[0].split(";") if part.strip().startswith("script-src")]
    assert "unsafe-inline" not in scripts


@pytest.mark.parametrize("file", ["page.css", "page.js", "recorder.js"])
def test_static_files_name_no_other_host(service: Service, file: str) -> None:
    answer = httpx.get(f"{service.address}/page/static/{file}")
    assert answer.status_code == 200
    assert not re.search(r"(https?:)?//[\w.]+\.\w", answer.text)


def test_text_of_a_card_is_escaped(card: Card) -> None:
    hostile = card.model_copy(update={"title": "<script>", "question": "<img src=x>"})
    page = html.page(hostile, LIMITS, ("happy",))
    assert "&lt;script&gt;" in page
    assert "&lt;img src=x&gt;" in page


@pytest.fixture
def card(finished: Bench) -> Card:
    return read_card(finished.card())


def test_the_header_shows_the_speaker_independent_performance_and_the_chance_level(
    card: Card,
) -> None:
    uar = next(m for m in card.measured if m.speaker_independent).scores["uar"]
    header = html.header(card)
    assert "speakers it was not trained on" in header
    assert f"UAR {uar.value * 100:.1f}&nbsp;%" in header
    assert "chance level 33.3&nbsp;%" in header
    assert "synthetic" not in header


@pytest.mark.parametrize(("limits", "shown"), [((0.41, 0.62), True), ((None, None), False)])
def test_the_header_shows_the_interval_if_there_is_one(
    card: Card, limits: tuple[float | None, float | None], shown: bool
) -> None:
    low, high = limits
    measured = tuple(
        one.model_copy(
            update={
                "scores": {
                    name: score.model_copy(update={"low": low, "high": high})
                    for name, score in one.scores.items()
                }
            }
        )
        for one in card.measured
    )
    header = html.header(card.model_copy(update={"measured": measured}))
    assert ("95&nbsp;% CI 41.0–62.0&nbsp;%" in header) == shown
    assert ("CI" in header) == shown


def test_the_header_never_shows_the_speaker_dependent_performance_instead(card: Card) -> None:
    known = tuple(m for m in card.measured if not m.speaker_independent)
    header = html.header(card.model_copy(update={"measured": known}))
    assert "is not known" in header
    assert f"{known[0].scores['uar'].value * 100:.1f}&nbsp;%" not in header


def test_a_model_trained_on_synthetic_speech_says_so(card: Card) -> None:
    assert "synthetic speech, not on people" in html.header(
        card.model_copy(update={"generated": True})
    )


def test_the_example_clips_have_emotions_of_the_model() -> None:
    assert list(example_clips(("disgust", "sad", "tired"))) == ["sad", "disgust"]
    assert list(example_clips(("high", "low"))) == ["angry", "happy", "neutral", "sad"]
