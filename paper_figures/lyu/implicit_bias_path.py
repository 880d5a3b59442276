"""The path from the least L2 norm to the least L1 norm, predicted and simulated.

After the fit a diagonal network of depth 2 is, as lambda -> 0, at the interpolation that minimises
sum_k [w_k asinh(w_k/2a^2) - (w_k^2 + 4 a^4)^(1/2)] at its scale a = alpha exp(-lambda t). The
curve is solved for at each scale, with its conditions of optimality checked, knowing nothing of the
run.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.runs import of_flow
from lazyrich.plotting import BLACK, GREEN, ORANGE, WIDTH, letter, shades
from lazyrich.simulate.runs import Runs


@dataclass(frozen=True)
class Parameters:
    """Sparse regression with several strengths of weight decay."""

    d: int = 400
    n: int = 60
    k: int = 5
    alpha: float = 20.0
    decays: tuple[float, ...] = (1e-1, 1e-2, 1e-3)
    end: float = 3.0
    seeds: int = 5


PRESETS = {
    "tiny": Parameters(d=60, n=20, k=2, decays=(1e-2, 1e-3), seeds=2),
    "quick": Parameters(seeds=2),
    "paper": Parameters(d=10_000, n=200),
}
# A record counts as after the fit when the scale has halved: the fit takes a time of 1/alpha^2.
FITTED = 0.5


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs."""
    fixed = {name: getattr(p, name) for name in ("d", "n", "k", "alpha", "end")}
    return {
        "runs": Runs(of_flow("predicted_path"), {"weight_decay": list(p.decays)}, fixed, p.seeds)
    }


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the plane of the norms (left) and the distance from the predicted path (right)."""
    runs = data["runs"].sel(seed=0)
    figure = Figure(figsize=(WIDTH, 2.3))
    plane, gaps = figure.subplots(1, 2)
    colors = shades(len(p.decays))
    styles = ((0, (1, 1)), (0, (5, 1, 1, 1)), (0, (4, 1.5)))
    for decay, color, style in zip(p.decays, colors, styles, strict=False):
        run = runs.sel(weight_decay=decay)
        label = f"λ = {decay:g}"
        plane.plot(run.l1_norm, run.l2_norm, color=color, linestyle=style, label=label)
        fitted = run.scale < FITTED * p.alpha
        gaps.plot(
            run.scale[fitted], run.mirror_error[fitted], color=color, linestyle=style, label=label
        )
    path = runs.sel(weight_decay=min(p.decays))
    plane.plot(
        path.mirror_l1_norm[::4], path.mirror_l2_norm[::4], "o", color=BLACK, markersize=2,
        markerfacecolor="none", markeredgewidth=0.5, label="predicted, λ → 0",
    )  # fmt: skip
    plane.axhline(float(path.least_l2_norm), color=GREEN, linewidth=0.5)
    plane.axvline(float(path.least_l1_norm), color=ORANGE, linewidth=0.5)
    plane.set(xlabel=r"$|w|_1$", ylabel=r"$|w|_2$")
    plane.set_xlim(0, None)
    plane.set_ylim(0, None)
    gaps.set(xscale="log", yscale="log", xlabel=r"scale $a = \alpha e^{-\lambda t}$")
    gaps.set_ylabel("distance from the path")
    gaps.invert_xaxis()
    letter(plane, "a", "norms along the path")
    letter(gaps, "b", "distance at the same scale")
    plane.legend(loc="upper right")
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the law says, held against the runs."""
    runs = data["runs"]
    return [_starts(p, runs), _ends(p, runs), _on_the_path(p, runs), _first_order(p, runs)]


def _least(p: Parameters, runs: Dataset) -> Dataset:
    return runs.sel(weight_decay=min(p.decays))


def _starts(p: Parameters, runs: Dataset) -> Check:
    run = _least(p, runs)
    smallest = (run.l2_norm / run.least_l2_norm).where(run.scale > 0.1 * p.alpha)
    found = abs(smallest.where(run.train_loss < 1e-6) - 1).min("step")
    return Check(
        "starts-at-least-l2",
        "after the fit the network is at the interpolation of least L2 norm",
        f"its norm is within {spread(found)} of the least",
        "within 1% in every seed",
        bool((found < 0.01).all()),
        source="Thm 3.9, Cor. 3.6",
        claim="lyu-thm-3.9",
    )


def _ends(p: Parameters, runs: Dataset) -> Check:
    run = _least(p, runs)
    excess = run.l1_norm / run.least_l1_norm - 1
    early, late = excess.max("step"), excess.isel(step=-1)
    return Check(
        "ends-at-least-l1",
        "from there it approaches the least L1 norm of all interpolations",
        f"its norm is {spread(early)} above the least at first, {spread(late)} in the end, at "
        f"a = {float(run.scale.isel(seed=0)[-1]):.2g}",
        "in the end above by less than a tenth of that, in every seed",
        bool((late < early / 10).all()),
        source="Thm 3.10",
        claim="lyu-thm-3.10",
    )


def _worst(p: Parameters, runs: Dataset) -> DataArray:
    return runs.mirror_error.where(runs.scale < FITTED * p.alpha).max("step")


def _on_the_path(p: Parameters, runs: Dataset) -> Check:
    found = _worst(p, runs).sel(weight_decay=min(p.decays))
    return Check(
        "on-the-path",
        f"all the way it is on the path predicted for λ → 0 (λ = {min(p.decays):g})",
        f"at most {spread(found)} of the largest predictor off it",
        "at most 5% in every seed",
        bool((found < 0.05).all()),
        source="lazyrich",
        claim="lyu-law-3",
    )


def _first_order(p: Parameters, runs: Dataset) -> Check:
    error = _worst(p, runs).sortby("weight_decay").isel(weight_decay=slice(2))
    decays = error.weight_decay.values
    found = np.log(error.values[:, 1] / error.values[:, 0]) / np.log(decays[1] / decays[0])
    return Check(
        "distance-of-order-lambda",
        "its distance from the path is of order λ",
        f"slope {spread(found)} on logarithmic axes, from λ = {decays[0]:g} to {decays[1]:g}",
        "between 0.85 and 1.1 in every seed",
        bool(((found > 0.85) & (found < 1.1)).all()),
        source="lazyrich",
        claim="lyu-law-3",
    )


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Diagonal networks of depth 2 trained on sparse regression by gradient flow with weight "
        f"decay: d = {p.d}, n = {p.n}, k = {p.k}, α = {p.alpha:g}. (a) Norms of the predictor, "
        "from its first record; circles: the predicted path for λ → 0, a convex programme at each "
        "scale; thin lines: the least L1 and L2 norms of all interpolations. (b) Distance of the "
        "predictor from the predicted one at the same scale, relative to the largest on the path. "
        f"Seed 0; the checks are on {of_seeds(p.seeds)}."
    )
