"""What a user sees of a mistake: the exception, unknown names, and text safe for a terminal."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal would execute or could not show, and those that turn the direction of
what follows; file names may contain them."""


class BenchmarkError(Exception):
    """A user's mistake, in one line: what, where, what is allowed, what to do."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error of the system into a `BenchmarkError`; also a decorator.

    It stands at each way in: the command line and the public API. Other libraries have one module
    each that calls them and tells what is wrong.
    """
    try:
        yield
    except BrokenPipeError:  # whoever read the output has gone
        raise
    except OSError as error:
        raise BenchmarkError(_of_system(error)) from error
    except MemoryError as error:
        raise BenchmarkError(
            "out of memory. Finished work is saved: run the same command again with fewer "
            "--workers, or with more memory."
        ) from error


def _of_system(error: OSError) -> str:
    """Return what the system refused, where, and what to do."""
    file = Path(str(error.filename or ""))
    reason = error.strerror or str(error) or type(error).__name__
    if not file.name:
        return f"{reason}. Finished work is saved; run the same command again."
    # A temporary file's name says nothing to the user; its folder does.
    place = file.parent if file.name.startswith(".") else file
    return (
        f"{place}: {reason}. Finished work is saved. Free disk space, check the rights and move "
        "away what is in its place, or use another folder; then run the same command again."
    )


def shortened(text: str, longest: int = 100) -> str:
    """Return a text that a message quotes, cut if it is very long.

    >>> shortened("9" * 5000, 4)
    '9999…'
    """
    return text if len(text) <= longest else f"{text[:longest]}…"


LONGEST_NAME = 100
"""Bytes of a name that files and folders are called after; most systems allow 255 for all of it."""


def name_problem(name: str) -> str:
    """Return why files can't be called after a name; empty if they can."""
    size = len(name.encode(errors="surrogateescape"))
    if size <= LONGEST_NAME:
        return ""
    return (
        f"the name {shortened(name, 20)!r} has {size} bytes, and files are called after it; at "
        f"most {LONGEST_NAME} are allowed. Choose a shorter one"
    )


def mistakes(where: str, problems: Sequence[str]) -> BenchmarkError:
    """Return the error for the mistakes of one file: a single line, or a line for each.

    Examples
    --------
    >>> print(mistakes("study.toml", ["the key 'features' is missing."]))
    study.toml: the key 'features' is missing.
    """
    if len(problems) == 1:
        return BenchmarkError(f"{where}: {problems[0]}")
    lines = "".join(f"\n  {problem}" for problem in problems)
    return BenchmarkError(f"{where}: {len(problems)} mistakes.{lines}")


def nearest(
    name: str, allowed: Iterable[str], renamed: Mapping[str, str] | None = None
) -> str | None:
    """Return the allowed name that a wrong one stands for; None if none is like it."""
    if renamed and name in renamed:
        return renamed[name]
    alike = [one for one in allowed if _bare(one) == _bare(name)]
    if alike:
        return alike[0]
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)), None)


def _bare(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[\W_]", "", name.casefold())


MOST_LISTED = 20
"""Of more names, an error that suggests one does not list all."""


def unknown(
    kind: str,
    name: str,
    allowed: Iterable[str],
    where: str = "",
    renamed: Mapping[str, str] | None = None,
) -> BenchmarkError:
    """Return the error for a name that does not exist, with the nearest name that does.

    Parameters
    ----------
    kind : str
        What the name stands for: "model", "corpus", "key".
    name : str
        The name as the user wrote it.
    allowed : iterable of str
        The names that exist.
    where : str
        The file, and the place in it, that holds the name.
    renamed : mapping of str to str, or None
        New names by the names that earlier versions used.

    Examples
    --------
    >>> print(unknown("model", "svn", ["mlp", "svc"], "study.toml: [models]"))
    study.toml: [models]: unknown model 'svn'. Did you mean 'svc'? Allowed: mlp, svc.
    """
    choices = list(allowed)
    near = nearest(name, choices, renamed) if len(name) <= LONGEST_NAME else None
    hint = f" Did you mean {near!r}?" if near else ""
    if renamed and name in renamed:
        hint = f" It is now called {near!r}."
    listed = f" Allowed: {', '.join(choices) if choices else 'none'}."
    if near and len(choices) > MOST_LISTED:
        listed = ""
    prefix = f"{where}: " if where else ""
    return BenchmarkError(f"{prefix}unknown {kind} {shortened(name)!r}.{hint}{listed}")


def escape_control(text: str) -> str:
    r"""Return the text with control characters written as escapes.

    >>> escape_control("call\x1b[31m.wav")
    'call\\x1b[31m.wav'
    """
    return CONTROL_CHARACTERS.sub(lambda match: ascii(match[0])[1:-1], text)
