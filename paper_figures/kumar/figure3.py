"""Figure 3: how laziness (alpha) and the alignment of the first kernel (epsilon) control grokking.

The experiments of (a) and (b) were run in the authors' convention B, here marked by a prime:
x' ~ N(0, I), f'(x') = (alpha'/N) sum_i phi(w_i.x'/sqrt(D)), y' = (x'.beta)^2/D without the 1/2,
eta' = eta0 N/alpha'^2. lazyrich's are x ~ N(0, I/D) and y = (beta.x)^2/2. With x = x'/sqrt(D):

- y' = (beta.x)^2 = 2 y and w_i.x'/sqrt(D) = w_i.x, so with alpha = alpha'/2 also f' = 2 f: half
  the scale fits half the labels, and the residuals are r' = 2 r.
- A step is w <- w - (2 eta0/(alpha' P)) sum_mu r'_mu (1 + epsilon w.x_mu) x_mu, and
  r'/alpha' = 2 r/(2 alpha) = r/alpha: the same weights at the same step for the *same* eta0.

So alpha = alpha'/2, while eta0, epsilon and the steps stay, for the centred and for the plain
predictor; losses are a quarter, L = L'/4. The settings below are in lazyrich's convention. beta was
drawn from N(0, I); here |beta|^2 = D exactly. The paper's own settings of (b) are not published:
these are a follow-up's, of the plain predictor; the centred one, as in (a), is drawn next to it.

(e) was run in lazyrich's own convention, for 14 x 14 values and up to 110,000 steps, with one
seed; here for every second value and 30,000 steps, with three. (c) and (d) are schematic in the
paper; here they are measured, on small networks: see ``weight_space``. All of this is integrated as
gradient flow; a check compares it with descent where the two differ most, in the fastest cell of
(e), whose learning rate (eta0 = 20) is near the limit of stability.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, ordered
from lazyrich.paper_figures.kumar import figure3_checks as checks
from lazyrich.paper_figures.panels import dashes, swept_curves
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.paper_figures.weight_space import Paths, Setting, log_times, paths
from lazyrich.plotting import WIDTH, letter, shades, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import MEMORISES, THRESHOLD, median_delay, time_to_grok
from lazyrich.simulate.runs import Runs

# Of the authors' convention B: alpha in lazyrich's is half of theirs.
HALF = 0.5


@dataclass(frozen=True)
class Parameters:
    """The sweeps over alpha (a) and epsilon (b) and the grid over both (e), all over seeds."""

    D: int = 100
    width: int = 500
    P_alpha: int = 450
    P: int = 550
    alphas: tuple[float, ...] = tuple(HALF * a for a in (2**-5, 1 / 4, 1 / 2, 1, 2, 4, 8, 16))
    lazy_alphas: tuple[float, float] = (64.0, 512.0)
    epsilon: float = 0.25
    alpha: float = HALF * 1
    epsilons: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    learning_rate: float = 0.5
    steps: int = 60_000
    grid_alphas: tuple[float, ...] = tuple(round(0.4 * i, 2) for i in range(1, 15, 2))
    grid_epsilons: tuple[float, ...] = tuple(round(0.02 * i, 2) for i in range(1, 15, 2))
    grid_learning_rate: float = 20.0
    grid_steps: int = 30_000
    descent_steps: int = 1_000
    seeds: int = 5
    grid_seeds: int = 3


TOO_SMALL = {
    "grid-small-epsilon-low-loss",
    "lazy-misaligned-groks-most",
    "small-alpha-no-rise",
}
# Smaller, with the learning rates in proportion to D: the rates of the kernel are of order 1/D.
PRESETS = {
    "paper": Parameters(),
    "quick": Parameters(
        D=30,
        width=150,
        P_alpha=135,
        P=165,
        learning_rate=0.15,
        grid_alphas=(0.4, 1.2, 2.4, 4.0, 5.6),
        grid_epsilons=(0.02, 0.06, 0.12, 0.2, 0.28),
        grid_learning_rate=6.0,
        seeds=3,
    ),
    "tiny": Parameters(
        D=12,
        width=40,
        P_alpha=54,
        P=66,
        learning_rate=0.06,
        steps=10_000,
        alphas=(1 / 64, 0.5, 8.0),
        epsilons=(0.25, 4.0),
        grid_alphas=(0.4, 5.6),
        grid_epsilons=(0.04, 0.28),
        grid_learning_rate=2.4,
        grid_steps=4_000,
        descent_steps=500,
        seeds=2,
        grid_seeds=1,
    ),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs of (a), (b) and (e), of the lazy limit, and of descent against the flow."""
    common = {"D": p.D, "width": p.width, "alignment": None, "engine": "flow"}
    curves = {**common, "learning_rate": p.learning_rate, "steps": p.steps}
    alpha = {**curves, "P": p.P_alpha, "epsilon": p.epsilon, "centred": True}
    epsilon = {**curves, "P": p.P, "alpha": p.alpha}
    both = {"centred": [False, True], "epsilon": list(p.epsilons)}
    fast = {**common, "P": p.P, "learning_rate": p.grid_learning_rate, "centred": True}
    grid = {"alpha": list(p.grid_alphas), "epsilon": list(p.grid_epsilons)}
    corner = {"alpha": p.grid_alphas[0], "epsilon": p.grid_epsilons[-1]}
    exact = {**fast, **corner, "engine": "moments", "steps": p.descent_steps}
    return {
        "alpha": Runs(NETWORK, {"alpha": list(p.alphas)}, alpha, p.seeds),
        "epsilon": Runs(NETWORK, both, epsilon, p.seeds),
        # At this tolerance times to grok are good to a few per mille.
        "grid": Runs(NETWORK, grid, {**fast, "steps": p.grid_steps, "rtol": 1e-3}, p.grid_seeds),
        "lazy": Runs(
            NETWORK, {"alpha": list(p.lazy_alphas)}, {**alpha, "rtol": 1e-5}, p.grid_seeds
        ),
        "twin": Runs(NETWORK, {}, {**alpha, "engine": "linearised", "alpha": 1.0}, p.grid_seeds),
        "descent": Runs(NETWORK, {}, exact, p.grid_seeds),
    }


