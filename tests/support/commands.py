"""Run several commands of the tool in one process: each new process would first import for seconds.

The commands' arguments come as JSON from standard input, and how each ended goes there as JSON.
"""

from __future__ import annotations

from benchmark.engine.processes import prepare_libraries

prepare_libraries()

import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.support.bench import run_command  # noqa: E402


def run_apart(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> list[subprocess.CompletedProcess[str]]:
    """Run commands in a new process with an environment, and return how each has ended."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.support.commands"],
        input=json.dumps(commands), env=environment, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return [subprocess.CompletedProcess(*ended) for ended in json.loads(process.stdout)]


if __name__ == "__main__":
    ended = [run_command(*arguments) for arguments in json.load(sys.stdin)]
    print(json.dumps([[one.args, one.returncode, one.stdout, one.stderr] for one in ended]))  # noqa: T201
