"""A reader of the documentation, who runs the blocks of code of a page from top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bench import run_command
from tests.support.waiting import free_port, wait_until

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"(?:^<!-- test: (?P<how>[^\n]+) -->\n)?^```(?P<language>sh|python)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PYTHON = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}\n'
"""In the reader's shell, ``python`` is the one of the tests."""
COMMAND = "python -m benchmark "


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language : str
        ``sh`` or ``python``.
    how : str
        From the comment ``<!-- test: HOW -->`` before it: ``skip, REASON``; ``background``, a
        server that runs to the end of the page; ``status 1``. Empty without a comment.
    """

    language: str
    code: str
    how: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, from top to bottom."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["language"], one["code"], one["how"] or "") for one in found]


@dataclass(frozen=True)
class Reader:
    """A reader in an empty folder.

    Attributes
    ----------
    folder : Path
    home : Path
        What ``~`` stands for.
    """

    folder: Path
    home: Path

    def follow(self, page: str) -> None:
        """Run the blocks of a page below docs/; each has to end with its status, by default 0.

        Commands of the tool and blocks of Python run in this process: a new one would first import
        for seconds.
        """
        with ExitStack() as reading:
            reading.enter_context(chdir(self.folder))
            patched = reading.enter_context(pytest.MonkeyPatch.context())
            patched.setenv("HOME", str(self.home))
            patched.setenv("PYTHONPATH", str(ROOT))
            for unset in ("SER_CORPORA", "MLFLOW_TRACKING_URI"):
                patched.delenv(unset, raising=False)
            address = ""
            for block in blocks(DOCS / page):
                code = block.code.replace("127.0.0.1:8000", address)
                if block.how == "background":
                    address = reading.enter_context(serving(block.code.strip()))
                elif block.how.startswith("skip"):
                    continue
                elif block.language == "python":
                    exec(compile(code, page, "exec"), {"__name__": "__main__"})
                else:
                    for line in code.replace("\\\n", " ").splitlines():
                        run(line, int(block.how.removeprefix("status ") or 0))


def run(line: str, status: int) -> None:
    """Run a line of the shell, which has to end with a status."""
    if line.startswith(COMMAND):
        ended = run_command(*shlex.split(line.removeprefix(COMMAND), comments=True))
    else:
        ended = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=False)
    assert ended.returncode == status, f"{line}\n{ended.stdout}\n{ended.stderr}"


@contextmanager
def serving(command: str) -> Iterator[str]:
    """Start a server on a free port; yield its address, and end it."""
    port = free_port()
    process = subprocess.Popen(
        ["bash", "-euc", f"{PYTHON}{command} --port {port}"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or answers(port))
        assert process.poll() is None, f"{command} ended"
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
