"""Ten thousand hostile uploads, and more: the service goes on as if nothing had been.

    pytest tests/hostile -s

It takes some ten minutes on two cores, and prints a table. HOSTILE_UPLOADS=N sends as many,
HOSTILE_SEED=N others, HOSTILE_CARD=FILE has another model answer.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from benchmark.serving.example_clip import example_wav
from tests.hostile.service import Answer, Service, faults, resident_bytes, service
from tests.hostile.uploads import FAMILIES, SECRET, Request, file_part, form, posted, uploads
from tests.support.bench import Bench

COUNT = int(os.environ.get("HOSTILE_UPLOADS", "10400"))
SEED = int(os.environ.get("HOSTILE_SEED", "0"))

BATCH = 100
"""Uploads, at most, between two questions whose answer is known."""

ROUNDS = 5
"""Each has some of every family: memory is compared where the same went before."""

GROWTH = 1.15
"""Of the memory from the first round to the last: what the allocator keeps of the largest uploads
differs by some percent in either direction, while one upload in a hundred that is never let go of
would add half as much again."""

KNOWN = [posted(address, form(file_part(example_wav()))) for address in ("/predict", "/timeline")]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@dataclass
class Tally:
    """What was seen."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)

    def add(self, family: str, requests: list[Request], answers: list[Answer]) -> None:
        """Note what some uploads were answered with."""
        self.answers[family] += answers
        self.wrong += [
            f"{family}: {fault}"
            for request, answer in zip(requests, answers, strict=True)
            for fault in faults(request, answer)
        ]

    def given_up(self) -> list[str]:
        """Return which uploads took longer than a request may: family and number."""
        return [
            f"{family} {number}"
            for family, answers in self.answers.items()
            for number, answer in enumerate(answers)
            if answer.status == 503
        ]

    def table(self) -> str:
        """Return how many of each family were answered with which status, and how soon."""
        lines = [f"{'family':22} {'count':>6} {'median':>8} {'slowest':>8}  statuses"]
        for family, answers in self.answers.items():
            seconds = [answer.seconds for answer in answers]
            statuses = sorted(Counter(answer.status for answer in answers).items())
            told = ", ".join(f"{status or 'closed'} x {count}" for status, count in statuses)
            lines.append(
                f"{family:22} {len(answers):6} {statistics.median(seconds):6.3f} s "
                f"{max(seconds):6.2f} s  {told}"
            )
        return "\n".join(lines)


def batches(count: int, seed: int) -> Iterator[tuple[str, list[Request]]]:
    """Yield the uploads of one round by family, in batches whose order is by chance."""
    whole = sum(family.share for family in FAMILIES.values())
    found = []
    for name, family in FAMILIES.items():
        wanted = uploads(name, max(1, round(count * family.share / whole)), seed)
        found += [(name, wanted)] * -(-round(count * family.share / whole) // BATCH)
    for place in np.random.default_rng(seed).permutation(len(found)):
        name, wanted = found[place]
        yield name, list(islice(wanted, BATCH))


def known_answers(running: Service) -> list[bytes]:
    """Return what is said of the recording whose answer is known."""
    return [running.exchange(request).content for request in KNOWN]


@pytest.fixture
def card(request: pytest.FixtureRequest) -> Path:
    """The model that answers: the small study's, unless another is named."""
    named = os.environ.get("HOSTILE_CARD")
    if named:
        return Path(named)
    finished: Bench = request.getfixturevalue("finished")
    return finished.card()


def test_hostile_uploads_change_nothing(card: Path, tmp_path: Path) -> None:
    tally = Tally()
    with service(card, tmp_path) as running:
        first = known_answers(running)
        files_at_first = running.open_files()
        for number in range(ROUNDS):
            for family, requests in batches(COUNT // ROUNDS, SEED + number):
                send(running, family, requests, first, tally)
            time.sleep(15)  # the last connections' time is over by then
            tally.memory_bytes.append(running.memory_bytes())
            tally.open_files.append(running.open_files())
        report(tally, running)
        log = running.log.read_text()
        left = running.left_behind()
    assert not tally.wrong
    assert known_is_right(first)
    assert tally.memory_bytes[-1] <= GROWTH * tally.memory_bytes[0]
    assert tally.open_files[-1] <= files_at_first
    assert not left
    assert "Traceback" not in log
    assert SECRET not in log


def send(
    running: Service, family: str, requests: list[Request], known: list[bytes], tally: Tally
) -> None:
    """Send some uploads, and note what they, and the known recording, are answered with."""
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(running.exchange_all, requests, FAMILIES[family].together)
        if FAMILIES[family].idle and known_answers(running) != known:
            tally.wrong.append(f"another answer to the known recording during {family}")
        tally.add(family, requests, sending.result())
    assert running.alive(), f"the service has ended in {family}"
    if known_answers(running) != known:
        tally.wrong.append(f"another answer to the known recording after {family}")


def known_is_right(answers: list[bytes]) -> bool:
    return all(b'"emotion":' in answer for answer in answers)


def report(tally: Tally, running: Service) -> None:
    """Print what was seen."""
    mebibytes = [f"{memory / 2**20:.0f}" for memory in tally.memory_bytes]
    print(f"\n{tally.table()}")  # noqa: T201
    print(f"uploads: {sum(map(len, tally.answers.values()))}")  # noqa: T201
    print("MiB after each round:", *mebibytes)  # noqa: T201
    kept = [f"{resident_bytes(process) / 2**20:.0f}" for process in running.processes()]
    print("MiB of each process at the end, the server's first:", *kept)  # noqa: T201
    print("open files after each round:", *tally.open_files)  # noqa: T201
    print(f"workers replaced: {running.replaced()}")  # noqa: T201
    print("given up:", ", ".join(tally.given_up()))  # noqa: T201
    print(f"wrong: {len(tally.wrong)}", *tally.wrong[:40], sep="\n  ")  # noqa: T201
