"""``python -m lazyrich``, and the command ``lazyrich``: the command line as a process."""

import sys


def main() -> None:
    """Run the command line on ``sys.argv``. Ctrl-C gives no traceback, however early it comes."""
    try:
        from lazyrich.cli import main as run

        run()
    except KeyboardInterrupt:  # while Python still loads the command line
        print("lazyrich: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # What is left is Python's own end, in which it would print a traceback.
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
