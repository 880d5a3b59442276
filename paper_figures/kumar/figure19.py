"""Figure 19: eigenvector labels over the size of the data set and over j.

Nothing is given but that P grows to the right and j downwards; chosen here: the setting of Figure
5 (two neurons, D = 100, alpha = 1, epsilon = 0.25, centred, labels of norm 1) with P = 50, 100 and
250 and j = 70, 150 and 190. Two neurons have a kernel of rank 2 D (closed form ``ntk-rank``), so
that j ends at 200 here, and from P = 200 on the first kernel alone learns each of its functions.
"""

from dataclasses import dataclass

from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, ordered, spread
from lazyrich.paper_figures.experiments.eigenvector_labels import arguments, relative
from lazyrich.paper_figures.panels import learning_curves
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.plotting import WIDTH, legend_below, letter, steps_axis
from lazyrich.simulate.cells import OwnTask
from lazyrich.simulate.runs import Runs

HALF = 0.5


@dataclass(frozen=True)
class Parameters:
    """Networks on labels from these eigenvectors, at these sizes, ``seeds`` times."""

    D: int = 100
    sizes: tuple[int, int, int] = (50, 100, 250)
    width: int = 2
    alpha: float = 1.0
    epsilon: float = 0.25
    eigenvectors: tuple[int, int, int] = (70, 150, 190)
    learning_rate: float = 0.5
    steps: int = 100_000
    n_test: int = 1000
    seeds: int = 6


