"""``lazyrich simulate``: train one network on the polynomial task and print its losses."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lazyrich.commands.points import constants as read_constants
from lazyrich.commands.points import constants_option, floats
from lazyrich.commands.threads_option import threads_option, use_threads
from lazyrich.commands.typed import constants_as_typed
from lazyrich.commands.width_option import read_width
from lazyrich.support.arguments import escaped
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from xarray import Dataset

    from lazyrich.simulate import Run
    from lazyrich.simulate.outcome import Outcome

LOSSES = ("train_loss", "test_loss", "population_loss")
# Of the loss of predicting nothing: a part of the loss below it is rounding.
ROUNDING = 1e-15
FLOOR = "kernel_regression_population_loss"  # not known of Hermite activations


@click.command(
    "simulate",
    short_help="Train a network and print its losses.",
    context_settings={"show_default": True},
)
@click.option("--D", "dimension", type=int, default=100, help="Dimension of the inputs.")
@click.option("--P", "samples", type=int, default=550, help="Number of training samples.")
@click.option("--n-test", type=int, default=1000, help="Number of test samples.")
@click.option("--indices", type=int, default=1, help="Number of directions of the target.")
@click.option("--target-degree", type=int, help="k: learn He_k(beta.x) instead of (beta.x)^2/2.")
@click.option("--target", default="(beta.x)**2/2", help="A polynomial such as (beta.x)^3.")
@click.option("--noise", type=float, default=0.0, help="Standard deviation of the labels' noise.")
@click.option("--width", default="500", callback=read_width, help="Number N of neurons, or inf.")
@click.option("--alpha", type=float, default=1.0, help="Scale of the output; larger is lazier.")
@click.option("--epsilon", type=float, default=0.02, help="Curvature of the activation.")
@click.option("--activation", default="h + epsilon/2*h**2", help="phi(h), such as h + 0.1 h^3.")
@constants_option(
    "A symbol of the activation or target: a number, a vector [1,0], a matrix [[1,0],[0,1]] or a "
    "file FILE.npy of one."
)
@click.option("--inputs", default="I/D", help="Covariance of x: [[1,0],[0,1/2]] or FILE.npy.")
@click.option("--activation-degree", type=int, help="k: phi(h) = h + (epsilon/2) He_k(h).")
@click.option(
    "--readouts",
    help="fixed: all 1; trained: drawn from N(0, 1) and trained.",
)
@click.option("--sigma", type=float, default=1.0, help="Standard deviation of the initial weights.")
@click.option(
    "--engine",
    help="See above.  [default: flow, or neurons where flow can't train your network]",
)
@click.option("--steps", type=int, default=100_000, help="Steps of gradient descent.")
@click.option("--learning-rate", type=float, default=1.0, help="eta0; eta = eta0 N/alpha^2.")
@click.option(
    "--centred/--no-centred", default=True, help="Train f(x;w) - f(x;w0), or f(x;w) itself."
)
@click.option("--momentum", type=float, default=0.0, help="Heavy-ball momentum.")
@click.option(
    "--weight-decay", type=float, default=0.0, help="Weight decay as a penalty in the loss."
)
@click.option("--decoupled-weight-decay", type=float, default=0.0, help="Weight decay as in AdamW.")
@click.option("--rtol", type=float, default=1e-4, help="Relative tolerance of engine flow.")
@click.option(
    "--descent-tolerance",
    type=float,
    help="With flow: warn where a loss of gradient descent differs by more than this fraction.",
)
@click.option(
    "--alignment",
    default="test",
    help="Record the kernel-task alignment on the test or train samples; none: leave it out. "
    "On n samples it costs up to n^2.",
)
@click.option("--seed", type=int, default=0, help="Seed of the task and of the weights.")
@click.option("--dtype", default="float64", help="float64 or float32.")
@click.option("--device", default="cpu", help="cpu, or a GPU such as cuda.")
@click.option("--out", metavar="FILE.nc", help="Write the run here: simulate.load reads it.")
@click.option("--plot", metavar="FILE", help="Draw the losses here: .png or .pdf.")
@click.option(
    "--animate", metavar="FILE", help="Animate weights and losses here: .gif, or .mp4 with ffmpeg."
)
@threads_option
@quiet_option
@constants_as_typed
def command(
    dimension: int,
    samples: int,
    n_test: int,
    indices: int,
    target_degree: int | None,
    target: str,
    noise: float,
    constants: tuple[str, ...],
    inputs: str,
    out: str | None,
    plot: str | None,
    animate: str | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Train a two-layer network on a polynomial task, and print its losses and whether it groks.

    Use it to see one run in detail; lazyrich sweep trains many.

    The network is f(x) = (alpha/N) sum_i phi(w_i.x), with phi(h) = h + (epsilon/2) h^2, and the
    target y = (beta.x)^2/2, unless options say otherwise. Without options: the setting of Figure 1
    of the paper. Losses are printed at powers of ten of the steps. Hermite polynomials He_k are the
    probabilists'; where the population loss splits by Hermite degree, each degree is a term.

    \b
    Engines:
      flow        gradient flow, the limit of small steps: the fastest
      moments     every step of gradient descent, on two moments of the weights
      neurons     every step, on each neuron: any activation, trained readouts
      linearised  the linearised network: completely lazy training

    \b
    Examples:
      lazyrich simulate --plot grokking.png
      lazyrich simulate --animate lecture.gif
      lazyrich simulate --D 10 --P 30 --width inf --epsilon 0.5 --steps 1000
      lazyrich simulate --alpha 4 --engine linearised --out lazy.nc
      lazyrich simulate --D 10 --P 90 --target "(beta.x)^3 + beta.x" --noise 0.1
      lazyrich simulate --D 9 --P 50 --learning-rate 0.1 --activation "h + h^3/9"
      lazyrich simulate --D 9 --P 50 --learning-rate 0.05 --readouts trained
      lazyrich simulate --D 9 --P 50 --indices 2
    """
    from lazyrich.support.output import answer, output_file

    run_file = output_file("--out", out, (".nc",))
    plot_file = output_file("--plot", plot, (".png", ".pdf"))
    film_file = output_file("--animate", animate, (".gif", ".mp4"))
    if film_file:
        from lazyrich.simulate.pictures.animation import check_writer

        check_writer(film_file.suffix)
    quiet, seed = options.pop("quiet"), options["seed"]
    from lazyrich.simulate import PolynomialTask, train
    from lazyrich.simulate.constants import shared_out
    from lazyrich.simulate.network import moments_fit_memory
    from lazyrich.support.arguments import one_of

    source = click.get_current_context().get_parameter_source("epsilon")
    is_typed = source is click.core.ParameterSource.COMMANDLINE
    values = read_constants(constants, options["epsilon"] if is_typed else None)
    of_target, of_activation = shared_out(values, target, options["activation"])
    moments_fit_memory(dimension)
    use_threads(threads, samples**2 * dimension)
    task = PolynomialTask(
        D=dimension,
        P=samples,
        n_test=n_test,
        seed=seed,
        indices=indices,
        target_degree=target_degree,
        target=target,
        noise=noise,
        inputs=_covariance(inputs),
        constants=of_target,
    )
    options["constants"] = of_activation
    alignment = one_of("--alignment", options["alignment"], ("test", "train", "none"))
    options["alignment"] = None if alignment == "none" else alignment
    if options["engine"] is None:
        options["engine"] = _engine(dimension, options, quiet)
    with progress_bar("training", quiet) as progress:
        options |= {"record": _record(options["steps"]), "progress": progress}
        if film_file:
            from lazyrich.simulate.pictures.animation import animate as film_of

            run = film_of(task, film_file, **options)
        else:
            run = train(task, **options)
    text = f"{_table(run.history)}\n{_summary(run)}"
    answer(text, (run_file, run.save), (plot_file, lambda at: _plot(run, at)))
    for file in filter(None, (run_file, plot_file, film_file)):
        click.echo(f"wrote {escaped(file)}")


