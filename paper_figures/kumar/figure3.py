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

from lazyrich.paper_figures.checks import Check, ends, of_seeds, ordered, spread
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
    return [
        *_alpha_claims(alpha),
        _lazy_limit(data["lazy"], data["twin"]),
        *_epsilon_claims(plain, centred),
        _weight_norm_plain(p, plain),
        _weight_norm_centred(alpha, centred),
        *_off_the_plane(p),
        *_phase_diagram_claims(grid),
        _flow_is_descent(p, grid, data["descent"]),
    ]


def _final(runs: Dataset) -> DataArray:
    return runs.population_loss.isel(step=-1)


def _alpha_claims(runs: Dataset) -> list[Check]:
    source = "Sec. 5.1, Fig. 3(a)"
    axis = ("alpha", "α")
    delay, final = time_to_grok(runs, threshold=THRESHOLD).delay, _final(runs)
    gap = 1 - final / runs.kernel_regression_population_loss
    slower = "the larger α, the longer the time to grok (inf: not within the run)"
    worse = "the smaller α, the lower the final test loss"
    lazier = (
        "the larger α, the nearer the final test loss is to that of kernel regression with the "
        "kernel at the start (relative gap)"
    )
    return [
        ordered(
            "delay-grows-with-alpha",
            slower,
            delay,
            *axis,
            source=source,
            claim="sec-5.1-delay-over-alpha",
        ),
        _little_alpha_no_rise(runs),
        _little_alpha_no_delay(runs),
        ordered(
            "final-loss-grows-with-alpha",
            worse,
            final,
            *axis,
            source=source,
            claim="fig-3a-final-loss",
        ),
        ordered(
            "large-alpha-is-lazy",
            lazier,
            gap,
            *axis,
            falls=True,
            source=source,
            claim="fig-3a-final-loss",
        ),
    ]


def _little_alpha_no_rise(runs: Dataset) -> Check:
    rise = runs.population_loss.max("step") / runs.population_loss.isel(step=0) - 1
    return Check(
        "small-alpha-no-rise",
        "at small α the test loss falls from the start, at large α it rises first",
        "highest test loss over the first, less 1: " + ends(rise, "alpha", "α"),
        "below 0.001 at the smallest α, above it at the largest, in every seed",
        bool((rise.isel(alpha=0) < 1e-3).all() and (rise.isel(alpha=-1) > 1e-3).all()),
        source="Sec. 5.1, Fig. 3, caption",
        claim="sec-5.1-small-alpha",
    )


def _little_alpha_no_delay(runs: Dataset) -> Check:
    times = time_to_grok(runs.isel(alpha=0), threshold=THRESHOLD)
    ratio = (times.test / times.train).where(np.isfinite(times.train))
    return Check(
        "small-alpha-no-delay",
        "at small α the grokking effect disappears",
        f"the test loss takes {spread(ratio)} times the steps of the train loss at α = "
        f"{float(runs.alpha[0]):.3g}",
        "less than 1.5 in every seed",
        bool((ratio < 1.5).all()),
        expected=False,
        source="Fig. 3, caption",
        claim="sec-5.1-small-alpha",
        judges="without assumption",
    )


def _lazy_limit(runs: Dataset, twin: Dataset) -> Check:
    """The gap to the twin, whose centred predictor is the same at every alpha, falls as 1/alpha."""
    gap = abs(_final(runs) / _final(twin) - 1)
    first, last = gap.isel(alpha=0), gap.isel(alpha=-1)
    slope = np.log(last / first) / np.log(float(runs.alpha[-1]) / float(runs.alpha[0]))
    return Check(
        "lazy-limit",
        "as α → ∞ the network becomes the linearised one",
        f"relative gap of the final test losses: {ends(gap, 'alpha', 'α')}; slope on log-log axes "
        f"{spread(slope)}",
        "slope −1 within 0.15 in every seed",
        bool((abs(slope + 1) < 0.15).all()),
        source="Sec. 4.1, 5.1",
        claim="eq-1",
    )


def _epsilon_claims(plain: Dataset, centred: Dataset) -> list[Check]:
    source, axis = "Sec. 5.2, Fig. 3(b)", ("epsilon", "ε")
    delay = time_to_grok(plain, threshold=THRESHOLD).delay
    slower = "the smaller ε, the longer the time to grok (plain predictor)"
    better = "the smaller ε, the lower the final test loss ({} predictor)"
    further = "the smaller ε, the further the weights move, |w − w₀|/|w₀| ({} predictor)"
    found = [
        ordered(
            "delay-falls-with-epsilon",
            slower,
            delay,
            *axis,
            falls=True,
            source=source,
            claim="sec-5.2-delay-over-epsilon",
        )
    ]
    for which, runs in (("plain", plain), ("centred", centred)):
        centring = "statement" if which == "centred" else "without assumption"
        found += [
            ordered(
                f"small-epsilon-low-loss-{which}",
                better.format(which),
                _final(runs),
                *axis,
                expected=which == "centred",
                source=source,
                claim="sec-5.2-final-loss",
                judges=centring,
            ),
            ordered(
                f"small-epsilon-moves-more-{which}",
                further.format(which),
                runs.parameter_change.isel(step=-1),
                *axis,
                falls=True,
                source="Fig. 3, caption",
                claim="sec-5.2-app-10",
            ),
        ]
    return found