def small_paths(alpha: float, epsilon: float, seed: int = 0) -> Paths:
    """Return the paths in weight space of one of the small networks of (c) and (d)."""
    setting = Setting(D=20, P=90, width=100, alpha=alpha, epsilon=epsilon, seed=seed)
    return paths(setting, log_times(1e-3, 2_000.0))


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves above; below, paths in weight space and the times to grok."""
    figure = Figure(figsize=(WIDTH, 4.0))
    top, bottom = figure.subplots(2, 3)
    plain, centred = (data["epsilon"].sel(centred=value) for value in (False, True))
    swept_curves(top[0], data["alpha"], "alpha")
    swept_curves(top[1], plain, "epsilon")
    swept_curves(top[2], centred, "epsilon")
    for ax in top:
        steps_axis(ax, p.steps)
    top[1].legend(handles=dashes(), loc="lower left")
    _distances(bottom[0], {alpha: small_paths(alpha, p.epsilon) for alpha in p.alphas}, "α")
    _distances(bottom[1], {epsilon: small_paths(p.alpha, epsilon) for epsilon in p.epsilons}, "ε")
    _phase_diagram(figure, bottom[2], data["grid"])
    titles = {
        "a": "sweep of α, centred",
        "b": "sweep of ε, plain",
        "b′": "sweep of ε, centred",
        "c": "weights, sweep of α",
        "d": "weights, sweep of ε",
        "e": "time to grok (hatched: > T)",
    }
    for ax, (text, title) in zip((*top, *bottom), titles.items(), strict=True):
        letter(ax, text, title)
    return figure


def _distances(ax: Axes, found: dict[float, Paths], symbol: str) -> None:
    """The legend is that of the curves above as well."""
    colors = shades(len(found))
    for i, (value, each) in enumerate(found.items()):
        inside, outside = each.inside_and_outside(each.network)
        label = f"{value:.3g}" if i else f"{symbol} = {value:.3g}"
        ax.plot(inside[1:], outside[1:], color=colors[i], label=label)
        ax.plot(inside[-1:], outside[-1:], "o", color=colors[i])
    ax.set(xscale="log", yscale="log", xlim=(1e-2, 2e3), ylim=(1e-4, 40))
    ax.set(xlabel=r"distance in $S$, over $|w_0|$", ylabel=r"distance from $S$, over $|w_0|$")
    ax.legend(loc="lower right", handlelength=1.2, bbox_to_anchor=(1.04, 0))


def _phase_diagram(figure: Figure, ax: Axes, grid: Dataset) -> None:
    delay = (
        median_delay(time_to_grok(grid, threshold=THRESHOLD)).transpose("epsilon", "alpha").values
    )
    alphas, epsilons = grid.alpha.values, grid.epsilon.values
    finite = delay[np.isfinite(delay)].clip(1)
    limits = (finite.min(), finite.max()) if finite.size else (1, 10)
    mesh = ax.pcolormesh(np.ma.masked_invalid(delay).clip(1), norm=LogNorm(*limits))
    for i, j in zip(*np.nonzero(~np.isfinite(delay)), strict=True):
        hatch = "////" if delay[i, j] == np.inf else "xxxx"
        ax.add_patch(Rectangle((j, i), 1, 1, fill=False, hatch=hatch, linewidth=0))
    ax.set_xticks(np.arange(len(alphas)) + 0.5, [f"{a:g}" for a in alphas])
    ax.set_yticks(np.arange(len(epsilons)) + 0.5, [f"{e:g}" for e in epsilons])
    ax.set(xlabel="α", ylabel="ε")
    bar = figure.colorbar(mesh, ax=ax, label="steps", pad=0.03)
    bar.outline.set_linewidth(0.4)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, held against the runs."""
    alpha, grid = data["alpha"], data["grid"]
    plain, centred = (data["epsilon"].sel(centred=value) for value in (False, True))
    fastest = grid.sel(alpha=p.grid_alphas[0], epsilon=p.grid_epsilons[-1])
    return [
        *checks.of_alpha(alpha),
        checks.lazy_limit(data["lazy"], data["twin"]),
        *checks.of_epsilon(plain, centred),
        checks.weight_norm_plain(plain, p.D, p.alpha),
        checks.weight_norm_centred(alpha, centred),
        *_off_the_plane(p),
        *checks.of_the_grid(grid),
        checks.flow_is_descent(fastest, data["descent"]),
    ]


