"""How time and memory grow with the work: what reports/scale.md is made of.

    python -m tests.performance.scale --scratch FOLDER

measures everything and writes the page; FOLDER takes 4 GB, and about 25 minutes pass on two quiet
cores. Each measurement is a line of reports/scale.jsonl as soon as it is made, and what stands
there is not measured again, so an interruption loses one measurement at most. Stages can be run
singly with `--stages clips`, `trials`, `ui` or `page`; `--again` measures anew. Linux alone: memory
is read from /proc.
"""

from __future__ import annotations

from benchmark.engine.processes import prepare_libraries

prepare_libraries()

import argparse  # noqa: E402
import csv  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import struct  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from benchmark import __version__  # noqa: E402
from tests.support.workers import workers_of  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
MEASUREMENTS = ROOT / "reports/scale.jsonl"

STAGES = ("clips", "trials", "ui", "page")
CLIPS = (1_000, 3_000, 10_000, 30_000, 100_000)
TRIALS = (100, 300, 1_000, 3_000, 10_000)

RATE_HZ = 16_000
CLIP_S = 0.6
PITCHES_HZ = {"angry": 180.0, "happy": 205.0, "neutral": 120.0, "sad": 140.0}
CLIPS_A_SPEAKER = 50
CLIPS_A_FOLDER = 1_000
PAUSE_S = 0.05  # between two looks at the memory of processes

STUDY = """
question = "How do time and memory grow with the number of clips?"
corpora  = ["csv"]
emotions = ["angry", "happy", "neutral", "sad"]
features = "means-184"

[split]
protocols = ["speaker-dependent", "speaker-independent"]

[search]
trials = 4
folds  = 3
metric = "uar"

[models.logistic_regression]
C = { low = 1e-3, high = 1e-1, log = true }
"""

MARKS = {
    "extract": {
        "reading": "csv: {n} of {n} clips",
        "features": "features means-184: {n} of {n}",
    },
    "run-study": {
        "reading": "csv: {n} of {n} clips",
        "looking up": "features means-184: {n} of {n}",
        "tables and search": "all searches: ",
        "winners": "fitting the winners: ",
    },
}
"""By command: which line of the tool ends which stage; the last stage ends with the process."""

LAST_STAGE = {"extract": "tables", "run-study": "test rows and pages"}


class Measurements:
    """The lines of one file, one a measurement; the last of each stage and size counts."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[dict[str, Any]]:
        """Return the measurements that count, by stage and size."""
        if not self.file.exists():
            return []
        lines = self.file.read_text(encoding="utf-8").splitlines()
        found = [one for line in lines for one in _parsed(line)]
        latest = {(one["stage"], one["size"]): one for one in found}
        return [latest[key] for key in sorted(latest)]

    def has(self, stage: str, size: int) -> bool:
        """Whether something has been measured."""
        return any(one["stage"] == stage and one["size"] == size for one in self.read())

    def add(self, stage: str, size: int, **figures: Any) -> None:
        """Append a measurement, with when, on what and by which version it was made."""
        line = {"stage": stage, "size": size, **surroundings(), **figures}
        self.tidy()  # behind a torn line another would be lost with it
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)  # noqa: T201 - the figures are what this is for

    def tidy(self) -> None:
        """Keep the measurements that count, alone and sorted."""
        if not self.file.exists():
            return
        partial = self.file.with_name(f".{self.file.name}.partial")
        partial.write_text("".join(json.dumps(one) + "\n" for one in self.read()), encoding="utf-8")
        partial.replace(self.file)


def _parsed(line: str) -> list[dict[str, Any]]:
    """Return the measurement of a line; none of one that an interruption has torn."""
    try:
        return [json.loads(line)]
    except ValueError:
        return []


def surroundings() -> dict[str, Any]:
    """Return when, on what kind of machine and by which version something is measured."""
    from joblib import cpu_count

    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    commit = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "cores": int(cpu_count()),
        "memory_gb": round(memory_gb),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "version": __version__,
        "commit": commit.stdout.strip(),
        "load": round(os.getloadavg()[0], 1),  # of other programs, where it is high at the start
    }


# Memory and stages of a whole process


@dataclass
class Peak:
    """The most memory of a process so far, in MB: all of it, and without what maps files."""

    resident_mb: float = 0.0
    own_mb: float = 0.0

    def raise_to(self, resident_mb: float, own_mb: float) -> None:
        """Take in another look."""
        self.resident_mb = max(self.resident_mb, resident_mb)
        self.own_mb = max(self.own_mb, own_mb)


def memory_mb(pid: int) -> tuple[float, float]:
    """Return what a process holds now, in MB: all, and its own without mapped files; 0 if gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    kilobytes = (lines.get(name, "0").split()[0] for name in ("VmRSS", "RssAnon"))
    resident, own = (float(number) * 1024 / 1e6 for number in kilobytes)
    return resident, own


