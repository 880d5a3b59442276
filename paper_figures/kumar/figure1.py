"""Figure 1: grokking without weight decay, against the linearised network, and in the weights.

(b) and (c) are the paper's experiment: D = 100, P = 550, N = 500, alpha = 1, epsilon = 0.02,
eta = N/alpha^2 (so eta0 = 1), centred, 100,000 steps; it was run in lazyrich's own conventions.
Network and linearised twin start from the same weights, train the same centred predictor on the
same data and are compared at the same steps. The line is kernel regression without ridge with the
kernel at the start, the end of the twin's path (centred, so that the f0 in it is 0).

(a) is schematic in the paper. Here it is measured, on a small network: see ``weight_space``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.loss_claims import rise_is_linear
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.paper_figures.weight_space import Paths, Setting, log_times, paths
from lazyrich.plotting import GREY, LOOKS, WIDTH, band, letter, look, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import THRESHOLD, time_to_grok
from lazyrich.simulate.runs import Runs

SMALL = Setting(D=20, P=110, width=100, alpha=1.0, epsilon=0.25)


@dataclass(frozen=True)
class Parameters:
    """The experiment of (b) and (c), ``seeds`` times, and the small network of (a)."""

    D: int = 100
    P: int = 550
    width: int = 500
    alpha: float = 1.0
    epsilon: float = 0.02
    learning_rate: float = 1.0
    steps: int = 100_000
    centred: bool = True
    n_test: int = 1000
    seeds: int = 5
    small: Setting = SMALL
    small_time: float = 10_000.0


# The tiny one has a learning rate in proportion to D: the rates of the kernel are of order 1/D.
PRESETS = {
    "tiny": Parameters(
        D=16, P=88, width=60, epsilon=0.05, learning_rate=0.2, steps=10_000, n_test=200, seeds=2
    ),
    "quick": Parameters(D=50, P=275, width=250, seeds=3),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: the network and its linearised twin."""
    names = ("D", "P", "width", "alpha", "epsilon", "learning_rate", "steps", "centred")
    names += ("n_test",)
    fixed = {name: getattr(p, name) for name in names}
    engines = {"network": "flow", "twin": "linearised"}
    return {
        name: Runs(NETWORK, {}, fixed | {"engine": each}, p.seeds) for name, each in engines.items()
    }


def small_paths(p: Parameters) -> Paths:
    """Return the paths of the small network of (a) and of its twin."""
    return paths(p.small, log_times(0.1, p.small_time))


def projection(found: Paths) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return network, twin and lazy solution in three orthonormal directions, over |w0|.

    The first is towards the lazy solution and the second that of the rest of the part in the plane
    of where the network ends, so that both lie in the plane; the third is that of its part outside.
    Shapes (steps, 3), (steps, 3), (3,).
    """
    end = found.network[-1]
    inside = found.plane.part_inside(end)
    first = found.lazy / found.lazy.norm()
    second = inside - (inside * first).sum() * first
    third = end - inside
    axes = torch.stack([first, second / second.norm(), third / third.norm()])
    network, twin, lazy = (
        torch.einsum("...ij,aij->...a", each, axes) / found.initial_norm
        for each in (found.network, found.linearised, found.lazy)
    )
    return network, twin, lazy


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return (a) the paths in weight space, (b) the losses, (c) weight norm and alignment."""
    figure = Figure(figsize=(WIDTH, 2.1))
    grid = figure.add_gridspec(1, 3, width_ratios=[1, 1.15, 0.95])
    weights = figure.add_subplot(grid[0], projection="3d")
    losses, features = figure.add_subplot(grid[1]), figure.add_subplot(grid[2])
    _draw_paths(weights, small_paths(p))
    _draw_losses(losses, data)
    _draw_features(features, data["network"])
    letter(weights, "a", "weights")
    letter(losses, "b", "loss")
    letter(features, "c", "weights and features")
    for ax in (losses, features):
        steps_axis(ax, p.steps)
    return figure


