"""``python -m lazyrich``, and the command ``lazyrich``: the command line as a process."""

import sys

# The exit codes of a command that Ctrl-C, SIGTERM or SIGHUP has ended.
_INTERRUPTED = (129, 130, 143)


def main() -> None:
    """Run the command line on ``sys.argv``. Ctrl-C gives no traceback, however early it comes."""
    try:
        from lazyrich.cli import main as run

        run()
    except KeyboardInterrupt:  # while Python still loads the command line
        print("lazyrich: interrupted", file=sys.stderr)
        sys.exit(130)
    except SystemExit as end:
        if end.code in _INTERRUPTED:
            _end_at_once(end.code)
        raise
    finally:
        # What is left is Python's own end, in which it would print a traceback.
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_at_once(code: int) -> None:
    """End the process, with what is to be done at its end but without taking modules down.

    Python takes a second over that where torch and SymPy are loaded, and who interrupts waits.
    """
    import atexit
    import os
    from contextlib import suppress

    with suppress(Exception, KeyboardInterrupt):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception, KeyboardInterrupt):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