def _plot(run: "Run", file: Path) -> None:
    from lazyrich.plotting import rendered
    from lazyrich.support.files import write_whole

    picture = rendered(run.plot(), [file.suffix[1:]])
    write_whole(file, lambda part: part.write_bytes(*picture.values()))


def _covariance(inputs: str) -> Any:
    """The covariance of --inputs; None for I/D."""
    if inputs == "I/D":
        return None
    if not inputs.startswith("[") and not inputs.endswith(".npy"):
        raise ValueError(
            f"--inputs {escaped(inputs)}: must be I/D, a matrix [[1,0],[0,1/2]] or FILE.npy"
        )
    return floats(f"--inputs {escaped(inputs)}", inputs)


def _engine(dimension: int, options: dict[str, Any], quiet: bool) -> str:
    """The engine of a network that the user names none for; says so where it is not the default."""
    from lazyrich.simulate.network import Network
    from lazyrich.simulate.train import defaults

    if Network.checked(dimension, options).has_moments:
        return defaults()["engine"]
    if not quiet:
        click.echo(
            "engine: neurons, step by step (flow takes h + (epsilon/2) h^2 with fixed readouts)",
            err=True,
        )
    return "neurons"


def _printed(steps: int) -> set[int]:
    """The steps to print: 0, the powers of ten, the last."""
    return {0, steps, *(10**k for k in range(len(str(steps))) if 10**k <= steps)}


