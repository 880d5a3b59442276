"""The command ``lazyrich``: one subcommand a file, loaded when it is called.

Exit codes, for every subcommand: 0 success; 1 a claim or a check that failed, or a run that
diverged; 2 bad usage, with one line on stderr that names the argument, its value and what is
allowed; 130 after Ctrl-C.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

# Each name NAME is the command ``command`` in lazyrich/commands/NAME.py.
COMMANDS = ("derive", "simulate", "sweep", "predict", "verify", "figures")


class _Group(click.Group):
    """A group that imports a subcommand only when it is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
        from lazyrich.support.arguments import one_of

        name = one_of("command", cmd_name, COMMANDS)
        return importlib.import_module(f"lazyrich.commands.{name}").command


@click.group(cls=_Group)
@click.version_option(package_name="lazyrich")
def command() -> None:
    """Derive, simulate and verify the theory of grokking as the transition from lazy to rich
    training (Kumar et al., 2024).

    \b
    Example:
      lazyrich derive test-loss --steps
    """


def _say(message: str) -> None:
    print("lazyrich:", " ".join(message.split()), file=sys.stderr)


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
        return str(message)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: ``sys.argv``) and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            # Not standalone: click would print three lines of usage before each error.
            command.main(arguments or ["--help"], prog_name="lazyrich", standalone_mode=False)
        sys.stdout.flush()
    except click.NoSuchOption as error:
        _stop(_unknown_option(error), 2)
    except click.ClickException as error:
        _stop(error.format_message(), error.exit_code)
    except ValueError as error:
        _stop(str(error), 2)
    except BrokenPipeError:
        # The reader has gone (``lazyrich derive | head``); keep the exit quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _stop(str(error), 2)
    except (click.Abort, KeyboardInterrupt):
        _stop("interrupted", 130)
