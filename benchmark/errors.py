"""The one exception that a user sees, and the words for a name that does not exist."""

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """A user's mistake, in one line: what, where, what is allowed, what to do."""


def unknown(kind: str, name: str, allowed: Iterable[str], where: str = "") -> BenchmarkError:
    """Error for a name that does not exist, with the nearest right word and what is allowed.

    Parameters
    ----------
    kind : str
        What was named: "model", "corpus", "key".
    name : str
        The name as the user wrote it.
    allowed : iterable of str
        The names that exist.
    where : str
        The file, and the place in it, that holds the name.
    """
    choices = list(allowed)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(choices) if choices else "none"
    prefix = f"{where}: " if where else ""
    return BenchmarkError(f"{prefix}unknown {kind} {name!r}.{hint} Allowed: {listed}.")