@dataclass
class Watch:
    """The peaks of a process and of its largest worker, by the stage in which they were seen."""

    process: subprocess.Popen[str]
    stages: list[str]
    ends: list[float] = field(default_factory=list)
    main: dict[str, Peak] = field(default_factory=dict)
    worker: dict[str, Peak] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The stage that is going on."""
        return self.stages[min(len(self.ends), len(self.stages) - 1)]

    def look(self) -> None:
        """Look at all processes until the main one ends."""
        while self.process.poll() is None:
            stage, pid = self.stage, self.process.pid
            self.main.setdefault(stage, Peak()).raise_to(*memory_mb(pid))
            for child in workers_of(pid):
                self.worker.setdefault(stage, Peak()).raise_to(*memory_mb(child))
            time.sleep(PAUSE_S)


def measured_command(command: str, size: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command of the tool to its end; return seconds and peaks of memory by stage."""
    marks = {name: text.format(n=size) for name, text in MARKS[command].items()}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", command, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watch = Watch(process, [*marks, LAST_STAGE[command]])
    thread = threading.Thread(target=watch.look)
    thread.start()
    said = []
    assert process.stdout is not None
    awaited = iter([*marks.values(), None])
    mark = next(awaited)
    for line in process.stdout:
        said.append(line)
        if mark is not None and line.startswith(mark):
            watch.ends.append(time.perf_counter())
            mark = next(awaited)
    watch.ends.append(time.perf_counter())
    thread.join()
    if process.wait() or mark is not None:
        ended = f"{command} ended with {process.returncode} before {mark!r}"
        raise SystemExit(f"{ended}:\n{''.join(said)}")
    starts = [began, *watch.ends]
    seconds = {
        stage: round(end - start, 3)
        for stage, start, end in zip(watch.stages, starts, watch.ends, strict=False)
    }
    peaks = {"main_mb": _rounded(watch.main), "worker_mb": _rounded(watch.worker)}
    return {"seconds": seconds, **peaks}


def _rounded(peaks: dict[str, Peak]) -> dict[str, dict[str, float]]:
    return {
        stage: {"resident": round(peak.resident_mb, 1), "own": round(peak.own_mb, 1)}
        for stage, peak in peaks.items()
    }


# Clips


def wave_header(samples: int) -> bytes:
    """Return the head of a WAV file of 16-bit mono samples."""
    sizes = (36 + 2 * samples, 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16, 2 * samples)
    fields = (b"RIFF", sizes[0], b"WAVE", b"fmt ", *sizes[1:8], b"data", sizes[8])
    return struct.pack("<4sI4s4sIHHIIHH4sI", *fields)


def make_clips(folder: Path, count: int) -> list[tuple[str, str, str, str]]:
    """Write so many short tones in noise, where they are not there; return the rows of a table.

    No two are alike; the pitch of an emotion varies, so that it can be learned, but not wholly.
    """
    rng = np.random.default_rng(0)
    samples = int(CLIP_S * RATE_HZ)
    time_s = np.arange(samples) / RATE_HZ
    noise = rng.normal(0, 1500, 60 * RATE_HZ)
    head = wave_header(samples)
    rows = []
    for number in range(count):
        emotion = list(PITCHES_HZ)[number % len(PITCHES_HZ)]
        speaker = number // CLIPS_A_SPEAKER
        pitch_hz = PITCHES_HZ[emotion] * rng.normal(1.0, 0.12)
        start = int(rng.integers(0, len(noise) - samples))
        name = f"{number // CLIPS_A_FOLDER:04d}/{number:07d}.wav"
        rows.append((name, emotion, f"s{speaker:06d}", ("female", "male")[speaker % 2]))
        path = folder / name
        if path.exists():
            continue
        tone = 6000 * np.sin(2 * np.pi * pitch_hz * time_s) + noise[start : start + samples]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + tone.astype("<i2").tobytes())
    return rows