TOO_SMALL = {
    "larger-j-is-harder",
    "more-samples-help-fixed-functions",
    "more-samples-help-published",
}
PRESETS = {
    "tiny": Parameters(
        D=16,
        sizes=(8, 16, 40),
        eigenvectors=(10, 24, 30),
        learning_rate=0.08,
        n_test=100,
        seeds=1,
    ),
    "quick": Parameters(
        D=50, sizes=(25, 50, 125), eigenvectors=(35, 75, 95), learning_rate=0.25, seeds=3
    ),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: both kinds of labels over the grid, and j = P at the sizes that have it."""
    names = ("D", "alpha", "epsilon", "learning_rate", "steps", "n_test")
    fixed = {name: getattr(p, name) for name in names} | {"width": p.width}
    fixed |= {"engine": "flow", "centred": True, "alignment": None, "power": "norm"}
    grid = {"P": list(p.sizes), "j": list(p.eigenvectors)}
    middle = p.sizes[1]
    return {
        "joint": Runs(OwnTask(arguments), grid, fixed | {"way": "joint"}, p.seeds),
        "fresh": Runs(OwnTask(arguments), grid, fixed | {"way": "fresh"}, p.seeds),
        "diagonal": Runs(
            OwnTask(arguments), {"P": [middle], "j": [middle]}, fixed | {"way": "joint"}, p.seeds
        ),
    }


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves, the size growing to the right and j downwards."""
    figure = Figure(figsize=(WIDTH, 4.4))
    axes = figure.subplots(3, 3, sharex=True, sharey=True)
    runs = relative(data["joint"])
    for row, j in zip(axes, p.eigenvectors, strict=True):
        for ax, size in zip(row, p.sizes, strict=True):
            history = runs.sel(P=size, j=j)
            learning_curves(ax, history, test="test_loss", threshold=HALF)
            floor = float(history.kernel_regression_test_loss.sel(seed=0))
            ax.axhline(max(floor, 2e-4), color="black", linewidth=0.7, label="kernel regression")
            letter(ax, "abcdefghi"[len(p.sizes) * p.eigenvectors.index(j) + p.sizes.index(size)])
            ax.set_title(f"P = {size}, j = {j}", loc="right")
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for ax in axes[:, 0]:
        ax.set(ylim=(1e-4, 10), ylabel="relative loss")
    for ax in axes[-1]:
        steps_axis(ax, p.steps)
    legend_below(figure, axes[0, 0])
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, held against the runs."""
    joint, fresh, diagonal = (relative(data[name]) for name in ("joint", "fresh", "diagonal"))
    harder = "for a fixed P, a larger j raises the final test loss (published labels; median seed)"
    return [
        _more_samples_help(joint, "published", "published labels"),
        _more_samples_help(fresh, "fixed-functions", "functions fixed before the data"),
        ordered(
            "larger-j-is-harder",
            harder,
            _median(joint),
            "j",
            "j",
            each="P",
            source="Sec. 17, Fig. 19",
            claim="sec-6.1-hard-by-construction",
        ),
        _more_samples_suffice(joint),
        _first_kernel_knows(p, joint),
        _rich_learning(joint),
        _last_eigenvector(diagonal),
    ]


def _final(runs: Dataset) -> DataArray:
    return runs.test_loss.isel(step=-1)


def _median(runs: Dataset) -> DataArray:
    return _final(runs).median("seed")


def _more_samples_help(runs: Dataset, which: str, labels: str) -> Check:
    final = _median(runs)
    rows = [f"{', '.join(f'{v:.2g}' for v in final.sel(j=j))} at j = {int(j)}" for j in final.j]
    return Check(
        f"more-samples-help-{which}",
        f"for a fixed j, more samples lower the final test loss ({labels}; median seed)",
        f"at P = {', '.join(str(int(size)) for size in final.P)}: {'; '.join(rows)}",
        "lower at the largest P than at the smallest, at every j; between, it may peak",
        bool((final.isel(P=-1) < final.isel(P=0)).all()),
        source="Sec. 17, Fig. 19",
        claim="sec-17-more-data",
    )


def _more_samples_suffice(joint: Dataset) -> Check:
    final = _final(joint).isel(P=-1, j=0).values
    return Check(
        "more-samples-suffice",
        f"with enough samples (P = {int(joint.P[-1])}) the network generalises at "
        f"j = {int(joint.j[0])}",
        f"final test loss over that of predicting nothing: {spread(final)}",
        "below 0.1 in every seed",
        bool((final < 0.1).all()),
        source="Sec. 17",
        claim="sec-17-more-data",
    )


def _first_kernel_knows(p: Parameters, joint: Dataset) -> Check:
    floor = joint.kernel_regression_test_loss
    few, many = floor.sel(P=p.sizes[0]).values, floor.sel(P=p.sizes[-1]).values
    return Check(
        "first-kernel-suffices",
        f"what more samples do needs no features: the kernel of two neurons has rank 2D = "
        f"{2 * p.D}, and with P above it kernel regression with the first kernel is exact",
        f"its test loss: {spread(few)} at P = {p.sizes[0]}, at most {many.max():.1g} at P = "
        f"{p.sizes[-1]}, over j and seeds",
        f"below 1e-6 at P = {p.sizes[-1]}",
        bool(many.max() < 1e-6),
        claim="sec-17-more-data",
    )


def _rich_learning(joint: Dataset) -> Check:
    few = joint.isel(P=slice(0, -1))  # with more samples kernel regression leaves nothing to gain
    gain = (_final(few) / few.kernel_regression_test_loss).values
    moved = joint.parameter_change.isel(step=-1).values
    return Check(
        "rich-learning-is-enough",
        "where the first kernel does not generalise, rich learning does better",
        f"final test loss over that of kernel regression: {spread(gain)} over the sizes below the "
        f"rank, j and seeds; weights moved by {spread(moved)} of their norm",
        "below 0.9 somewhere, in every seed",
        bool((gain < 0.9).any(axis=(1, 2)).all()),
        expected=False,
        source="Fig. 19, caption",
        claim="sec-6.1-features-help",
    )


def _last_eigenvector(diagonal: Dataset) -> Check:
    final = _final(diagonal).values
    return Check(
        "last-eigenvector-fails",
        f"with j = P = {int(diagonal.P[0])} the network cannot learn the labels",
        f"final test loss over that of predicting nothing: {spread(final)}",
        f"above {HALF:g} in every seed",
        bool((final > HALF).all()),
        expected=False,
        source="Fig. 19, caption",
        claim="fig-19-last-eigenvector",
        judges="without assumption",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Labels from the j-th eigenvector of the initial kernel of two neurons; samples grow to "
        "the right, j downwards. Train and test loss over the loss of predicting nothing; thick: "
        f"seed 0, thin: test loss of the {of_seeds(p.seeds - 1, 'other seed')}; dotted: {HALF:g}; "
        "horizontal: kernel regression with the kernel at the start (at the lower edge where it "
        "is exact).\n\n"
        "The eigenvectors are those on train and test inputs together, of norm 1, as in Figure 5: "
        f"D = {p.D}, α = {p.alpha:g}, ε = {p.epsilon:g}, η = {p.learning_rate:g} N/α², centred, "
        f"gradient flow ({gap_in_words(data['joint'], 'test_loss')}), test loss on {p.n_test:,} "
        "samples. The text gives neither sizes nor settings: P, j and the rest are our choice. j "
        f"ends at the kernel's rank, 2D = {2 * p.D}; beyond it labels are orthogonal to all that "
        "this network can be at first, at any P."
    )
