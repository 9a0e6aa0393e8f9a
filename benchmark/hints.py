"""What a message tells the user to type: a command of this tool, or the installation of an extra.

Pages and stored descriptions have many readers, and name commands as ``python -m benchmark``.
"""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = "ser-benchmark"
"""The command that the package installs."""

SOURCE = Path(__file__).resolve().parents[1]
"""The folder that holds the package: the root of a clone, or site-packages."""


def program() -> str:
    """Return the command line's name as it was called.

    In a notebook or another program it is the one that works in every environment.
    """
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else "python -m benchmark"


def command(arguments: str) -> str:
    """Return a command of this tool as the user would type it, between backticks.

    >>> command("run-study capstone")
    '`python -m benchmark run-study capstone`'
    """
    return f"`{program()} {arguments}`"


def install(extra: str) -> str:
    """Return the command that adds an extra to this installation: a clone, or from PyPI."""
    if not (SOURCE / "pyproject.toml").is_file():
        return f'pip install "ser-benchmark[{extra}]"'
    folder = "." if Path.cwd() == SOURCE else SOURCE
    return f'pip install -e "{folder}[{extra}]"'