def _off_the_plane(p: Parameters) -> list[Check]:
    """How far the small networks end off the affine subspace, over how far they go in it."""
    found = []
    for panel, axis, symbol, values, point, claim in (
        ("c", "alpha", "α", p.alphas, lambda alpha: (alpha, p.epsilon), "eq-1"),
        ("d", "epsilon", "ε", p.epsilons, lambda epsilon: (p.alpha, epsilon), "sec-5.2-app-10"),
    ):
        runs = [[small_paths(*point(v), seed) for v in values] for seed in range(p.grid_seeds)]
        lengths = [[each.inside_and_outside(each.network[-1:]) for each in row] for row in runs]
        ratios = [[float(outside / inside) for inside, outside in row] for row in lengths]
        array = DataArray(ratios, coords={"seed": range(p.grid_seeds), axis: list(values)})
        name, source = f"large-{axis}-near-plane", f"Fig. 3({panel})"
        text = (
            f"the smaller {symbol}, the further the weights end off the affine subspace S(X, w₀), "
            "over their way in it (small networks)"
        )
        found.append(
            ordered(name, text, array, axis, symbol, falls=True, source=source, claim=claim)
        )
    return found


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    censored = (time_to_grok(data["grid"], threshold=THRESHOLD).phase == MEMORISES).values
    fitted = censored & (data["grid"].train_loss.isel(step=-1) < 1e-6).values
    theirs = ", ".join(f"{a / HALF:.3g}" for a in p.alphas)
    scale = "" if p.D == 100 else ", the authors' η₀ scaled to this D"
    return (
        "Dashed: train loss; solid: test loss; lines: seed 0. (a) α swept, centred predictor. (b) "
        "ε swept, plain predictor; (b′) centred predictor. (c), (d) Weights of small networks, "
        "colours as in (a) and (b): distance from w₀ within the affine subspace S(X, w₀) that "
        "linearised networks can reach, and distance from S; dots: the end. (e) Median time to "
        f"grok of {of_seeds(p.grid_seeds)}; hatched: not within T = {p.grid_steps:,} steps.\n\n"
        f"N = {p.width}, y = (β·x)²/2, |β|² = D = {p.D}, gradient flow at η = η₀ N/α²{scale}. "
        f"(a) ε = {p.epsilon:g}, P = {p.P_alpha}, η₀ = {p.learning_rate:g} "
        f"({gap_in_words(data['alpha'])}). In the authors' convention, without the ½ in y, α is "
        f"twice as large ({theirs}) and losses are four times as large. (b) α = {p.alpha:g}, "
        f"P = {p.P}. (c), (d) D = 20, P = 90, N = 100, centred. (e) Test loss below {THRESHOLD} "
        f"minus train loss below {THRESHOLD}; P = {p.P}, η₀ = {p.grid_learning_rate:g}, centred. "
        f"{censored.sum()} of {censored.size} runs are hatched; {fitted.sum()} of them have a "
        "train loss below 10⁻⁶, so that their test loss has settled."
    )
