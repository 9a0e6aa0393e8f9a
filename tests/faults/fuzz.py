"""Mutated study files and mutated tables at the ways in: none may end in a traceback or hang.

    python -m tests.faults.fuzz

One line of counts for each kind of file. `--studies N`, `--tables N` and `--seed N` change what is
tried; `--run N` also runs the first N mutated studies that are accepted, to their pages. A failure
is printed with the text that caused it.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.corpora import read_corpus
from benchmark.data.tables import read_csv
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError
from benchmark.evaluation.predictions import check_predictions
from benchmark.evaluation.scoring import score_predictions
from benchmark.validation import read_checked
from tests.faults.stages import FULL_STUDY
from tests.support.bench import run_command

LONGEST_S = 20
"""After so long, a study or a table counts as a hang."""

GRID = FULL_STUDY.replace('metric = "uar"', 'metric = "uar"\nsampler = "grid"').replace(
    "low = 1e-3, high = 1e1, log = true", "low = 0.5, high = 2.0, step = 0.5"
)

VALUES = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "1.5",
        "-0.0",
        "5e-324",
        "1e308",
        "1e-300",
        "1e400",
        "nan",
        "-inf",
        "inf",
    ),
    *("9" * 5000, "9" * 400, "0x" + "f" * 5000, str(2**63 - 1), str(-(2**63)), str(2**63)),
    *('""', '" "', '"..', '"../../x"', '"/"', '"~nobody/x"', '"a\\u0000b"', '"\\u001b[31m"'),
    *(
        f'"{"n" * 300}"',
        f'"{"ü" * 120}"',
        '"=1+1"',
        '"US$$"',
        '"<b>*_|`"',
        '"🙂"',
        '"low"',
        '"csv"',
    ),
    *("true", "false", "1979-05-27T07:32:00Z", "07:32:00", "1979-05-27"),
    *(
        "[]",
        "[[]]",
        "{}",
        "{ low = 1 }",
        "{ low = 1, high = 0 }",
        "{ low = 1, high = 2, step = 0 }",
    ),
    *("{ low = 0, high = 1, step = 1e-300 }", "{ low = 1, high = 1000000000, step = 1 }"),
    *("{ low = -1e308, high = 1e308 }", "{ low = 1, high = 9e18, log = true }", "[1, 1.0, true]"),
    *('["low", "low"]', '["low", 1, [], {}]', "[nan]", "[" * 3000, "[" * 3000 + "]" * 3000),
    *("{a=" * 500 + "1" + "}" * 500, "'''", '"""', "grid", "#", "= =", "\x00", "\ufeff", "\r"),
)
"""Values of TOML, and text that is none."""

KEYS = (
    *("question", "corpora", "emotions", "features", "augment", "seed", "rename", "normalise"),
    *("search.trials", "search.folds", "search.metric", "search.sampler", "search.pruner"),
    *("search.patience", "search.fit_timeout_s", "search.concurrent_trials", "split.folds"),
    *("split.protocols", "split.test_size", "split.repeats", "models.mlp.alpha", "models.svc.C"),
    *("models.lda.shrinkage", "models.random_forest.max_depth", "models.mlp.weight.functionals"),
    *(
        "ensembles.both",
        "claims.source",
        "claims.mlp",
        "scale.clips",
        "conditions",
        "name",
        "a.b.c",
    ),
    *("learning_curves.fractions", "covariates", "auxiliary", "sample_rate_hz", "compare", '""'),
)

CELLS = (
    *("", " ", "nan", "inf", "-1", "1e400", "9" * 5000, "9" * 400, "0x1", "1,5", "=1+1", "@x", "'"),
    *(
        "+1",
        "-",
        "\x00",
        "a\x00b",
        "\x1b[31m",
        "\ufeff",
        "ü" * 200,
        "n" * 300,
        "../x",
        "/",
        "~nobody/x",
    ),
    *(
        '"',
        '""',
        "a\nb",
        "a;b",
        "a,b",
        "a\tb",
        "🙂",
        "<b>",
        "US$$",
        "low",
        "LOW",
        "s0",
        "None",
        "{}",
    ),
    *("[" * 3000, '[{"label": "low", "score": 1}]', "1e-400", "0.1", "TRUE", "007"),
)

