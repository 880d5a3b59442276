"""``lazyrich diagnose``: is your own network lazy or rich, will it grok, when, and why."""

import difflib
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from lazyrich.support.format_option import format_option
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from torch import nn

    from lazyrich.simulate import Data

LOSSES = ("mse", "cross_entropy")
ARRAYS = ("X", "y", "X_test", "y_test")


@click.command("diagnose", short_help="Say whether your own network will grok, when, and why.")
@click.argument("network", metavar="MODULE:FUNCTION")
@click.option("--data", required=True, metavar="FILE.npz", help="X, y, X_test and y_test.")
@click.option(
    "--loss",
    type=click.Choice(LOSSES),
    default="mse",
    show_default=True,
    help="Mean square error, or cross entropy of class numbers or one-hot labels.",
)
@click.option(
    "--weight-decay",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight decay, as in torch's SGD.",
)
@click.option("--time", type=float, help="Learning rate x steps that you mean to train.")
@click.option("--no-pilots", is_flag=True, help="Run no copies at smaller scales.")
@click.option("--train", is_flag=True, help="Train a copy, and compare it with its lazy twin.")
@click.option("--report", metavar="FILE.html", help="Write the answer as a page.")
@format_option("Print sentences and a table, or everything as JSON.")
@quiet_option
def command(
    network: str,
    data: str,
    loss: str,
    weight_decay: float,
    time: float | None,
    no_pilots: bool,
    train: bool,
    report: str | None,
    form: str,
    quiet: bool,
) -> None:
    """Say whether a torch module is lazy or rich, whether it will grok, when, and why.

    Use it before a long run, or to understand a run whose test loss fell late.

    FUNCTION in MODULE (a file net.py in this folder is the module net) takes no arguments and
    returns the module at its initial weights. The data file holds X, y, X_test and y_test. The
    network is not trained; copies of it with a smaller output are, unless --no-pilots.

    \b
    Examples:
      lazyrich diagnose net:make --data set.npz
      lazyrich diagnose net:make --data set.npz --loss cross_entropy --train --report answer.html
    """
    from lazyrich.simulate import diagnose
    from lazyrich.support.output import output_file

    page = output_file("--report", report, (".html",))
    arrays = _data(data)
    model = _model(network)
    with progress_bar("diagnosing", quiet) as progress:
        found = diagnose(
            model,
            arrays,
            loss=loss,
            weight_decay=weight_decay,
            time=time,
            with_pilots=not no_pilots,
            train=train,
            progress=progress,
        )
    if page is not None:
        found.html(page)
    click.echo(found.json() if form == "json" else str(found))


def _model(network: str) -> "nn.Module":
    """Return what the function makes. Raises ``ValueError`` in one line for anything else."""
    from torch import nn

    module, colon, function = network.partition(":")
    module = module.removesuffix(".py")
    if not (module and colon and function):
        raise ValueError(
            f"MODULE:FUNCTION = {network}: must be a module, a colon, a function: net:make"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = _imported(network, module)
        if not hasattr(found, function):
            near = difflib.get_close_matches(function, [n for n in dir(found) if n[0] != "_"], 1)
            hint = f": did you mean {module}:{near[0]}?" if near else ""
            raise ValueError(
                f"MODULE:FUNCTION = {network}: {module} has no function {function}{hint}"
            )
        made = _called(network, getattr(found, function))
    finally:
        sys.path.pop(0)
    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        raise ValueError(f"MODULE:FUNCTION = {network}: gives {kind}: must give a torch.nn.Module")
    return made


def _imported(network: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _of_the_user(network, error) from error  # one that the module imports
        here = [path.stem for path in Path.cwd().glob("*.py")]
        near = difflib.get_close_matches(module, here, 1, cutoff=0)
        hint = f": the nearest file is {near[0]}.py" if near else ": it holds no .py file"
        raise ValueError(
            f"MODULE:FUNCTION = {network}: no module {module} on the path or in the current folder"
            f"{hint}"
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise _of_the_user(network, error) from error


def _called(network: str, make: Any) -> Any:
    try:
        return make()
    except Exception as error:  # the user's code may raise anything
        raise _of_the_user(network, error) from error


def _of_the_user(network: str, error: Exception) -> ValueError:
    """Return the error of the user's code as one line, with the place in the user's file."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).parent == Path.cwd()]
    where = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return ValueError(f"MODULE:FUNCTION = {network}: {line}{where}")


def _data(file: str) -> "Data":
    """Return the data in the file. Raises ``ValueError`` in one line for anything else."""
    from lazyrich.simulate import Data
    from lazyrich.support.arrays_file import read_arrays

    arrays = read_arrays("--data", file, ARRAYS, ARRAYS)
    try:
        return Data(*(arrays[name] for name in ARRAYS))
    except ValueError as error:
        raise ValueError(f"--data {file}: {error}") from None
