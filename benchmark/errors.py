"""What a user sees of a mistake: the exception, unknown names, and text safe for a terminal."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal would execute or could not show, and those that turn the direction of
what follows; file names may contain them."""


class BenchmarkError(Exception):
    """A user's mistake, in one line: what, where, what is allowed, what to do."""


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
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)), None)


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
    near = nearest(name, choices, renamed)
    hint = f" Did you mean {near!r}?" if near else ""
    if renamed and name in renamed:
        hint = f" It is now called {near!r}."
    listed = ", ".join(choices) if choices else "none"
    prefix = f"{where}: " if where else ""
    return BenchmarkError(f"{prefix}unknown {kind} {name!r}.{hint} Allowed: {listed}.")


def escape_control(text: str) -> str:
    r"""Return the text with control characters written as escapes.

    >>> escape_control("call\x1b[31m.wav")
    'call\\x1b[31m.wav'
    """
    return CONTROL_CHARACTERS.sub(lambda match: ascii(match[0])[1:-1], text)
