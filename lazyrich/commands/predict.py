"""``lazyrich predict``: whether and when a network groks, before any training."""

from typing import Any

import click

from lazyrich.support.progress import progress_bar, quiet_option

FORMATS = ("text", "json")


@click.command("predict", short_help="Predict whether and when a network will grok.")
@click.option("--D", "dimension", type=int, help="Dimension of the inputs.")
@click.option("--P", "samples", type=int, help="Number of training samples.")
@click.option("--data", metavar="FILE.npz", help="A data set, with X, and y or beta.")
@click.option("--alpha", type=float, required=True, help="Scale of the output: laziness.")
@click.option("--epsilon", type=float, required=True, help="Curvature of the activation.")
@click.option(
    "--learning-rate",
    type=float,
    default=1.0,
    show_default=True,
    help="eta0; eta = eta0 N/alpha^2.",
)
@click.option("--draws", type=int, help="Number of data sets to draw.  [default: 5]")
@click.option("--seed", type=int, help="Seed of the first data set drawn.  [default: 0]")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@quiet_option
def command(
    dimension: int | None,
    samples: int | None,
    data: str | None,
    form: str,
    draws: int | None,
    seed: int | None,
    quiet: bool,
    **scales: Any,
) -> None:
    """Predict whether a wide network will grok on y = (beta.x)^2/2, and when, before training it.

    With --D and --P, for data sets drawn at random: medians and ranges. With --data, for your data
    set. Each number comes with the range in which its law was validated, its error there, and a
    note where your network lies outside. Steps are those of small learning rates.

    \b
    Examples:
      lazyrich predict --D 100 --P 550 --alpha 1 --epsilon 0.02
      lazyrich predict --data set.npz --alpha 4 --epsilon 0.1 --learning-rate 0.5 --format json
    """
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

        found = forecast(read_arrays("--data", data, ("X", "y", "beta"), ("X",)), **scales)
    else:
        given: dict[str, Any] = {"draws": draws, "seed": seed}
        given = {name: value for name, value in given.items() if value is not None}
        with progress_bar("predicting", quiet) as progress:
            found = forecast(D=dimension, P=samples, progress=progress, **given, **scales)
    click.echo(found.json() if form == "json" else str(found))
