"""The exception that a user sees, and the message for a name that does not exist."""

import difflib
from collections.abc import Iterable, Mapping


class BenchmarkError(Exception):
    """A user's mistake, in one line: what, where, what is allowed, what to do."""


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
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if renamed and name in renamed:
        hint = f" It is now called {renamed[name]!r}."
    listed = ", ".join(choices) if choices else "none"
    prefix = f"{where}: " if where else ""
    return BenchmarkError(f"{prefix}unknown {kind} {name!r}.{hint} Allowed: {listed}.")