def _draw_paths(ax: Any, found: Paths) -> None:
    network, twin, lazy = (each.numpy() for each in projection(found))
    ends = np.concatenate([network, twin, lazy[None]])
    low, high = ends.min(0), ends.max(0)
    (x0, y0, _), (x1, y1, _) = low - 0.1 * (high - low), high + 0.1 * (high - low)
    corners = [(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)]
    ax.add_collection3d(Poly3DCollection([corners], facecolor=GREY, alpha=0.18, edgecolor="none"))
    ax.plot(*np.vstack([twin, lazy]).T, **LOOKS["twin_path"])
    ax.plot(*network.T, **LOOKS["network_path"])
    for point, text, side in (
        (np.zeros(3), "$w_0$\n", "center"),
        (lazy, r" $w_\mathrm{lazy}$", "left"),
        (network[-1], r" $w_\mathrm{feature}$", "left"),
    ):
        ax.plot(*point[:, None], "o", color="black", markersize=2.5)
        ax.text(*point, text, horizontalalignment=side, verticalalignment="center")
    ax.text(x1, y1, 0, "$S(X, w_0)$\n", color="#444444", horizontalalignment="right")
    ax.set_axis_off()
    ax.set_anchor("N")
    ax.set_box_aspect((1.2, 1.2, 1), zoom=1.25)
    ax.view_init(elev=22, azim=-60)
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.0))


def _draw_losses(ax: Axes, data: dict[str, Dataset]) -> None:
    network, twin = (data[name].sel(step=slice(1, None)) for name in ("network", "twin"))
    steps = network.step.values
    for name in ("train_loss", "population_loss"):
        band(ax, steps, network[name].values, LOOKS[name]["color"])
        ax.plot(steps, network[name].sel(seed=0), **LOOKS[name])
        thin = look(name, linewidth=0.7, alpha=0.8, label=f"{LOOKS[name]['label']}, linearised")
        ax.plot(steps, twin[name].sel(seed=0), **thin)
    floor = float(network.kernel_regression_population_loss.sel(seed=0))
    ax.axhline(floor, **LOOKS["kernel_regression"])
    ax.set(yscale="log", ylabel="loss")
    ax.legend(loc="lower left")


