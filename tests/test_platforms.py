"""Every module can be imported on a system that has only what Windows, macOS and Linux share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, os, pathlib, signal, socket, sys

MODULES = "fcntl grp pty pwd readline resource syslog termios tty".split()
NAMES = {
    os: "chroot confstr fork forkpty geteuid getegid getgid getgroups getloadavg getpgid getpgrp "
    "getuid killpg mkfifo nice posix_fallocate posix_spawn pread pwrite sched_getaffinity "
    "sched_setaffinity setpgid setsid setuid statvfs sysconf uname wait3 wait4 waitid WNOHANG",
    signal: "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 "
    "SIGXCPU SIGXFSZ alarm pthread_kill pthread_sigmask setitimer sigwait",
    socket: "AF_UNIX CMSG_LEN",
}
OURS = ("benchmark", "tests")


def import_all():
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as missing:  # a library of an extra
            assert missing.name.partition(".")[0] not in (*OURS, *MODULES), missing
        except BaseException as skipped:  # a test file that skips itself
            assert type(skipped).__name__ == "Skipped", skipped


def deny(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(arguments[0])


import_all()  # the libraries know the system; our modules are imported again, without it
for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
    del sys.modules[name]
for name in MODULES:
    sys.modules[name] = None
for module, names in NAMES.items():
    for name in names.split():
        vars(module).pop(name, None)
sys.addaudithook(deny)
import_all()
print(sum(name.partition(".")[0] in OURS for name in sys.modules))
"""


def test_every_module_is_imported_without_what_other_systems_lack(
    request: pytest.FixtureRequest,
) -> None:
    apart = set(request.config.getini("norecursedirs"))  # tests for Linux alone
    files = [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]
    names = sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in files
        if file.stem not in {"__init__", "__main__"} and not apart & set(file.parts)
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(names) // 2
