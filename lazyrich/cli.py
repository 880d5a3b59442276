"""The command ``lazyrich``: one subcommand a file, loaded when it is called.

Exit codes of every subcommand: 0 success; 1 a claim of the record or a check of a figure failed;
2 bad usage, an input that can't be run or a file that can't be written, with one line on stderr
that names the argument, its value and what is allowed; 70 a fault of lazyrich itself, with one
line (and a traceback where the environment variable LAZYRICH_TRACEBACK is set); 129, 130 or 143
ended by SIGHUP, by Ctrl-C or by SIGTERM.
"""

import errno
import gc
import importlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lazyrich.support.arguments import escaped
from lazyrich.support.interruption import Ended, signals

# Each name NAME is the command ``command`` in lazyrich/commands/NAME.py.
COMMANDS = (
    "derive",
    "check",
    "simulate",
    "explore",
    "sweep",
    "predict",
    "diagnose",
    "verify",
    "figures",
)


RARELY = 50_000  # new objects between two collections of garbage; Python's default is 700


class _Integer(click.types.IntParamType):
    """A whole number in the digits 0 to 9: Python reads those of every script."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(_in_ascii(self, value, param, ctx), param, ctx)


class _Float(click.types.FloatParamType):
    """A number in the digits 0 to 9."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(_in_ascii(self, value, param, ctx), param, ctx)


def _in_ascii(kind: click.ParamType, value: Any, param: Any, ctx: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        kind.fail(f"{value!r} is not a valid {kind.name}.", param, ctx)
    return value


_IN_ASCII: dict[click.ParamType, click.ParamType] = {click.INT: _Integer(), click.FLOAT: _Float()}


class _Group(click.Group):
    """A group that imports a subcommand only when it is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            import difflib  # here, as no right command needs it

            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"no command {cmd_name!r}: {hint}The commands are {', '.join(COMMANDS)}"
            )
        found = importlib.import_module(f"lazyrich.commands.{cmd_name}").command
        for parameter in found.params:
            parameter.type = _IN_ASCII.get(parameter.type, parameter.type)
        return found


@click.group(cls=_Group)
@click.version_option(package_name="lazyrich")
def command() -> None:
    """The theory of grokking as the transition from lazy to rich training.

    Derive its closed forms, train its networks, predict whether and when they grok, and check the
    claims and figures of the papers. lazyrich COMMAND --help explains a command, with examples.

    \b
    Examples:
      lazyrich derive test-loss --steps
      lazyrich predict --D 30 --P 180 --alpha 2 --epsilon 0.05
    """


def _say(message: str) -> None:
    print("lazyrich:", escaped(" ".join(message.split())), file=sys.stderr)


def _stop(message: str, code: int) -> None:
    _say(message)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(f"warning: {message}")


def _unknown_option(error: click.NoSuchOption) -> str:
    from lazyrich.support.arguments import one_of

    assert error.ctx is not None
    options = [p.opts[-1] for p in error.ctx.command.get_params(error.ctx) if p.opts[-1][0] == "-"]
    try:
        return one_of("option", error.option_name, options)
    except ValueError as message:
        hint = ". Put -- before a value that starts with a minus sign"
        return f"{message}{'' if error.option_name.startswith('--') else hint}"


def _no_stdout() -> None:
    """Send what is still to be printed nowhere: the reader or the disk is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare() -> None:
    """Let no character, no closed stderr and no notebook's backend of matplotlib raise."""
    os.environ["MPLBACKEND"] = "agg"  # the commands draw to files
    for name, rights in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: lazyrich >&-, to which no answer can be printed
            setattr(sys, name, open(os.open(os.devnull, rights), "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8


@contextmanager
def _one_line_each() -> Iterator[None]:
    """Within this, a warning is one line on stderr; the log is for Python, commands show bars."""
    log = logging.getLogger("lazyrich")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Within this, Python looks for unreachable cycles rarely: modules and formulas have few."""
    before = gc.get_threshold()
    gc.set_threshold(RARELY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: ``sys.argv``) and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare()
    try:
        with signals(), _one_line_each(), _rare_collections():
            # Not standalone: click would print three lines of usage before each error.
            command.main(arguments or ["--help"], prog_name="lazyrich", standalone_mode=False)
            sys.stdout.flush()
    except click.NoSuchOption as error:
        _stop(_unknown_option(error), 2)
    except click.ClickException as error:
        _stop(error.format_message(), error.exit_code)
    except BrokenPipeError:
        _no_stdout()  # the reader has left (lazyrich derive | head): end quietly
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        _stop("interrupted", 130)
    except Ended as end:
        _stop(f"ended by {signal.Signals(end.number).name}", 128 + end.number)
    except Exception as error:
        _stop(*in_one_line(error))


def in_one_line(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, OSError):
        if error.errno and error.filename is None:  # of no file that lazyrich opened
            _no_stdout()
            closed = error.errno == errno.EBADF
            reason = "is closed" if closed else f"can't be written: {os.strerror(error.errno)}"
            return f"standard output: {reason}", 2
        return str(error), 2
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # of torch
        return f"not enough memory: {error or 'the numbers given are too large'}", 2
    out_of_range = isinstance(error, OverflowError | ZeroDivisionError) or (
        "LinAlgError" in str(type(error)) or str(error).startswith("math ")  # of the module math
    )
    if out_of_range:
        return f"a number left the range of floating point: take less extreme ones ({error})", 2
    if isinstance(error, ValueError | ArithmeticError):
        return str(error), 2
    if os.environ.get("LAZYRICH_TRACEBACK"):
        raise error
    what = f"{type(error).__name__}: {error}"
    advice = "set LAZYRICH_TRACEBACK=1 to see where, and please report it"
    return f"a fault of lazyrich: {what} ({advice})", 70
