"""Terminal output of a command: messages, progress bars with the time left, and tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich import console as terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from benchmark.errors import escape_control

PROGRESS_INTERVAL_S = 15.0  # between progress lines if there is no terminal for bars
SHORT = 12  # characters of a cell, a word or a number, that is never wrapped


class Bar:
    """One progress bar: completed and total steps, and a note."""

    def __init__(self, console: Console, progress: Progress, title: str, total: int) -> None:
        self._console = console
        self._progress = progress
        self._title = escape_control(title)
        self._id = progress.add_task(self._title, total=total, note="")
        self._last_line = time.monotonic()

    def update(self, completed: int, total: int, note: str = "") -> None:
        """Show the number of completed steps; without a terminal, print a line now and then."""
        self._progress.update(self._id, completed=completed, total=total, note=note)
        now = time.monotonic()
        due = completed == total or now - self._last_line > PROGRESS_INTERVAL_S
        if due and not self._console.interactive:
            self._last_line = now
            suffix = f", {note}" if note else ""
            self._console.info(f"{self._title}: {completed} of {total}{suffix}")


@dataclass(frozen=True)
class Bars:
    """Progress bars that are shown together."""

    console: Console
    progress: Progress

    def add(self, title: str, total: int) -> Bar:
        """Add a bar below the others."""
        return Bar(self.console, self.progress, title, total)


class Console:
    """Output of a command: results on standard output, messages on standard error.

    A quiet one prints nothing. `output` is rich's console of standard output.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.output = terminal.Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._messages = terminal.Console(stderr=True, quiet=quiet, highlight=False)

    @property
    def interactive(self) -> bool:
        """Whether messages go to a terminal, which can draw progress bars."""
        return self._messages.is_terminal

    def print(self, text: str) -> None:
        """Print one line of results to standard output."""
        self.output.print(escape_control(text), markup=False, soft_wrap=True)

    def item(self, mark: str, style: str, text: str) -> None:
        """Print a line of results that begins with a mark in some style."""
        line = Text.assemble((f"{mark:6} ", style), escape_control(text))
        self.output.print(line, soft_wrap=True)

    def info(self, text: str, style: str | None = None) -> None:
        """Print one line to standard error."""
        self._messages.print(escape_control(text), style=style, markup=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        """Print one line in yellow to standard error."""
        self.info(text, "yellow")

    def error(self, text: str) -> None:
        """Print one line that starts with ``error:`` in red to standard error."""
        self.info(f"error: {text}", "bold red")

    @contextmanager
    def bars(self, *, timed: bool = True) -> Iterator[Bars]:
        """Show progress bars until the block ends.

        Each estimates its time left from its own speed, unless they advance in turns (not timed).
        """
        clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()) if timed else ()
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *clock,
            TextColumn("{task.fields[note]}", markup=False),
            console=self._messages,
            disable=not self.interactive,
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
        """Print a table to standard output.

        `words`: the columns after the first hold words, aligned left, rather than numbers. Columns
        of short cells never wrap.
        """
        table = Table(
            title=Text(escape_control(title)),
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        cells = [tuple(row) for row in rows]
        for index, column in enumerate(columns):
            left = words or index == 0
            whole = index == 0 or all(len(row[index]) <= SHORT for row in (columns, *cells))
            table.add_column(
                Text(escape_control(column)),
                justify="left" if left else "right",
                no_wrap=whole,
                overflow="fold",
            )
        for row in cells:
            table.add_row(*(Text(escape_control(cell)) for cell in row))
        self.output.print(table)
