"""A clock that jumps, for one process and its children; the machine's own is not touched.

The C library is asked for the time of day through a few lines of C that add an offset, kept in
a file. A monotonic clock goes on as it did, as it does when a machine's clock is set.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

DAY_S = 86_400
JUMPS_S = (DAY_S, -DAY_S, -3650 * DAY_S, 0)

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long long *offset;

static long long shift(void) {
    if (!offset) {
        int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
        offset = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    }
    return *offset;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, now);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) now->tv_sec += shift();
    return answer;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    int answer = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}

/* Its deadline is a time of day, which the kernel compares with its own. */
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec known = *until;
    known.tv_sec -= shift();
    return real(semaphore, &known);
}
"""


class Clock:
    """A clock that can be set, for those that run in its environment."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler")
        self.file = folder / "offset"
        self.set(0)
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(SHIM)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self.file)}

    def set(self, ahead_s: int) -> None:
        """Let the clock be ahead of the machine's by so many seconds from now on."""
        with self.file.open("r+b" if self.file.exists() else "w+b") as file:
            file.write(ahead_s.to_bytes(8, "little", signed=True))

    def jump(self, process: subprocess.Popen[str], every_s: float, seed: int) -> int:
        """Jump at random moments until a process ends; return how many times."""
        moments = random.Random(seed)
        jumps = 0
        while process.poll() is None:
            time.sleep(moments.uniform(0.2, 2.0) * every_s)
            self.set(JUMPS_S[jumps % len(JUMPS_S)])
            jumps += 1
        return jumps
