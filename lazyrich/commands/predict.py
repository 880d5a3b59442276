"""``lazyrich predict``: whether and when a network groks, before any training."""

import math
from typing import TYPE_CHECKING, Any

import click

from lazyrich.commands.points import constants as read_constants
from lazyrich.commands.points import constants_option
from lazyrich.commands.threads_option import threads_option, use_threads
from lazyrich.commands.typed import constants_as_typed
from lazyrich.commands.width_option import read_width
from lazyrich.support.format_option import format_option
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.theory.problem.lazy_prediction import LazyPrediction

# What is left out without --alpha, where only lazy training is predicted.
_OF_TRAINING = (
    "epsilon",
    "learning_rate",
    "width",
    "steps",
    "centred",
    "sigma",
    "momentum",
    "weight_decay",
    "decoupled_weight_decay",
)


@click.command("predict", short_help="Predict whether and when a network will grok.")
@click.option("--D", "dimension", type=int, help="Dimension of the inputs.")
@click.option("--P", "samples", type=int, help="Number of training samples.")
@click.option(
    "--data",
    metavar="FILE.npz",
    help="A data set: X, and y or beta; X_test and y_test if there is a test set.",
)
@click.option("--alpha", type=float, help="Scale of the output; larger is lazier.")
@click.option("--epsilon", type=float, help="Curvature of the activation.")
@click.option("--width", callback=read_width, help="Number N of neurons, or inf.  [default: 500]")
@click.option("--steps", type=int, help="Steps of gradient descent.  [default: 100000]")
@click.option("--learning-rate", type=float, help="eta0; eta = eta0 N/alpha^2.  [default: 1]")
@click.option(
    "--centred/--no-centred",
    default=None,
    help="Train f(x;w) - f(x;w0), or f(x;w) itself.  [default: centred]",
)
@click.option("--sigma", type=float, help="Standard deviation of the initial weights. [default: 1]")
@click.option("--momentum", type=float, help="Heavy-ball momentum.  [default: 0]")
@click.option("--weight-decay", type=float, help="Weight decay in the loss.  [default: 0]")
@click.option("--decoupled-weight-decay", type=float, help="Decay as in AdamW.  [default: 0]")
@click.option("--target", help="Your own target, such as (beta.x)^3.  [default: (beta.x)**2/2]")
@click.option("--noise", type=float, help="Standard deviation of the labels' noise.  [default: 0]")
@click.option("--draws", type=int, help="Number of data sets to draw.  [default: 5]")
@click.option("--seed", type=int, help="Seed of the first data set and its weights.  [default: 0]")
@click.option("--activation", help="Your own phi(h), such as h + c h^3: lazy training only.")
@click.option("--readouts", type=click.Choice(("fixed", "trained")), help="With --activation.")
@click.option("--inputs", help="Covariance of x: I/D, the only one with a forecast.")
@constants_option(
    "A symbol of --activation or --target, or sigma: a number, [1,0], [[1,0],[0,1]] or FILE.npy."
)
@format_option("text to read, or json: all numbers by name, with those of each data set.")
@threads_option
@quiet_option
@constants_as_typed
def command(
    dimension: int | None,
    samples: int | None,
    data: str | None,
    form: str,
    draws: int | None,
    seed: int | None,
    activation: str | None,
    target: str | None,
    readouts: str | None,
    inputs: str | None,
    noise: float | None,
    constants: tuple[str, ...],
    threads: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Predict whether a network will grok, and when, in a small part of the time of training it.

    Use it before a long run of lazyrich simulate, with the same options: the answer is the step at
    which train and test loss fall, how reliable that is, and whether your network lies within
    the ranges that were tried. With --D and --P: the phase of most of several random data sets,
    and times that are medians over those. With --data: your data set, with any labels; without a
    test set, (beta.x)^2/2 is fitted to them.

    Without --alpha and --epsilon, but with --activation or --target: what lazy training of your own
    network reaches on average, its floor, and the number of samples that it needs.

    \b
    Examples:
      lazyrich predict --D 100 --P 550 --alpha 1 --epsilon 0.02
      lazyrich predict --D 30 --P 200 --alpha 2 --epsilon 0.1 --weight-decay 1e-4
      lazyrich predict --data set.npz --alpha 4 --epsilon 0.1 --format json
      lazyrich predict --D 20 --P 200 --activation "h + c h^3" --constant c=0.1
    """
    own = {
        "--activation": activation,
        "--target": target,
        "--readouts": readouts,
        "--noise": noise,
    }
    if inputs not in (None, "I/D"):
        raise ValueError(f"--inputs {inputs}: must be I/D: there is no forecast for other inputs")
    only_lazy = activation is not None or readouts is not None
    rich = options["alpha"] is not None and not only_lazy
    if not rich and (constants or any(value is not None for value in own.values())):
        rest = options | {"data": data, "draws": draws, "seed": seed, "threads": threads}
        with progress_bar("predicting", quiet):
            found = _own_problem(own, constants, dimension, samples, rest)
        click.echo(found.json() if form == "json" else str(found))
        return
    for name in ("alpha", "epsilon"):
        if options[name] is None:
            raise ValueError(f"--{name} is missing: give it, or your own --activation")
    given = {name: value for name, value in options.items() if value is not None}
    if seed is not None:
        given["seed"] = seed
    drawn = {"D": dimension, "P": samples, "draws": draws, "target": target, "noise": noise}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    if constants:
        drawn["constants"] = read_constants(constants)
    if data is not None:
        for name, value in drawn.items():
            option = "--constant" if name == "constants" else f"--{name}"
            raise ValueError(f"{option} {value}: must be left out where --data is given")
    else:
        for name in ("D", "P"):
            if name not in drawn:
                raise ValueError(f"--{name} is missing: give --D and --P, or --data FILE.npz")
    use_threads(threads, math.inf)  # forecast knows what pays
    _predict(data, given | drawn, form, quiet)


def _predict(data: str | None, given: dict[str, Any], form: str, quiet: bool) -> None:
    from lazyrich.simulate import forecast

    arrays = None
    if data is not None:
        from lazyrich.support.arrays_file import read_arrays

        arrays = read_arrays("--data", data, ("X", "y", "beta", "X_test", "y_test"), ("X",))
    with progress_bar("predicting", quiet) as progress:
        found = forecast(arrays, progress=progress, **given)
    click.echo(found.json() if form == "json" else str(found))


def _own_problem(
    own: dict[str, Any],
    constants: tuple[str, ...],
    dimension: int | None,
    samples: int | None,
    others: dict[str, Any],
) -> "LazyPrediction":
    """Return what lazy training of the user's own network reaches."""
    epsilon = others.pop("epsilon")
    for name, value in others.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            reason = "must be left out for a network of your own"
            if name in _OF_TRAINING and own["--activation"] is None and own["--readouts"] is None:
                reason = "needs --alpha and --epsilon"
            raise ValueError(f"{option} {value}: {reason}")
    if dimension is None or samples is None:
        missing = "--D" if dimension is None else "--P"
        raise ValueError(f"{missing} is missing: a network of your own needs --D and --P")
    from lazyrich.theory import Problem
    from lazyrich.theory.problem.lazy_prediction import predict_lazy

    nouns = {name: own[f"--{name}"] for name in ("activation", "target", "readouts")}
    problem = Problem(**{name: value for name, value in nouns.items() if value is not None})
    values = read_constants(constants, epsilon)
    if epsilon is not None:
        values["epsilon"] = epsilon
    noise = 0.0 if own["--noise"] is None else own["--noise"]
    return predict_lazy(problem, dimension, samples, noise=noise, **values)
