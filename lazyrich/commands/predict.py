"""``lazyrich predict``: whether and when a network groks, before any training."""

from typing import Any

import click

from lazyrich.support.progress import progress_bar, quiet_option

FORMATS = ("text", "json")


@click.command("predict", short_help="Predict whether and when a network will grok.")
@click.option("--D", "dimension", type=int, help="Dimension of the inputs.")
@click.option("--P", "samples", type=int, help="Number of training samples.")
@click.option(
    "--data",
    metavar="FILE.npz",
    help="A data set: X, and y or beta. X_test and y_test are not used.",
)
@click.option("--alpha", type=float, help="Scale of the output; larger is lazier.")
@click.option("--epsilon", type=float, help="Curvature of the activation.")
@click.option("--learning-rate", type=float, help="eta0; eta = eta0 N/alpha^2.  [default: 1]")
@click.option("--draws", type=int, help="Number of data sets to draw.  [default: 5]")
@click.option("--seed", type=int, help="Seed of the first data set drawn.  [default: 0]")
@click.option("--activation", help="Your own phi(h), such as h + c h^3: lazy training only.")
@click.option("--target", help="Your own target, such as (beta.x)^3: lazy training only.")
@click.option("--readouts", type=click.Choice(("fixed", "trained")), help="With --activation.")
@click.option("--noise", type=float, help="Standard deviation of the labels' noise, likewise.")
@click.option(
    "--constant",
    "constants",
    multiple=True,
    metavar="NAME=NUMBER",
    help="The value of a symbol of --activation or --target, or sigma.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@quiet_option
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
    noise: float | None,
    constants: tuple[str, ...],
    quiet: bool,
    **scales: Any,
) -> None:
    """Predict whether a wide network will grok on y = (beta.x)^2/2, and when, before training it.

    With --D and --P, for data sets drawn at random: medians and ranges. With --data, for your data
    set. Each number comes with the range in which its law was validated, its error there, and a
    note where your network lies outside. Steps are those of small learning rates.

    With --activation or --target, for your own network: what lazy training reaches on average, its
    floor, its plateau, and the number of samples that it needs.

    \b
    Examples:
      lazyrich predict --D 100 --P 550 --alpha 1 --epsilon 0.02
      lazyrich predict --data set.npz --alpha 4 --epsilon 0.1 --learning-rate 0.5 --format json
      lazyrich predict --D 20 --P 200 --activation "h + c h^3" --constant c=0.1
    """
    own = {"--activation": activation, "--target": target, "--readouts": readouts, "--noise": noise}
    if constants or any(value is not None for value in own.values()):
        rest = scales | {"data": data, "draws": draws, "seed": seed}
        _own_problem(own, constants, dimension, samples, rest, form)
        return
    for name in ("alpha", "epsilon"):
        if scales[name] is None:
            raise ValueError(f"--{name} is missing: give it, or your own --activation")
    scales = {name: value for name, value in scales.items() if value is not None}
    drawn = {"--D": dimension, "--P": samples, "--draws": draws, "--seed": seed}
    if data is not None:
        for option, value in drawn.items():
            if value is not None:
                raise ValueError(f"{option} {value}: must be left out where --data is given")
    elif dimension is None or samples is None:
        missing = "--D" if dimension is None else "--P"
        raise ValueError(f"{missing} is missing: give --D and --P, or --data FILE.npz")
    from lazyrich.simulate import forecast

    if data is not None:
        from lazyrich.support.arrays_file import read_arrays

        allowed = ("X", "y", "beta", "X_test", "y_test")  # the files of diagnose hold a test set
        arrays = read_arrays("--data", data, allowed, ("X",))
        train = {name: arrays[name] for name in ("X", "y", "beta") if name in arrays}
        found = forecast(train, **scales)
    else:
        given: dict[str, Any] = {"draws": draws, "seed": seed}
        given = {name: value for name, value in given.items() if value is not None}
        with progress_bar("predicting", quiet) as progress:
            found = forecast(D=dimension, P=samples, progress=progress, **given, **scales)
    click.echo(found.json() if form == "json" else str(found))


def _own_problem(
    own: dict[str, Any],
    constants: tuple[str, ...],
    dimension: int | None,
    samples: int | None,
    others: dict[str, Any],
    form: str,
) -> None:
    """Print what lazy training of the user's own network reaches."""
    for name, value in others.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} {value}: must be left out for a network of your own")
    if dimension is None or samples is None:
        missing = "--D" if dimension is None else "--P"
        raise ValueError(f"{missing} is missing: a network of your own needs --D and --P")
    from lazyrich.commands.simulate import constant
    from lazyrich.simulate.laws.own_problem import predict_lazy
    from lazyrich.theory import Problem

    nouns = {name: own[f"--{name}"] for name in ("activation", "target", "readouts")}
    problem = Problem(**{name: value for name, value in nouns.items() if value is not None})
    values = dict(constant(text) for text in constants)
    noise = 0.0 if own["--noise"] is None else own["--noise"]
    found = predict_lazy(problem, dimension, samples, noise=noise, **values)
    click.echo(found.json() if form == "json" else str(found))
