"""``lazyrich diagnose``: is your own network lazy or rich, will it grok, when, and why."""

import sys
from typing import TYPE_CHECKING, Any

import click

from lazyrich.commands.threads_option import threads_option, use_threads
from lazyrich.support.arguments import escaped, one_of
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
    metavar="NAME",
    default="mse",
    show_default=True,
    help="mse, cross_entropy, or MODULE:FUNCTION for your own loss.",
)
@click.option(
    "--optimiser",
    metavar="NAME",
    help="SGD, Adam, another class of torch.optim, or MODULE:FUNCTION of the list of "
    "parameters. Default: SGD with --learning-rate, else gradient flow.",
)
@click.option("--learning-rate", type=float, help="Of the optimiser: times are given in steps.")
@click.option(
    "--momentum", type=float, default=0.0, show_default=True, help="Of the optimiser SGD."
)
@click.option(
    "--weight-decay",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight decay of the training that you plan, as in torch's SGD.",
)
@click.option(
    "--time",
    type=float,
    help="How long you plan to train, in learning rate x steps. "
    "Default: 100 times as long as the lazy twin needs to fit, and at least "
    "10/weight_decay.",
)
@click.option(
    "--budget",
    type=int,
    default=1500,
    show_default=True,
    help="Gradients that a pilot run may take. More decide what was not decided.",
)
@click.option("--no-pilots", is_flag=True, help="Run no copies at smaller scales.")
@click.option(
    "--run", "run_file", metavar="FILE.nc", help="A run of fit from these weights, to explain."
)
@click.option("--train", is_flag=True, help="Train a copy, and compare it with its lazy twin.")
@click.option(
    "--memory",
    type=int,
    default=2**31,
    show_default=True,
    help="Bytes for kernels. Where they need more, none is made (loss mse only).",
)
@click.option("--report", metavar="FILE.html", help="Write the answer as a page.")
@format_option("Print sentences and a table, or everything as JSON.")
@threads_option
@quiet_option
def command(
    network: str,
    data: str,
    loss: str,
    optimiser: str | None,
    learning_rate: float | None,
    momentum: float,
    weight_decay: float,
    time: float | None,
    budget: int,
    no_pilots: bool,
    run_file: str | None,
    train: bool,
    memory: int,
    report: str | None,
    form: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Say whether a torch module is lazy or rich, whether it will grok, when, and why.

    Use it before a long run, or to understand a run whose test loss fell late.
    The answer: a forecast (generalises at once, groks, memorises, or not fitted)
    with the times at which the losses fall and the delay between them, the
    reason, what to try, and how often such forecasts were right.

    FUNCTION in MODULE takes no arguments and returns the module at its initial
    weights; net:make is make in the file net.py of this folder. A class, or the
    module itself, will do. The network itself is not trained. Copies with a
    smaller output are (pilot runs), unless --no-pilots. Ctrl-C during these ends
    them: the answer is made from what was finished, and says what is missing.

    \b
    FILE.npz holds X, y, X_test and y_test, one sample a row:
      labels               y                        output     --loss
      numbers              floats (n, C) or (n,)    as y       mse
      class numbers        integers 0..C-1, (n,)    (n, C)     cross_entropy
      one-hot              (n, C), rows sum to 1    (n, C)     cross_entropy, mse
      anything             as your loss takes it    any        MODULE:FUNCTION
    mse is the mean of (f - y)^2 over samples and outputs. cross_entropy takes
    logits and does the softmax itself. MODULE:FUNCTION is a function of outputs
    and labels that returns their mean loss as a torch tensor, for example
    torch.nn.functional:smooth_l1_loss. torch's classes will do: torch.nn:L1Loss.

    With --optimiser or --learning-rate, times are also given in steps, and the
    answer says what the forecast is worth with that optimiser, and whether its
    rate is stable.

    Exit codes: 0 done; 2 bad input, with one line that says what and why; 130
    and 143 ended by Ctrl-C or SIGTERM.

    \b
    Examples:
      lazyrich diagnose net:make --data set.npz
      lazyrich diagnose net:make --data set.npz --report answer.html --train
      lazyrich diagnose net:make --data set.npz --loss cross_entropy
      lazyrich diagnose net:make --data set.npz --learning-rate 0.1 --momentum 0.9
      lazyrich diagnose net:make --data set.npz --optimiser Adam
    """
    from lazyrich.simulate import diagnose
    from lazyrich.simulate.modules.frozen import checked_model
    from lazyrich.support.output import answer, output_file

    page = output_file("--report", report, (".html",))
    arrays, function = _data(data), _loss(loss)
    rule = _optimiser(optimiser, learning_rate, momentum, weight_decay)
    run = None if run_file is None else _run(run_file)
    model = _model(network)
    checked_model(model)
    weights = sum(one.numel() for one in model.parameters())
    use_threads(threads, weights * len(arrays.X))
    with progress_bar("diagnosing", quiet) as progress:
        found = diagnose(
            model,
            arrays,
            loss=function,
            weight_decay=weight_decay,
            optimiser=rule,
            time=time,
            with_pilots=not no_pilots,
            run=run,
            train=train,
            budget=budget,
            memory=memory,
            progress=progress,
        )
    text = found.json() if form == "json" else str(found)
    answer(text, (page, found.html))
    if (ended := found.interruption.by) is not None:
        sys.stdout.flush()
        raise ended


def _model(network: str) -> "nn.Module":
    """Return what the function makes, or the module named. Raises ``ValueError`` otherwise."""
    from torch import nn

    from lazyrich.support.user_code import function_of, made_by

    if isinstance(named := function_of("MODULE:FUNCTION", network), nn.Module):
        return named
    made = made_by("MODULE:FUNCTION", network)
    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        raise ValueError(
            f"MODULE:FUNCTION = {escaped(network)}: gives {kind}: must give a torch.nn.Module"
        )
    return made


def _loss(name: str) -> Any:
    """Return the function that MODULE:FUNCTION names, other names as they are."""
    if ":" not in name:
        return one_of("--loss", name, (*LOSSES, "MODULE:FUNCTION"))
    from lazyrich.support.user_code import function_of

    return function_of("--loss", name)


def _optimiser(
    name: str | None, learning_rate: float | None, momentum: float, weight_decay: float
) -> Any:
    """Return the optimiser that the options describe, None where they don't."""
    if name is None and learning_rate is None and not momentum:
        return None
    if name is None or ":" not in name:
        from lazyrich.simulate.modules.optimisers import optimiser_named

        return optimiser_named(name or "SGD", learning_rate, momentum, weight_decay)
    from lazyrich.support.user_code import function_of

    for option, value in (("--learning-rate", learning_rate), ("--momentum", momentum)):
        if value:
            raise ValueError(
                f"{option} {value:g}: must be left out, as {escaped(name)} has its own"
            )
    return function_of("--optimiser", name)


def _run(file: str) -> Any:
    from lazyrich.simulate import Run, load

    found = load(file)
    if not isinstance(found, Run):
        raise ValueError(
            f"--run {escaped(file)}: must be the run of fit or fit_flow, written by run.save"
        )
    return found


def _data(file: str) -> "Data":
    """Return the data in the file. Raises ``ValueError`` in one line for anything else."""
    from lazyrich.simulate import Data
    from lazyrich.support.arrays_file import read_arrays

    arrays = read_arrays("--data", file, ARRAYS, ARRAYS)
    try:
        return Data(*(arrays[name] for name in ARRAYS))
    except ValueError as error:
        raise ValueError(f"--data {escaped(file)}: {error}") from None
