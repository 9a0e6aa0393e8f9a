"""What a person sees while a command works: lines, progress bars with time left, and a table."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import console as terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

QUIET_S = 15.0  # seconds between progress lines where there is no terminal to draw bars on

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal would obey or could not show; names of files may hold it."""


def legible(text: str) -> str:
    """Return a text in which signs that command a terminal are seen as their escapes."""
    return COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


class Bar:
    """One line of progress: so many of so many, and a word on how it goes."""

    def __init__(self, console: Console, progress: Progress, title: str, total: int) -> None:
        self._console = console
        self._progress = progress
        self._title = legible(title)
        self._id: TaskID = progress.add_task(self._title, total=total, note="")
        self._spoken = time.monotonic()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        self._progress.update(self._id, completed=done, total=total, note=note)
        now = time.monotonic()
        if not self._console.drawn and (done == total or now - self._spoken > QUIET_S):
            self._spoken = now
            self._console.say(f"{self._title}: {done} of {total}{', ' + note if note else ''}")


class Console:
    """Where a command speaks; `Console(quiet=True)` says nothing.

    Results go to standard output, progress and remarks to standard error, so that a pipe gets the
    results alone.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.remarks = terminal.Console(stderr=True, quiet=quiet, highlight=False)
        self.output = terminal.Console(quiet=quiet, highlight=False, soft_wrap=True)

    @property
    def drawn(self) -> bool:
        """Whether bars are drawn: in a terminal."""
        return self.remarks.is_terminal

    def say(self, text: str, style: str = "") -> None:
        """Say one line."""
        self.remarks.print(legible(text), style=style or None, markup=False, soft_wrap=True)

    @contextmanager
    def bars(self, *, timed: bool = True) -> Iterator[Bars]:
        """Show progress bars until the block ends.

        Parameters
        ----------
        timed : bool
            Whether each bar shows its time left by its own pace; not where bars take turns.
        """
        clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()) if timed else ()
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *clock,
            TextColumn("{task.fields[note]}", markup=False),
            console=self.remarks,
            disable=not self.drawn,
        )
        with progress:
            yield Bars(self, progress)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        words: bool = False,
    ) -> None:
        """Print a table to standard output; the columns after the first hold numbers or `words`."""
        table = Table(title=Text(legible(title)), title_justify="left", title_style="bold")
        for place, column in enumerate(columns):
            left = words or not place
            table.add_column(
                column, justify="left" if left else "right", no_wrap=not place, overflow="fold"
            )
        for row in rows:
            table.add_row(*(Text(legible(cell)) for cell in row))
        self.output.print(table)


class Bars:
    """Progress bars that are shown together."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress

    def add(self, title: str, total: int) -> Bar:
        """Add a bar below the others."""
        return Bar(self._console, self._progress, title, total)