def _record(steps: int) -> set[int]:
    """The default grid with the steps to print."""
    from lazyrich.simulate.record import default_grid
    from lazyrich.support.arguments import positive_integer

    return {*default_grid(positive_integer("steps", steps)), *_printed(steps)}


def _table(history: "Dataset") -> str:
    """The losses and the terms of the last, at the steps to print."""
    terms = ("variance", "misalignment", "linear", "label_noise")
    degrees = [str(name) for name in history if str(name).startswith("degree_")]
    columns = (*filter(history.__contains__, (*LOSSES, *terms)), *degrees)
    rows = history.sel(step=sorted(_printed(int(history.step[-1]))))
    lines = ["".join([f"{'step':>9}", *(f"{name:>17}" for name in columns)])]
    rounding = ROUNDING * _scale(history)
    for step in rows.step.values:
        values = ((name, float(rows[name].sel(step=step))) for name in columns)
        shown = (0.0 if name in degrees and abs(v) < rounding else v for name, v in values)
        lines.append("".join([f"{step:>9}", *(f"{value:>17.6g}" for value in shown)]))
    return "\n".join(lines)


def _scale(history: "Dataset") -> float:
    """The population loss of predicting nothing; 0 where it is not known."""
    return float(history.get("zero_population_loss", 0.0))


def _summary(run: "Run") -> str:
    from lazyrich.simulate.outcome import AT_ONCE

    history, found = run.history, run.outcome()
    floor = f"{float(history[FLOOR]):.6g}" if FLOOR in history else "not known in closed form"
    lines = [f"population loss of kernel regression with the initial kernel: {floor}"]
    if found.train_level == 0:
        return "\n".join([*lines, "the labels are 0 everywhere: there is nothing to learn"])
    test = found.test.replace("_", " ")
    sides = (("train", "train loss", found.train_level), ("test", test, found.test_level))
    for side, loss, level in sides:
        lines.append(f"{loss} below {level:.4g} for good: {found.when(side)}")
    to_grok = f"time to grok ({test.removesuffix(' loss')} minus train)"
    late = f"from the train loss to the {test}" if found.phase == AT_ONCE else to_grok
    lines += [f"{late}: {_delay(found)}", f"phase: {found.phase}"]
    if "descent_gap_population_loss" in history:
        gaps = abs(history.descent_gap_population_loss)
        gap = float(gaps.where(history.population_loss > ROUNDING * _scale(history), 0.0).max())
        advice = "" if gap < 0.1 else ": use --engine moments or a smaller --learning-rate"
        size = f"{gap:.2%}" if math.isfinite(gap) else "no bound, descent diverges"
        lines.append(
            f"relative difference between gradient flow and gradient descent (estimated): {size}"
            f"{advice}"
        )
    return "\n".join(lines)


def _delay(found: "Outcome") -> str:
    if math.isnan(found.delay):
        return "none in this run"
    more = "more than " if math.isinf(found.delay) else ""
    return f"{more}{found.at_least:.4g} steps"
