"""Terminal output of a command: messages, progress bars with the time left, and tables."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from rich import box
from rich import console as terminal
from rich.measure import Measurement
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


class Messages(Enum):
    """Which messages a command prints: warnings only, also what it does, or every step."""

    WARNINGS = "quiet"
    NORMAL = "normal"
    ALL = "verbose"


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

    def __init__(self, *, quiet: bool = False, messages: Messages = Messages.NORMAL) -> None:
        self.messages = messages
        self._began = time.monotonic()
        self.output = terminal.Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._messages = terminal.Console(stderr=True, quiet=quiet, highlight=False)

    @property
    def interactive(self) -> bool:
        """Whether messages go to a terminal, which can draw progress bars.

        Colours may be forced upon a log (FORCE_COLOR); bars are not.
        """
        return self._messages.is_interactive and sys.stderr.isatty()

    def print(self, text: str) -> None:
        """Print one line of results to standard output."""
        self.output.print(escape_control(text), markup=False, soft_wrap=True)

    def json(self, record: object) -> None:
        """Print plain data as one line of JSON to standard output."""
        self.print(json.dumps(record, ensure_ascii=False))

    def item(self, mark: str, style: str, text: str) -> None:
        """Print a line of results that begins with a mark in some style."""
        line = Text.assemble((f"{mark:6} ", style), escape_control(text))
        self.output.print(line, soft_wrap=True)

    def info(self, text: str, style: str | None = None) -> None:
        """Print one line to standard error, unless only warnings are wanted."""
        if self.messages is not Messages.WARNINGS:
            self._message(text, style)

    def step(self, text: str) -> None:
        """Print one line with the seconds since the start, if every step is wanted."""
        if self.messages is Messages.ALL:
            self._message(f"{time.monotonic() - self._began:7.1f} s  {text}", "dim")

    def warning(self, text: str) -> None:
        """Print one line in yellow to standard error."""
        self._message(text, "yellow")

    def error(self, text: str) -> None:
        """Print one line that starts with ``error:`` in red to standard error."""
        self._message(f"error: {text}", "bold red")

    def origin(self, error: Exception) -> None:
        """Print the traceback of an error to standard error, if every step is wanted."""
        if self.messages is Messages.ALL:
            self._message("".join(traceback.format_exception(error)).rstrip(), "dim")

    def _message(self, text: str, style: str | None) -> None:
        self._messages.print(escape_control(text), style=style, markup=False, soft_wrap=True)

    @contextmanager
    def bars(self, *, timed: bool = True) -> Iterator[Bars]:
        """Show progress bars until the block ends; they leave nothing behind.

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
            disable=not self.interactive or self.messages is Messages.WARNINGS,
            transient=True,
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
        self.output.print(_table(title, columns, list(map(tuple, rows)), words=words))

    def fits(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
        """Return whether a table of numbers has the room that it needs without wrapping words."""
        table = _table("", columns, list(map(tuple, rows)), words=False)
        options = self.output.options.update(width=1000)
        return Measurement.get(self.output, options, table).maximum <= self.output.width


def _table(
    title: str, columns: Sequence[str], cells: Sequence[tuple[str, ...]], *, words: bool
) -> Table:
    """Return a table of rich's; see `Console.table`."""
    table = Table(
        title=Text(escape_control(title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for index, column in enumerate(columns):
        left = words or index == 0
        texts = [line for row in (columns, *cells) for line in row[index].splitlines()]
        whole = all(len(text) <= SHORT or (index == 0 and " " not in text) for text in texts)
        table.add_column(
            Text(escape_control(column)),
            justify="left" if left else "right",
            no_wrap=whole,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(escape_control(cell)) for cell in row))
    return table
