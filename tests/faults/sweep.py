"""Each file that a project keeps, damaged in each way: a one-line error or the right result.

    python -m tests.faults.sweep

The small study is run, promoted and used for a prediction. Then, for each case, one
file of it is damaged and the study is run again; where the file is read by them, `report` and
`predict` too. One file of each kind is tried, for example one fold of all trials; `--all` tries
every file, `--kind TEXT` only kinds whose pattern holds the text. A command that takes longer than
ten minutes counts as a hang. Counts are printed for each kind while it runs, and as a table at the
end.

Rights are no obstacle to root: started by root, the sweep gives up the right to read any file
(`setpriv`, of util-linux), so that a file without rights is unreadable for it as for other users.
"""

from __future__ import annotations

from benchmark.engine.processes import prepare_libraries

prepare_libraries()  # before numpy, as in each command: predictions are compared byte for byte

import argparse  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable, Iterable, Iterator, Sequence  # noqa: E402
from dataclasses import dataclass, fields  # noqa: E402
from itertools import groupby  # noqa: E402
from pathlib import Path  # noqa: E402

import pandas as pd  # noqa: E402

from tests.faults.fuzz import HangError, time_limit  # noqa: E402
from tests.support.bench import SMALL_STUDY, Bench, make_bench, run_command  # noqa: E402
from tests.support.tones import write_tones  # noqa: E402

STUDY = SMALL_STUDY.replace('"speaker-dependent", ', "").replace("trials = 6", "trials = 2")

IGNORED = ("*.lock", "*-wal", "*-shm")
"""Files without content of their own: locks, and what SQLite makes anew."""

RIGHT, ONE_LINE = "right result", "one line"
FAULTS = WRONG, TRACEBACK, HANG = "WRONG RESULT", "TRACEBACK", "HANG"

LONGEST_S = 600
"""After so long, a command counts as a hang."""


def _halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    """Flip one bit in each of three places that depend on the file's name alone."""
    content, dice = bytearray(path.read_bytes()), random.Random(path.name)
    for _ in range(3 if content else 0):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def _flip_digit(path: Path) -> None:
    """Change one digit of a text, or of a binary file that holds one."""
    content = path.read_bytes()
    digits = [match.start() for match in re.finditer(rb"[0-9]", content)]
    if digits:
        place = random.Random(path.name).choice(digits)
        digit = b"%d" % ((content[place] - ord("0") + 5) % 10)
        path.write_bytes(content[:place] + digit + content[place + 1 :])


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    (path / "within").mkdir(parents=True)


def _link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "half": _halve,
    "bits": _flip,
    "digit": _flip_digit,
    "deleted": Path.unlink,
    "folder": _replace_by_folder,
    "loop": _link_to_itself,
    "unreadable": lambda path: path.chmod(0),
}


@dataclass(frozen=True)
class Case:
    """One damage of one file, and how a command ended after it."""

    kind: str
    damage: str
    command: str
    ending: str
    text: str


def kinds_of(project: Path) -> dict[str, list[str]]:
    """Return the kept files by kind: the path without digests, numbers and names of models."""
    kinds: dict[str, list[str]] = {}
    for path in sorted(project.rglob("*")):
        if path.is_file() and not any(path.match(pattern) for pattern in IGNORED):
            name = path.relative_to(project).as_posix()
            kind = re.sub(r"[0-9a-f]{8,}(-[0-9a-f]{4,}){0,4}", "*", name)
            kind = re.sub(r"(?<=[/_-])\d+(?=[/_.])", "N", kind)
            kind = re.sub(
                r"(?:(?<=/arrays/)|(?<=/models/)|(?<=figures/small/))[^/.]+(?=[.][^/]+$)", "*", kind
            )
            kind = re.sub("/code/benchmark/.*", "/code/benchmark/*", kind)  # of MLflow's own server
            kinds.setdefault(kind, []).append(name)
    return kinds


def prepare(folder: Path) -> Bench:
    """Run the small study, promote its selected model and predict a recording."""
    bench = make_bench(folder, write_tones(folder / "tones"), STUDY)
    bench.run()
    bench.invoke("promote", "small")
    bench.invoke("predict", *_predicted(bench))
    return bench


def _predicted(bench: Bench, model: object = "champion") -> tuple[str, ...]:
    recording = sorted(bench.table.parent.glob("*.wav"))[0]
    return (str(recording), "--json", "--model", str(model))


def commands_for(name: str) -> tuple[str, ...]:
    """Return the commands that are run after a file is damaged: those that may read it."""
    readers = {
        "report": ("reports/",),
        "predict": ("mlruns/", "mlflow.db", "features_cache/mfcc"),
        "predict CARD": ("features_cache/small/speaker-independent/models/",),
    }
    named = [command for command, starts in readers.items() if name.startswith(starts)]
    return (*named, "resume")


def sweep(bench: Bench, names: Iterable[tuple[str, str]], damages: Sequence[str]) -> Iterator[Case]:
    """Yield each case, for files given by kind and name."""
    right = answers_of(bench)
    whole = bench.project.with_name("whole")
    shutil.copytree(bench.project, whole, symlinks=True)
    for kind, name in names:
        for damage in damages:
            for command in commands_for(name):
                # The registry holds absolute paths, so that the project is damaged in its place.
                shutil.rmtree(bench.project)
                shutil.copytree(whole, bench.project, symlinks=True)
                DAMAGES[damage](bench.project / name)
                yield Case(kind, damage, command, *_run(bench, command, right))


