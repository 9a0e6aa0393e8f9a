"""Ten thousand hostile uploads: the service works on unchanged.

    pytest tests/hostile -s

Takes about ten minutes on two cores and prints a table. Environment variables: HOSTILE_UPLOADS
(number of uploads), HOSTILE_SEED, HOSTILE_CARD (card of another model).
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("multipart", reason="needs the extra `serve`")

from benchmark.serving.example_clip import example_wav
from tests.hostile.service import Answer, Service, faults, resident_bytes, service
from tests.hostile.uploads import FAMILIES, SECRET, Request, file_part, form, posted, uploads
from tests.support.bench import Bench
from tests.support.platforms import linux

COUNT = int(os.environ.get("HOSTILE_UPLOADS", "10400"))
SEED = int(os.environ.get("HOSTILE_SEED", "0"))

BATCH = 100
"""Largest number of uploads between two requests whose responses are known."""

ROUNDS = 5
"""Each round has uploads of every family, so that memory can be compared between rounds."""

GROWTH = 1.15
"""Largest allowed growth of memory from the first round to the last. The allocator's share varies
by some percent, while a leak of one upload in a hundred would add half as much again."""

KNOWN = [posted(address, form(file_part(example_wav()))) for address in ("/predict", "/timeline")]

pytestmark = linux


@dataclass
class Tally:
    """All responses and measurements."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)

    def add(self, family: str, requests: list[Request], answers: list[Answer]) -> None:
        """Record the responses to uploads of a family."""
        self.answers[family] += answers
        self.wrong += [
            f"{family}: {fault}"
            for request, answer in zip(requests, answers, strict=True)
            for fault in faults(request, answer)
        ]

    def timed_out(self) -> list[str]:
        """Return family and number of the uploads that exceeded the time limit."""
        return [
            f"{family} {number}"
            for family, answers in self.answers.items()
            for number, answer in enumerate(answers)
            if answer.status == 503
        ]

    def table(self) -> str:
        """Return a table with the number of responses by family and status, and their times."""
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
    """Yield the uploads of one round in batches of a family, in random order."""
    whole = sum(family.count for family in FAMILIES.values())
    found = []
    for name, family in FAMILIES.items():
        wanted = uploads(name, max(1, round(count * family.count / whole)), seed)
        found += [(name, wanted)] * -(-round(count * family.count / whole) // BATCH)
    for position in np.random.default_rng(seed).permutation(len(found)):
        name, wanted = found[position]
        yield name, list(islice(wanted, BATCH))


def known_answers(running: Service) -> list[bytes]:
    """Return the responses to the known requests."""
    return [running.exchange(request).content for request in KNOWN]


@pytest.fixture
def card(request: pytest.FixtureRequest) -> Path:
    """Card of the small study's model, or of HOSTILE_CARD."""
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
            time.sleep(15)  # until the last connections have timed out
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
    """Send uploads, and check the responses to the known requests during and after them."""
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(running.exchange_all, requests, FAMILIES[family].concurrent)
        if FAMILIES[family].idle and known_answers(running) != known:
            tally.wrong.append(f"another answer to the known recording during {family}")
        tally.add(family, requests, sending.result())
    assert running.alive(), f"the service has ended in {family}"
    if known_answers(running) != known:
        tally.wrong.append(f"another answer to the known recording after {family}")


def known_is_right(answers: list[bytes]) -> bool:
    return all(b'"emotion":' in answer for answer in answers)


def report(tally: Tally, running: Service) -> None:
    """Print all measurements."""
    mebibytes = [f"{memory / 2**20:.0f}" for memory in tally.memory_bytes]
    print(f"\n{tally.table()}")  # noqa: T201
    print(f"uploads: {sum(map(len, tally.answers.values()))}")  # noqa: T201
    print("MiB after each round:", *mebibytes)  # noqa: T201
    kept = [f"{resident_bytes(process) / 2**20:.0f}" for process in running.processes()]
    print("MiB of each process at the end, the server's first:", *kept)  # noqa: T201
    print("open files after each round:", *tally.open_files)  # noqa: T201
    print(f"workers replaced: {running.replaced()}")  # noqa: T201
    print("timed out:", ", ".join(tally.timed_out()))  # noqa: T201
    print(f"wrong: {len(tally.wrong)}", *tally.wrong[:40], sep="\n  ")  # noqa: T201
