"""``lazyrich predict``: whether and when a network groks, before any training."""

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.simulate.laws.grokking import Forecast

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
    **scales: float,
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
    found = (
        _of_data(data, scales)
        if data is not None
        else _of_draws(dimension, samples, draws, seed, scales, quiet)
    )
    click.echo(json.dumps(_finite(found), indent=2) if form == "json" else _text(found))


def _of_data(file: str, scales: dict[str, float]) -> dict[str, Any]:
    """The prediction for the data set in the file."""
    from lazyrich.simulate.laws.grokking import data_set, forecast
    from lazyrich.support.arrays_file import read_arrays

    arrays = read_arrays("--data", file, ("X", "y", "beta"), ("X",))
    X, beta = data_set(**arrays)
    one = forecast(X, beta, **scales)
    P, D = X.shape
    return _report([one], P, D, float(beta @ beta), scales, drawn=False)


def _of_draws(
    D: int | None,
    P: int | None,
    draws: int | None,
    seed: int | None,
    scales: dict[str, float],
    quiet: bool,
) -> dict[str, Any]:
    """The predictions for data sets of this size."""
    from lazyrich.simulate.laws.grokking import DRAWS, forecasts
    from lazyrich.support.arguments import positive_integer

    D, P = positive_integer("D", D), positive_integer("P", P)
    count, first = DRAWS if draws is None else draws, 0 if seed is None else seed
    with progress_bar("predicting", quiet) as progress:
        many = forecasts(D, P, draws=count, seed=first, progress=progress, **scales)
    return _report(many, P, D, float(D), scales, drawn=True)


def _report(
    many: "list[Forecast]", P: int, D: int, b: float, scales: dict[str, float], drawn: bool
) -> dict[str, Any]:
    """The numbers to print, as JSON holds them."""
    from lazyrich.simulate.laws.lazy import lazy_loss, peak, plateau
    from lazyrich.simulate.laws.validated import FEATURES

    alpha, epsilon = scales["alpha"], scales["epsilon"]
    features, laziness = alpha * epsilon / b, alpha / epsilon
    numbers = {"D": D, "P/D": P / D, "alpha/epsilon": laziness, FEATURES: features}
    phases = [one.phase for one in many]
    likely = max(phases, key=phases.count)
    at, height = peak(D, epsilon, b=b)
    quantities = {
        "phase": {"value": likely, "share": phases.count(likely) / len(phases)},
        "train loss falls": _times([one.train_fall for one in many]),
        "test loss falls": _times([one.test_fall for one in many]),
        "early plateau, test loss": {
            **_spread([one.plateau for one in many]),
            "mean by law": plateau(D, P, b=b).test,
        },
        "final loss if fully lazy": {
            **_spread([one.lazy_loss for one in many]),
            "mean by law": lazy_loss(D, P, epsilon, b=b).total,
        },
        "peak of the lazy loss over P": {"value": height, "P": at},
    }
    for name, quantity in quantities.items():
        quantity |= _validity(name, numbers)
    return {
        "D": D,
        "P": P,
        "|beta|^2": b,
        **scales,
        FEATURES: features,
        "alpha/epsilon": laziness,
        "data sets drawn": len(many) if drawn else 0,
        "never": f"not within {many[0].horizon:.6g} steps",
        "quantities": quantities,
        "data sets": [{**asdict(one), "phase": one.phase} for one in many],
    }


def _times(values: list[float]) -> dict[str, float]:
    from lazyrich.simulate.laws.grokking import middle

    return dict(zip(("value", "least", "greatest"), middle(values), strict=True))


def _spread(values: list[float]) -> dict[str, float]:
    return _times(values) if not any(map(math.isnan, values)) else {"value": math.nan}


def _validity(name: str, numbers: dict[str, float]) -> dict[str, Any]:
    from lazyrich.simulate.laws.validated import LAWS, VALIDATED

    law = VALIDATED[LAWS[name]]
    return {
        "validated for": law.in_words(),
        "error there": law.error,
        "outside the validated range": law.outside(numbers),
    }


def _finite(content: Any) -> Any:
    """The same with null in place of NaN and of infinite numbers, which JSON has not."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _text(found: dict[str, Any]) -> str:
    drawn = found["data sets drawn"]
    of_what = f"{drawn} data set{'s' if drawn > 1 else ''} drawn" if drawn else "this data set"
    lines = [
        f"D = {found['D']}, P = {found['P']}, alpha/epsilon = {found['alpha/epsilon']:.4g}, "
        f"alpha epsilon/|beta|^2 = {found['alpha epsilon/|beta|^2']:.4g}; {of_what}"
    ]
    notes: dict[str, list[str]] = {}
    for name, quantity in found["quantities"].items():
        lines.append(f"  {name + ':':30} {_value(name, quantity, drawn)}")
        outside = quantity["outside the validated range"]
        where = f"OUTSIDE the validated range in {', '.join(outside)}: " if outside else ""
        note = f"{where}validated for {quantity['validated for']}: {quantity['error there']}"
        notes.setdefault(note, []).append(name)
    lines.append(f"never: {found['never']}; falls: below 2/15 of the loss of predicting nothing")
    lines += [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    return "\n".join(lines)


def _value(name: str, quantity: dict[str, Any], drawn: int) -> str:
    value = quantity["value"]
    if name == "phase":
        return value + (f" ({quantity['share']:.0%} of the data sets)" if drawn > 1 else "")
    if name.startswith("peak"):
        return f"{value:.4g} at P = {quantity['P']}" if quantity["P"] else "none"
    text = _number(value, name)
    if drawn > 1 and "least" in quantity:
        text += f" [{_number(quantity['least'], name)}, {_number(quantity['greatest'], name)}]"
    if "mean by law" in quantity:
        text += f"; mean over data sets by law {_number(quantity['mean by law'], name)}"
    return text


def _number(value: float, name: str) -> str:
    if name.endswith("falls"):
        return "never" if math.isinf(value) else f"step {value:.4g}"
    return "not computed" if math.isnan(value) else f"{value:.4g}"
