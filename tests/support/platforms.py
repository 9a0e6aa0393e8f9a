"""Marks of tests that need what other systems lack, and what differs between systems."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or limits memory: Linux")
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals or limits of POSIX systems")


def kill_session(process: subprocess.Popen[Any]) -> None:
    """Kill a process that leads a session, with its children; without them on Windows."""
    if os.name == "posix":
        os.killpg(process.pid, 9)
    else:
        process.kill()
