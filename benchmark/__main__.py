"""``python -m benchmark``."""

import io
import sys
import threading
from _thread import interrupt_main

from benchmark.engine.processes import prepare_libraries


def main() -> None:
    """Run the command line; numerical libraries, imported later, use one thread each."""
    prepare_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not have all characters
            stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = interrupt_again
    try:
        from benchmark.cli import app
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: {sys.executable} has no package {error.name}, which this program needs. "
            "Activate the environment in which it is installed, or install it there: pip install "
            ".\n"
        )
        sys.exit(2)
    app()


def interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that Python ignored, for example in a weak reference's callback."""
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Timer(0.05, interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main()