def _weight_norm_plain(p: Parameters, plain: Dataset) -> Check:
    """The minimiser of the plain loss has Tr M = |beta|^2/(alpha epsilon) = D/(alpha epsilon)."""
    first, last = (plain.weight_norm.isel(step=i) ** 2 for i in (0, -1))
    wanted = p.D / (p.alpha * plain.epsilon) / first
    larger, smaller = np.log(wanted) > 0.2, np.log(wanted) < -0.2
    grown, shrunk = ((last > first) | ~larger).all(), ((last < first) | ~smaller).all()
    grows = [f"{float(e):g}" for e in plain.epsilon if bool((last > first).sel(epsilon=e).all())]
    return Check(
        "weight-norm-plain",
        "of the plain predictor, the weight norm grows exactly where |β|²/(αε) exceeds the initial "
        "Tr M, not always",
        f"grows in all seeds at ε = {', '.join(grows)}; final over initial Tr M: "
        + ends(last / first, "epsilon", "ε"),
        "as predicted wherever the two differ by over 20%, in every seed, and both cases occur",
        bool(grown and shrunk and larger.any() and smaller.any()),
        claim="fig-1c-weight-norm",
    )


def _weight_norm_centred(*runs: Dataset) -> Check:
    """Its minimiser has M = M0 + beta beta^T/(alpha epsilon), which has the larger trace."""
    ratios = np.concatenate(
        [(r.weight_norm.isel(step=-1) / r.weight_norm.isel(step=0)).values.ravel() for r in runs]
    )
    return Check(
        "weight-norm-centred",
        "of the centred predictor, the weight norm grows at every α and ε",
        f"final over initial √Tr M: {spread(ratios)} over (α, ε, seed)",
        "above 1 everywhere",
        bool((ratios > 1).all()),
        source="Sec. 3",
        claim="fig-1c-weight-norm",
    )


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


def _phase_diagram_claims(grid: Dataset) -> list[Check]:
    delay, final = (
        median_delay(time_to_grok(grid, threshold=THRESHOLD)),
        _final(grid).median("seed"),
    )
    slower = "on the grid, the larger α, the longer the median time to grok"
    better = "on the grid, the smaller ε, the lower the median final test loss"
    slowest = delay.fillna(np.inf)
    corner, longest = float(slowest.isel(alpha=-1, epsilon=0)), float(slowest.max())
    where = slowest.where(slowest == longest, drop=True)
    return [
        ordered(
            "grid-delay-grows-with-alpha",
            slower,
            delay,
            "alpha",
            "α",
            each="ε",
            claim="sec-5.1-delay-over-alpha",
        ),
        ordered(
            "grid-small-epsilon-low-loss",
            better,
            final,
            "epsilon",
            "ε",
            each="α",
            claim="sec-5.2-final-loss",
        ),
        Check(
            "lazy-misaligned-groks-most",
            "lazy, misaligned networks grok the most intensely: the time to grok is longest at the "
            "largest α and smallest ε",
            f"{corner:.3g} steps there; longest ({longest:.3g}) from ε = "
            f"{float(where.epsilon.min()):g} on, up to α = {float(where.alpha.max()):g}; "
            f"{int(np.isinf(slowest).sum())} of {delay.size} cells do not grok within the run",
            "longest in that corner",
            corner == longest,
            expected=False,
            source="Fig. 3(e)",
            claim="fig-3e",
            judges="without assumption",
        ),
    ]


def _flow_is_descent(p: Parameters, grid: Dataset, descent: Dataset) -> Check:
    flow = grid.sel(alpha=p.grid_alphas[0], epsilon=p.grid_epsilons[-1])
    in_flow, in_descent = (
        time_to_grok(runs, threshold=THRESHOLD).delay for runs in (flow, descent)
    )
    gap = abs(in_flow / in_descent - 1)
    return Check(
        "flow-is-descent",
        "gradient flow stands for gradient descent: the times to grok are nearly the same in the "
        "fastest cell of (e), where they differ most",
        f"{spread(in_flow)} steps in the flow, {spread(in_descent)} in descent; relative gap "
        f"{spread(gap)}",
        "within 20% in every seed",
        bool((gap < 0.2).all()),
    )


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
