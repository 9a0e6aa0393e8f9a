"""``python -m benchmark``."""

from benchmark.workers import limit_threads


def main() -> None:
    """Run the command line; numerical libraries, imported later, see one thread each."""
    limit_threads()
    from benchmark.cli import app

    app()


if __name__ == "__main__":
    main()