PREDICTIONS = [
    ["clip", "speaker", "emotion", "prediction", "p_low", "p_high"],
    *[[f"c{i}", f"s{i % 3}", ("low", "high")[i % 2], "low", "0.6", "0.4"] for i in range(12)],
]
CLIPS = [
    ["path", "emotion", "speaker", "gender", "statement", "start", "end"],
    *[[f"{i}.wav", ("low", "high")[i % 2], f"s{i % 3}", "male", "x", "0", "1"] for i in range(12)],
]
FEATURES = [
    ["clip", "speaker", "emotion", "f0", "f1"],
    *[[f"c{i}", f"s{i % 3}", ("low", "high")[i % 2], str(i / 7), "-0.5"] for i in range(12)],
]

Rows = list[list[str]]


class HangError(BaseException):
    """A way in took longer than its limit; no handler of errors may take it for its own."""


@dataclass
class Outcome:
    """How the mutated files of a kind ended."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def note(self, call: Callable[[], object], what: str) -> bool:
        """Call a way in; count how it ended, and return whether the file was accepted."""
        try:
            with time_limit(LONGEST_S):
                call()
        except BenchmarkError as error:
            self.counts["refused"] += 1
            if not str(error).strip():
                self._fail("empty message", what)
            return False
        except HangError:
            self._fail("hang", what)
            return False
        except Exception:
            self._fail("traceback", f"{what}\n{traceback.format_exc()}")
            return False
        self.counts["accepted"] += 1
        return True

    def expect_nothing_new(self, folder: Path, known: set[str]) -> None:
        """Count the files that appeared in a folder."""
        for name in sorted(_names(folder) - known):
            self._fail("file outside", name)

    def _fail(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.failures.append(f"{kind}: {what}")


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `HangError` in what takes longer."""

    def ring(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def mutated_study(dice: random.Random) -> str:
    """A study with one to three lines that somebody, or a disk, has changed."""
    lines = dice.choice((FULL_STUDY, GRID)).splitlines()
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(lines))
        match dice.randrange(8):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, lines[dice.randrange(len(lines))])
            case 2 | 3 | 4:
                key = lines[place].partition("=")[0]
                lines[place] = f"{key}= {dice.choice(VALUES)}"
            case 5:
                table, _, key = dice.choice(KEYS).rpartition(".")
                lines.append(f"[{table}]\n{key} = {dice.choice(VALUES)}" if table else "")
                lines.insert(0, "" if table else f"{key} = {dice.choice(VALUES)}")
            case 6:
                lines[place] = lines[place][: dice.randrange(len(lines[place]) + 1)]
            case _:
                lines[place] = _flipped(lines[place], dice)
        lines = lines or [""]
    return "\n".join(lines)


def _flipped(text: str, dice: random.Random) -> str:
    if not text:
        return "\x00"
    place = dice.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ (1 << dice.randrange(7))) + text[place + 1 :]


def mutated_table(rows: Rows, dice: random.Random) -> bytes:
    """A table with one to three cells, rows or columns that somebody, or a disk, has changed."""
    rows = [list(row) for row in rows]
    for _ in range(dice.randint(1, 3)):
        row = dice.randrange(len(rows))
        column = dice.randrange(max(1, len(rows[row])))
        match dice.randrange(7):
            case 0:
                del rows[row]
            case 1:
                rows.insert(row, list(rows[dice.randrange(len(rows))]))
            case 2 | 3:
                rows[row][column : column + 1] = [dice.choice(CELLS)]
            case 4:
                for one in rows:
                    one[column : column + 1] = []
            case 5:
                for one in rows[1:]:
                    one[column : column + 1] = [dice.choice(CELLS)]
            case _:
                rows[0][column : column + 1] = [
                    dice.choice((*CELLS, "clip", "path", "fold", "votes"))
                ]
        rows = rows or [[""]]
    text = io.StringIO()
    csv.writer(text, delimiter=dice.choice(",,,;\t"), lineterminator="\n").writerows(rows)
    encoding = dice.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"))
    content = bytearray(text.getvalue().encode(encoding))
    if content and not dice.randrange(5):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content[: dice.randrange(len(content) + 1)] if not dice.randrange(10) else content)


