"""Figure 8: laziness and grokking in accuracy, of a student of a teacher network.

The published sweep is at one learning rate for all alphas. Under Adam the steps of the weights
don't depend on the size of the gradient, so that there the predictor moves alpha times as fast at
every alpha: laziness and speed vary together. Next to it is a controlled sweep, at the rate
eta0/alpha and the decay alpha lambda, with the same initial speed of the
predictor and the same decay a step at every alpha.
"""

import xarray
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, ends, of_seeds, ordered, spread
from lazyrich.paper_figures.experiments import student_and_teacher
from lazyrich.paper_figures.panels import dashes
from lazyrich.paper_figures.runs import of_fit
from lazyrich.paper_figures.studies import student as study
from lazyrich.paper_figures.studies.student import (
    LAZINESS,
    LEVEL,
    Parameters,
    lateness,
    published,
    reached,
    settings,
)
from lazyrich.plotting import WIDTH, letter, shades, steps_axis
from lazyrich.simulate.runs import Runs

TOO_SMALL = {
    "later-with-alpha-controlled",
    "later-with-alpha-published",
    "less-at-small-alpha-controlled",
}
PRESETS = study.PRESETS


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return both sweeps; at alpha = 1 they have their runs in common."""
    found = {"published": published(p, p.alphas)}
    for alpha in p.alphas:
        rates = {
            "learning_rate": p.learning_rate / alpha,
            "weight_decay": p.weight_decay * alpha,
        }
        grid = {"alpha": [alpha]}
        found[f"controlled {alpha:g}"] = Runs(
            of_fit(student_and_teacher), grid, settings(p) | rates, p.seeds
        )
    return found


def both(p: Parameters, data: dict[str, Dataset]) -> dict[str, Dataset]:
    """Return both sweeps, over seed, alpha, threshold and step."""
    controlled = [data[f"controlled {alpha:g}"] for alpha in p.alphas]
    return {"published": data["published"], "controlled": xarray.concat(controlled, "alpha")}


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the accuracies over alpha, as published (a) and controlled (b)."""
    figure = Figure(figsize=(WIDTH, 2.2))
    axes = figure.subplots(1, 2, sharey=True)
    titles = ("one rate for all α", "rate ∝ 1/α, decay ∝ α")
    for ax, text, title, runs in zip(axes, "ab", titles, both(p, data).values(), strict=True):
        later = runs.sel(step=slice(1, None)).sel(threshold=p.threshold).median("seed")
        for alpha, color in zip(p.alphas, shades(len(p.alphas)), strict=True):
            one = later.sel(alpha=alpha)
            ax.plot(one.step, one.test_accuracy, color=color, label=f"α = {alpha:g}")
            style = {"linewidth": 0.7, "linestyle": (0, (4, 1.5))}
            ax.plot(one.step, one.train_accuracy, color=color, **style)
        ax.axhline(LEVEL, color="black", linewidth=0.4, linestyle=":")
        steps_axis(ax, p.steps)
        letter(ax, text, title)
    axes[0].set(ylabel=f"accuracy within {p.threshold:g}", ylim=(-0.02, 1.05))
    axes[0].legend(loc="upper left")
    axes[1].legend(handles=dashes("train accuracy", "test accuracy"), loc="upper left")
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, for both sweeps."""
    checks, short = [_groks(p, data)], p.steps < Parameters.steps
    for name, runs in both(p, data).items():
        at = runs.sel(threshold=p.threshold)
        checks += [_grows(name, at), _tunes(name, at, short), _vanishes(name, at)]
        checks.append(_loss(name, at, short))
    return checks


def _groks(p: Parameters, data: dict[str, Dataset]) -> Check:
    runs = data["published"].sel(alpha=LAZINESS, threshold=p.threshold)
    late = lateness(runs)
    return Check(
        "groks-in-accuracy",
        "the student with doubled weights groks in accuracy: test long after train",
        f"half of the outputs are within {p.threshold:g}: train at step "
        f"{spread(reached(runs, 'train'))}, test {spread(late)} times later (inf: not within the "
        "run)",
        "at least 3 times later in every seed",
        bool((late >= 3).all()),
        source="Sec. 8.3.1, Fig. 8",
        claim="fig-8",
    )


def _grows(name: str, runs: Dataset) -> Check:
    """From alpha = 1 to 3 the train accuracy comes later by more than the test accuracy does."""
    return ordered(
        f"later-with-alpha-{name}",
        "the larger α, the more pronounced the grokking in accuracy: how many times later the test "
        f"accuracy is reached ({name} rates; inf: not within the run)",
        lateness(runs),
        "alpha",
        "α",
        expected=False,
        source="Sec. 8.3.1, Fig. 8",
        claim="fig-8",
    )


def _tunes(name: str, runs: Dataset, short: bool) -> Check:
    """At controlled rates the test accuracy at the smallest alpha comes early, and goes again.

    In runs as published, within 0.001, it is not reached at any alpha.
    """
    late = lateness(runs)
    least, one = late.isel(alpha=0), late.sel(alpha=LAZINESS)
    return Check(
        f"less-at-small-alpha-{name}",
        f"a smaller α makes the grokking less pronounced ({name} rates)",
        f"{spread(least)} times later at α = {float(late.alpha[0]):g}, {spread(one)} at α = "
        f"{LAZINESS:g} (inf: not within the run)",
        "less at the smallest α than at 1 in every seed",
        bool((least < one).all()),
        expected=short and name == "published",
        source="Sec. 8.3.1, Fig. 8",
        claim="fig-8",
    )


def _vanishes(name: str, runs: Dataset) -> Check:
    late = lateness(runs)
    least = late.isel(alpha=0)
    return Check(
        f"vanishes-{name}",
        f"at small α the grokking vanishes ({name} rates)",
        f"{ends(late, 'alpha', 'α')} times later",
        "less than twice as late at the smallest α in every seed",
        bool((least < 2).all()),
        expected=False,
        source="Sec. 8.3.1, Fig. 8",
        claim="fig-8",
    )


def _loss(name: str, runs: Dataset, short: bool) -> Check:
    """In runs as long as published it is the other way around."""
    final = runs.test_loss.isel(step=-1)
    return Check(
        f"richer-generalises-better-{name}",
        f"the test loss ends lower at the smallest α than at the largest ({name} rates)",
        ends(final, "alpha", "α"),
        "lower in every seed",
        bool((final.isel(alpha=0) < final.isel(alpha=-1)).all()),
        expected=short,
        claim="fig-8",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    late = lateness(data["published"].sel(alpha=LAZINESS, threshold=p.threshold))
    return (
        "A tanh student learns the outputs of a teacher. Test (solid) and train (dashed) accuracy, "
        f"the part of the outputs within {p.threshold:g} of the teacher's; medians of "
        f"{of_seeds(p.seeds)}. (a) As published: one rate and decay at every α, so that the "
        "predictor starts the faster the larger α. (b) Controlled: rate ∝ 1/α and decay ∝ α, the "
        "same speed and the same decay a step at every α.\n\n"
        f"5-100-100-5 networks, the default initial parameters doubled, {p.P} inputs N(0, I), "
        f"full-batch AdamW in {p.steps:,} steps, predictor α f(x;w), uncentred; each of the five "
        f"outputs of a sample counts by itself. (a) Rate {p.learning_rate:g}, decay "
        f"{p.weight_decay:g}; the text gives neither. At α = 1, the time at which the test "
        f"accuracy reaches {LEVEL:g} over that of the train accuracy: {spread(late)}."
    )