def answers_of(bench: Bench) -> dict[str, object]:
    """Return what must not change: results, pages, and a prediction."""
    return {
        "results": _results(bench),
        "predict": bench.invoke("predict", *_predicted(bench)).stdout,
        "predict CARD": bench.invoke("predict", *_predicted(bench, bench.card())).stdout,
    }


def _run(bench: Bench, command: str, right: dict[str, object]) -> tuple[str, str]:
    """Run a command after a damage; return how it ended, and its last line."""
    study = ("run-study", str(bench.study), "--corpus", f"csv={bench.table}", "--workers", "1")
    arguments = {
        "report": ("report",),
        "predict": ("predict", *_predicted(bench)),
        "predict CARD": ("predict", *_predicted(bench, bench.card())),
        "resume": study,
    }[command]
    try:
        with time_limit(LONGEST_S):
            ended = run_command(*arguments, "--project", str(bench.project))
    except HangError:
        return HANG, f"more than {LONGEST_S} s"
    except Exception:
        return TRACEBACK, traceback.format_exc()
    lines = ended.stderr.splitlines() or [""]
    errors = [line for line in lines if line.startswith("error: ")]
    if "Traceback" in ended.stderr:
        return TRACEBACK, ended.stderr
    if ended.returncode == 2 and len(errors) == 1:
        return ONE_LINE, errors[0]
    if ended.returncode != 0:
        return WRONG, f"status {ended.returncode}: {lines[-1]}"
    return CHECKS[command](bench, ended, right)


def _results(bench: Bench) -> dict[str, bytes]:
    shown = (".md", ".parquet", ".csv", "study.json")
    found = bench.bytes_of("reports")
    return {name: content for name, content in found.items() if name.endswith(shown)}


def _check_resumed(bench: Bench, _: object, right: dict[str, object]) -> tuple[str, str]:
    ours, theirs = _results(bench), right["results"]
    assert isinstance(theirs, dict)
    different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return (WRONG, f"differs: {', '.join(sorted(different))}") if different else (RIGHT, "")


def _check_report(
    bench: Bench, ended: subprocess.CompletedProcess[str], right: dict[str, object]
) -> tuple[str, str]:
    """A report that lacks something is right if it tells what, and why."""
    lacking = ("left out", "has no look")
    told = [line for line in ended.stderr.splitlines() if any(one in line for one in lacking)]
    return (ONE_LINE, told[0]) if told else _check_resumed(bench, ended, right)


def _check_prediction(
    _: Bench, ended: subprocess.CompletedProcess[str], right: dict[str, object]
) -> tuple[str, str]:
    same = ended.stdout in {right["predict"], right["predict CARD"]}
    return (RIGHT, "") if same else (WRONG, ended.stdout[:300])


CHECKS = {
    "report": _check_report,
    "predict": _check_prediction,
    "predict CARD": _check_prediction,
    "resume": _check_resumed,
}


def table_of(cases: Iterable[Case]) -> str:
    """Return the number of each ending by kind of file and by damage, as text."""
    rows = pd.DataFrame(list(cases), columns=[f.name for f in fields(Case)])
    endings = [RIGHT, ONE_LINE, *FAULTS]
    parts = [
        pd.crosstab(rows[by], rows["ending"]).reindex(columns=endings, fill_value=0)
        for by in ("kind", "damage")
    ]
    table = pd.concat([*parts, parts[0].sum().to_frame("all").T])
    return table.to_string()


def _give_up_rights() -> None:
    """Start again without root's right to read any file, if it is there."""
    if os.geteuid() == 0 and "SWEEP_WITHOUT_RIGHTS" not in os.environ:
        rights = "-dac_override,-dac_read_search"
        again = [sys.executable, "-m", "tests.faults.sweep", *sys.argv[1:]]
        os.environ["SWEEP_WITHOUT_RIGHTS"] = "1"
        os.execvp("setpriv", ["setpriv", f"--bounding-set={rights}", *again])


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its purpose


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; the status is 1 if a result was wrong or a command had a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every file, not one of each kind")
    parser.add_argument("--kind", default="", help="only kinds whose pattern holds this text")
    parser.add_argument("--damage", choices=DAMAGES, action="append")
    parser.add_argument("--verbose", action="store_true", help="print the end of each command")
    given = parser.parse_args(arguments)
    _give_up_rights()
    began, done = time.monotonic(), list[Case]()
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(Path(folder))
        kinds = {k: v for k, v in kinds_of(bench.project).items() if given.kind in k}
        chosen = [
            (k, name) for k, names in kinds.items() for name in names[: None if given.all else 1]
        ]
        cases = sweep(bench, chosen, given.damage or list(DAMAGES))
        for kind, of_kind in groupby(cases, lambda case: case.kind):
            counts = Counter[str]()
            for case in of_kind:
                done.append(case)
                counts[case.ending] += 1
                if case.ending in FAULTS or given.verbose:
                    _say(f"{case.ending}: {kind}, {case.damage}, {case.command}: {case.text}")
            _say(f"{kind}: {', '.join(f'{ending} {n}' for ending, n in sorted(counts.items()))}")
    _say(table_of(done))
    _say(
        f"{len(chosen)} files of {len(kinds)} kinds, {len(done)} commands in "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if any(case.ending in FAULTS for case in done) else 0


if __name__ == "__main__":
    sys.exit(main())
