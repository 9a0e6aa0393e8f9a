"""``python -m benchmark``."""

import sys
import threading
from _thread import interrupt_main

from benchmark.engine.processes import limit_threads


def main() -> None:
    """Run the command line; numerical libraries, imported later, see one thread each."""
    limit_threads()
    sys.unraisablehook = interrupt_again
    from benchmark.cli import app

    app()


def interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Let Ctrl-C come once more where Python swallows it, as in a weak reference's callback."""
    if ignored.exc_type is KeyboardInterrupt:
        threading.Timer(0.05, interrupt_main).start()
    else:
        sys.__unraisablehook__(ignored)


if __name__ == "__main__":
    main()