def _draw_features(ax: Axes, network: Dataset) -> None:
    right = ax.twinx()
    right.spines["right"].set_visible(True)
    for axes, name in ((ax, "weight_norm"), (right, "centred_alignment")):
        later = network[name].sel(step=slice(1, None))
        axes.plot(later.step, later.sel(seed=0), **LOOKS[name])
        band(axes, later.step.values, later.values, LOOKS[name]["color"])
        axes.set_ylim(0, None)
    ax.set_ylabel(r"weight norm $\sqrt{\mathrm{Tr}\,M}$")
    right.set_ylabel("centred kernel alignment")
    handles = [each.get_lines()[0] for each in (ax, right)]
    ax.legend(handles=handles, loc="upper left")


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, held against the runs."""
    network, twin = data["network"], data["twin"]
    return [
        _groks(network),
        _early_is_lazy(network, twin),
        rise_is_linear(network, "network", "the network", claim="sec-5.3-peak-is-linear"),
        _beats_kernel_regression(network),
        _aligns_after_the_peak(network),
        _grows(
            network,
            "weight_norm",
            "weight-norm-grows",
            "the weight norm sqrt(Tr M)",
            claim="fig-1c-weight-norm",
        ),
        _grows(
            network,
            "centred_alignment",
            "features-align",
            "the alignment of the kernel with the task (centred, on the test set)",
            claim="fig-1c-alignment",
        ),
        _leaves_the_plane(small_paths(p)),
    ]


def _groks(network: Dataset) -> Check:
    times = time_to_grok(network, threshold=THRESHOLD)
    return Check(
        "groks",
        f"the test loss falls below {THRESHOLD} long after the train loss does, without weight "
        "decay",
        f"train at {spread(times.train)}, test at {spread(times.test)} steps",
        "at twice the steps or later, in every seed",
        bool((np.isfinite(times.delay) & (times.test > 2 * times.train)).all()),
        source="Fig. 1(b)",
        claim="abstract-grokking-without-decay",
    )


def _early_is_lazy(network: Dataset, twin: Dataset) -> Check:
    """At the peak of the test loss, the twin must have made nearly the same rise."""
    shares = []
    for seed in network.seed.values:
        one, other = (h.population_loss.sel(seed=seed).values for h in (network, twin))
        peak = int(np.argmax(one))
        shares.append((other[peak] - other[0]) / (one[peak] - one[0]))
    return Check(
        "early-is-lazy",
        "at first the network is the linearised one: the rise of its test loss to the peak is the "
        "twin's",
        f"rise of the twin over that of the network at its peak: {spread(shares)}",
        "within 10% of 1 in every seed",
        bool(max(abs(share - 1) for share in shares) < 0.1),
        source="Sec. 1, Fig. 1",
        claim="abstract-kernel-first",
    )


def _beats_kernel_regression(network: Dataset) -> Check:
    final = network.population_loss.isel(step=-1)
    ratio = (final / network.kernel_regression_population_loss).values
    return Check(
        "beats-kernel-regression",
        "late, the network generalises better than kernel regression with the kernel at the start",
        f"final test loss over that of kernel regression: {spread(ratio)}",
        "below 1/2 in every seed",
        bool((ratio < 0.5).all()),
        source="Fig. 1(b)",
        claim="sec-5-features-beat-kernel",
    )


def _aligns_after_the_peak(network: Dataset) -> Check:
    """The misalignment term at the peak of the test loss and at the end, over its start."""
    at_peak, at_end = [], []
    for seed in network.seed.values:
        run = network.sel(seed=seed)
        term = run.misalignment.values / run.misalignment.values[0]
        at_peak.append(term[int(np.argmax(run.population_loss.values))])
        at_end.append(term[-1])
    return Check(
        "aligns-after-the-peak",
        "M begins to align with ββᵀ only after the test loss has peaked, and its delayed fall "
        "comes with that alignment",
        f"misalignment over its start: {spread(at_peak)} at the peak, {spread(at_end)} at the end",
        "above 0.9 at the peak, below 1/2 at the end, in every seed",
        bool(min(at_peak) > 0.9 and max(at_end) < 0.5),
        source="Sec. 5.3",
        claim="sec-5.3-peak-is-linear",
    )


def _grows(network: Dataset, variable: str, name: str, what: str, *, claim: str) -> Check:
    first, last = (network[variable].isel(step=i).values for i in (0, -1))
    return Check(
        name,
        f"{what} grows",
        f"from {spread(first)} to {spread(last)}",
        "grows in every seed",
        bool((last > first).all()),
        source="Fig. 1(c)",
        claim=claim,
    )


def _leaves_the_plane(found: Paths) -> Check:
    inside, outside = found.inside_and_outside(found.network)
    _, off = found.inside_and_outside(found.linearised)
    early = int(np.searchsorted(found.times, 1.0))
    ratios = (outside / inside)[[early, -1]].tolist()
    return Check(
        "leaves-the-plane",
        "the weights start along the affine subspace S(X, w0), in which the linearised network "
        "stays, and end off it (small network of (a))",
        f"distance from S over distance in it: {ratios[0]:.2g} at τ = {found.times[early]:.2g}, "
        f"{ratios[1]:.2g} at the end; of the twin at most {float(off.max()):.0e} of |w0|",
        "below 0.02 at τ = 1, above 0.2 at the end, twin below 1e-9",
        bool(ratios[0] < 0.02 and ratios[1] > 0.2 and off.max() < 1e-9),
        source="Fig. 1(a)",
        claim="sec-1-subspace",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    floor = data["network"].kernel_regression_population_loss
    s = p.small
    return (
        "(a) Path of the weights of a small network (solid) and of its linearised twin (dashed), "
        "in three orthonormal directions, not to one scale. Grey: the affine subspace S(X, w₀) "
        "that a linearised network can reach. (b) Losses of a network (thick) and of its twin "
        f"(thin); lines: seed 0, bands: range of {of_seeds(p.seeds)}. Horizontal: test loss of "
        f"kernel regression, {float(floor.sel(seed=0)):.3f}, where the twin ends. (c) Weight norm "
        "√Tr M and centred kernel-task alignment of the network.\n\n"
        f"(a) D = {s.D}, P = {s.P}, N = {s.width}, α = {s.alpha:g}, ε = {s.epsilon:g}; the third "
        f"direction is the network's way out of S. (b), (c) D = {p.D}, P = {p.P}, N = {p.width}, "
        f"α = {p.alpha:g}, ε = {p.epsilon:g}, η = {p.learning_rate:g} N/α², centred, no weight "
        f"decay, gradient flow ({gap_in_words(data['network'])}). Alignment is that on "
        f"{p.n_test:,} test points."
    )