def measure_clips(measurements: Measurements, scratch: Path, sizes: Sequence[int]) -> None:
    """Measure extraction, tables and a search on so many clips, whole processes."""
    rows = make_clips(scratch / "clips", max(sizes))
    study = scratch / "growth.toml"  # no study can be called scale: that is the page
    study.write_text(STUDY)
    for size in sizes:
        table = scratch / f"clips/table_{size}.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "emotion", "speaker", "gender"), *rows[:size]])
        project = scratch / f"project_{size}"
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        arguments = (str(study), "--corpus", f"csv={table}", "--project", str(project))
        found = {command: measured_command(command, size, arguments) for command in MARKS}
        disk_mb = sum(path.stat().st_size for path in project.rglob("*") if path.is_file()) / 1e6
        measurements.add("clips", size, commands=found, disk_mb=round(disk_mb, 1))
        shutil.rmtree(project)


# Trials


@contextmanager
def clocked(owner: type, name: str, spent: list[float]) -> Iterator[None]:
    """Add to a list how long each call of a method takes; the method itself is the real one."""
    method = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            spent.append(time.perf_counter() - began)

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, method)


def tiny_arrays(folder: Path) -> None:
    """Write a training table on which a fit takes a few milliseconds: ninety clips, three folds."""
    from benchmark.data.tables import IDENTITY, Table, training_arrays
    from benchmark.engine.arrays import save_arrays

    rng = np.random.default_rng(0)
    emotion = np.arange(90) % 3
    values = (rng.normal(size=(90, 5)) + emotion[:, None] * 0.7).astype(np.float32)
    rows = pd.DataFrame(dict.fromkeys(IDENTITY, ""), index=range(90))
    rows["emotion"] = [("angry", "happy", "sad")[number] for number in emotion]
    save_arrays(
        training_arrays(Table(rows, values, tuple("abcde")), np.arange(90) // 3 % 3), folder
    )


def trial_search(scratch: Path, trials: int) -> Any:
    """Return the search of so many trials, with its storage; not opened."""
    from benchmark.engine.arrays import StoredArrays
    from benchmark.search.plan import Plan
    from benchmark.search.search import ModelSearch
    from benchmark.search.storage import TrialStorage
    from benchmark.study import ModelSettings, Search

    space = {
        "C": {"low": 1e-3, "high": 10.0, "log": True},
        "tol": {"low": 1e-4, "high": 1e-1, "log": True},
        "fit_intercept": [True, False],
        "max_iter": {"low": 20, "high": 200},
    }
    plan = Plan(
        study="trials", split="speaker-dependent", stream="random", model="logistic_regression",
        spec=ModelSettings.model_validate(space),
        search=Search(trials=trials, folds=3, metric="uar"),
        seed=0, emotions=("angry", "happy", "sad"), n_folds=3, origin={},
        arrays=StoredArrays(scratch / "arrays", "tiny"),
    )  # fmt: skip
    store = TrialStorage(f"sqlite:///{scratch / 'optuna.db'}")
    store.open()
    return ModelSearch(plan, store, scratch / "folds")


def opened_tracker(scratch: Path) -> Any:
    """Return the tracker of the search's trials, begun."""
    from benchmark.tracking.records import StudyRecord
    from benchmark.tracking.store import tracking_uri
    from benchmark.tracking.tracker import Tracker

    tracker = Tracker(tracking_uri(scratch), "trials", artifacts=scratch / "mlruns")
    parameters = {"logistic_regression": {"C": True, "tol": True, "max_iter": False}}
    tracker.begin(StudyRecord("trials", "0" * 16, "uar", parameters=parameters))
    return tracker


def grow(scratch: Path, size: int) -> dict[str, Any]:
    """Take a search up and bring it to so many trials; return what each part of a trial cost.

    `last_ms` are means over the last tenth of the trials; `resume_s` is what lies before the first
    new trial: what is stored is read, told and found in MLflow again.
    """
    import optuna

    from benchmark.engine.processes import Workers
    from benchmark.search.search import run_searches
    from benchmark.search.storage import TrialStorage
    from benchmark.search.trial import Trial
    from benchmark.tracking.runs import StudyRuns

    tiny_arrays(scratch / "arrays")
    spent: dict[str, list[float]] = {name: [] for name in ("ask", "tell", "store", "log")}
    methods: dict[str, tuple[type, str]] = {
        "ask": (optuna.Study, "ask"),
        "tell": (optuna.Study, "tell"),
        "store": (TrialStorage, "add"),
        "log": (StudyRuns, "log_trial"),
    }
    ended: list[float] = []

    def on_trial(search: Any, trial: Trial) -> None:
        assert search.best is not None or trial.reason
        tracker.log_trial(search.plan.split, search.plan.model, trial)
        ended.append(time.perf_counter())

    tracker = opened_tracker(scratch)
    began = time.perf_counter()
    search = trial_search(scratch, size)
    search.open()
    opened = time.perf_counter()
    known = search.resumed
    with Workers(2) as workers, _all_clocked(methods, spent):
        run_searches([search], workers, on_trial)
        searched = time.perf_counter()
        tracker.finish()
    finished = time.perf_counter()
    last = max(1, (size - known) // 10)
    told = ended[known - 1] if known else opened
    resident, own = memory_mb(os.getpid())
    return {
        "new_trials": size - known,
        "resume_s": {"open": round(opened - began, 3), "tell": round(told - opened, 3)},
        "search_s": round(searched - told, 3),
        "log_after_s": round(finished - searched, 3),  # what MLflow still had to write
        "last_ms": {
            **{name: round(1000 * float(np.mean(t[-last:])), 3) for name, t in spent.items()},
            "all": round(1000 * (ended[-1] - ended[-1 - last]) / last, 3),
        },
        "main_mb": {"resident": round(resident, 1), "own": round(own, 1)},
        "disk_mb": {
            name: round(sum(file.stat().st_size for file in scratch.glob(pattern)) / 1e6, 1)
            for name, pattern in {
                "trials": "optuna.db*", "runs": "mlflow.db*", "folds": "folds/*/*.npz",
            }.items()
        },
    }  # fmt: skip


@contextmanager
def _all_clocked(
    methods: dict[str, tuple[type, str]], spent: dict[str, list[float]]
) -> Iterator[None]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for name, (owner, method) in methods.items():
            stack.enter_context(clocked(owner, method, spent[name]))
        yield


def resume(scratch: Path, size: int) -> dict[str, Any]:
    """Take up a finished search of so many trials; return the seconds of each part."""
    from benchmark.engine.processes import Workers
    from benchmark.search.search import run_searches

    began = time.perf_counter()
    tracker = opened_tracker(scratch)
    found = time.perf_counter()
    search = trial_search(scratch, size)
    search.open()
    opened = time.perf_counter()
    with Workers(2) as workers:
        run_searches([search], workers, lambda *_: None)
    told = time.perf_counter()
    tracker.finish()
    assert len(search.trials) == size
    return {
        "seconds": {
            "MLflow's runs": round(found - began, 3),
            "stored trials": round(opened - found, 3),
            "telling": round(told - opened, 3),
        }
    }


def in_fresh_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what a function returns in a process of its own, as after an interruption."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_trials(measurements: Measurements, scratch: Path, sizes: Sequence[int]) -> None:
    """Measure one search as it grows, each size a process that takes up where the last ended."""
    folder = scratch / "trials"
    if not measurements.has("trials", min(sizes)):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    for size in sizes:
        if not measurements.has("trials", size):
            measurements.add("trials", size, **in_fresh_process(grow, folder, size))
        if not measurements.has("resume", size):
            measurements.add("resume", size, **in_fresh_process(resume, folder, size))


# MLflow's UI


UI_PAGE = 100  # runs that MLflow's page asks for at once


@contextmanager
def served_ui(scratch: Path, port: int) -> Iterator[tuple[str, float]]:
    """Serve the runs as `python -m benchmark ui` does; yield the address and how long it took."""
    from benchmark.tracking.store import tracking_uri
    from benchmark.tracking.ui import ui_command

    command, environment = ui_command(tracking_uri(scratch), scratch, port)
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, cwd=scratch, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("MLflow's server ended as it started.") from None
                time.sleep(0.1)
        yield address, time.perf_counter() - began
    finally:
        server.terminate()
        server.wait()


def asked(address: str, question: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Return what the server answers to the page's own search for runs, and the seconds it took."""
    request = urllib.request.Request(
        f"{address}/ajax-api/2.0/mlflow/runs/search",
        data=json.dumps(question).encode(),
        headers={"Content-Type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as answer:
        found = json.load(answer)
    return found, time.perf_counter() - began


def listed(address: str, experiment: str, page: int) -> tuple[int, float, list[float]]:
    """List all runs by pages of a size; return how many, the seconds of all and of each page."""
    question = {
        "experiment_ids": [experiment],
        "filter": "tags.role = 'trial'",
        "order_by": ["metrics.`uar` DESC"],
        "run_view_type": "ACTIVE_ONLY",
        "max_results": page,
    }
    seconds: list[float] = []
    count = 0
    token = ""
    while not seconds or token:
        found, took = asked(address, question | ({"page_token": token} if token else {}))
        seconds.append(took)
        count += len(found.get("runs", []))
        token = found.get("next_page_token", "")
    return count, sum(seconds), seconds


def in_browser(address: str) -> dict[str, Any]:
    """Return the seconds until Chromium shows the table of runs, and what the page asked for."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        questions: list[dict[str, Any]] = []
        page.on(
            "request",
            lambda request: (
                questions.append(json.loads(request.post_data or "{}"))
                if request.url.endswith("/runs/search")
                else None
            ),
        )
        seconds = []
        for _ in range(3):  # the first has the page's own code to load
            began = time.perf_counter()
            page.goto(address)
            page.get_by_text("logistic_regression random").first.wait_for(timeout=120_000)
            seconds.append(round(time.perf_counter() - began, 3))
            page.goto("about:blank")
        browser.close()
    return {"seconds": seconds, "requested": max(q.get("max_results", 0) for q in questions)}


def measure_ui(measurements: Measurements, scratch: Path, sizes: Sequence[int]) -> None:
    """Measure how long MLflow's server takes to list the runs of the largest search."""
    from benchmark.tracking.store import tracking_uri
    from benchmark.tracking.ui import ui_addresses

    size = max(sizes)
    folder = scratch / "trials"
    if measurements.has("ui", size):
        return
    if not (folder / "mlflow.db").exists():
        raise SystemExit(f"{folder} holds no runs: measure --stages trials first.")
    port = 5987
    with served_ui(folder, port) as (address, started):
        [(_, view)] = ui_addresses(tracking_uri(folder), port)
        experiment = view.split("/experiments/")[1].partition("/")[0]
        pages = {str(page): listed(address, experiment, page) for page in (UI_PAGE, 1_000, 10_000)}
        measurements.add(
            "ui",
            size,
            start_s=round(started, 1),
            pages={
                page: {
                    "runs": count,
                    "first_s": round(each[0], 3),
                    "last_s": round(each[-1], 3),
                    "all_s": round(total, 3),
                }
                for page, (count, total, each) in pages.items()
            },
            browser=in_browser(view),
        )


def main() -> None:
    """Measure what is not measured yet, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scratch", type=Path, required=True, help="folder for clips and projects")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--clips", nargs="+", type=int, default=CLIPS, help="sizes")
    parser.add_argument("--trials", nargs="+", type=int, default=TRIALS, help="sizes")
    parser.add_argument("--measurements", type=Path, default=MEASUREMENTS, help="JSON lines")
    parser.add_argument("--again", action="store_true", help="forget what has been measured")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    if options.again:
        options.measurements.unlink(missing_ok=True)
    measurements = Measurements(options.measurements)
    scratch = options.scratch.resolve()
    if "clips" in options.stages:
        sizes = [size for size in options.clips if not measurements.has("clips", size)]
        measure_clips(measurements, scratch, sizes) if sizes else None
    if "trials" in options.stages:
        measure_trials(measurements, scratch, options.trials)
    if "ui" in options.stages:
        measure_ui(measurements, scratch, options.trials)
    if "page" in options.stages:
        from tests.performance.scale_page import write_page

        measurements.tidy()
        write_page(measurements.read(), options.measurements.parent)


if __name__ == "__main__":
    main()