def fuzz_studies(
    count: int, seed: int, folder: Path, runs: int = 0, table: Path = Path()
) -> Outcome:
    """Validate mutated studies, and run the first `runs` that are accepted."""
    dice, outcome = random.Random(f"{seed} studies"), Outcome()
    path = folder / "mutated.toml"
    path.touch()
    known = _names(folder)
    for _ in range(count):
        text = mutated_study(dice)
        path.write_text(text, encoding="utf-8", errors="replace", newline="")
        accepted = outcome.note(lambda: read_checked(path), text)
        if accepted and outcome.counts["run"] < runs:
            outcome.counts["run"] += 1
            _run(path, table, outcome, text)
    outcome.expect_nothing_new(folder, known)
    return outcome


def _run(path: Path, table: Path, outcome: Outcome, text: str) -> None:
    with tempfile.TemporaryDirectory() as project:
        arguments = ("--corpus", f"csv={table}", "--workers", "1", "--project", project)
        try:
            ended = run_command("run-study", str(path), "--set", "search.trials=2", *arguments)
        except Exception:
            outcome.counts["traceback"] += 1
            outcome.failures.append(f"run: {text}\n{traceback.format_exc()}")
            return
    outcome.counts[f"run, status {ended.returncode}"] += 1


def fuzz_tables(count: int, seed: int, folder: Path) -> Outcome:
    """Read mutated tables as a corpus, as features and as predictions."""
    dice, outcome = random.Random(f"{seed} tables"), Outcome()
    path = folder / "mutated.csv"
    path.touch()
    for number in range(12):
        (folder / f"{number}.wav").touch()
    known = _names(folder)
    doors: tuple[tuple[Rows, Callable[[Path], object]], ...] = (
        (CLIPS, lambda file: read_corpus("csv", file)),
        (FEATURES, read_csv),
        (PREDICTIONS, lambda file: score_predictions(check_predictions(read_table(file)), 0)),
    )
    for number in range(count):
        rows, door = doors[number % len(doors)]
        content = mutated_table(rows, dice)
        path.write_bytes(content)
        outcome.note(lambda door=door: door(path), repr(content[:2000]))  # type: ignore[misc]
    outcome.expect_nothing_new(folder, known)
    return outcome


def report(name: str, count: int, outcome: Outcome) -> bool:
    """Print the counts of a kind and its failures; return whether there is none."""
    counts = {kind: outcome.counts[kind] for kind in ("traceback", "hang", "file outside")}
    others = {kind: n for kind, n in sorted(outcome.counts.items()) if kind not in counts}
    words = ", ".join(f"{kind} {n}" for kind, n in (others | counts).items())
    print(f"{count:,} mutated {name}: {words}")  # noqa: T201 - its purpose
    for failure in outcome.failures:
        print(failure)  # noqa: T201
    return not outcome.failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both kinds; the status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=int, default=0)
    parser.add_argument("--table", type=Path, default=Path(), help="csv corpus of --run")
    given = parser.parse_args(arguments)
    whole = []
    table = given.table.resolve()
    for name, count in (("studies", given.studies), ("tables", given.tables)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "below"
            folder.mkdir()
            os.chdir(folder)
            outcome = (
                fuzz_studies(count, given.seed, folder, given.run, table)
                if name == "studies"
                else fuzz_tables(count, given.seed, folder)
            )
            outcome.expect_nothing_new(
                Path(temporary), {"below", *{f"below/{n}" for n in _names(folder)}}
            )
            os.chdir("/")
        whole.append(report(name, count, outcome))
    return 0 if all(whole) else 1


if __name__ == "__main__":
    raise SystemExit(main())
