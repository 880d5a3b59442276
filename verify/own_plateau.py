"""The attack on the early plateau: least squares of y on x, on many drawn data sets."""

import numpy as np

from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.own_setting import Array, Finding, Setting
from lazyrich.verify.statistics import two_stages

# Of the loss: an error that must not be missed; the tails are heavier with a target of high degree.
_SMALLEST, _OF_HIGH_DEGREE = 0.02, 0.05
_PILOT, _MOST = 10_000, 600_000
_AT_ONCE = 50_000  # data sets
# More samples than dimensions, and fewer; the tails of the loss are those of 1/chi-square.
_MANY, _FEW = (4, 10), (10, 4)


def early_plateau(setting: Setting) -> Finding:
    """The mean train and test losses of least squares are those of drawn data sets.

    What is known of all inputs, the loss of predicting 0 and the best linear function, is taken on
    an exact rule. The control is the plateau with one sample more, or where that hardly changes it
    one that is 5% (12% for high degrees) too large. Errors are in units of what the draws allow.
    """
    smallest = _SMALLEST if setting.problem.target.degree <= 3 else _OF_HIGH_DEGREE
    errors, controls, draws = [], [], 0
    for (D, P), names in ((_MANY, ("many_samples", "train")), (_FEW, ("few_samples",))):
        large = setting.of_size(D, stream=19)
        form = large.problem.closed_form("early-plateau")
        values = large.numbers(large.problem.target.symbols)
        claimed, wrong = (form.evaluate_terms(P=n, **values) for n in (P, P + 1))
        null, linear = _known(large)
        for name, right in (("null", null), ("floor", null - linear @ linear)):
            errors.append(abs(float(claimed[name]) - right) / (1e-9 * null))
        for name in names:
            claim, other = float(claimed[name]), float(wrong[name])
            size = max(abs(claim), 1e-6 * null)
            if abs(other - claim) < 2 * smallest * size:
                other = claim + 2.5 * smallest * size
            losses, allowed = _drawn(large, P, name, null, linear, smallest * size)
            draws += len(losses)
            errors.append(abs(losses.mean() - claim) / allowed)
            controls.append(abs(losses.mean() - other) / allowed)
    sizes = " and ".join(f"D = {D}, P = {P}" for D, P in (_MANY, _FEW))
    detail = f"{draws} draws, {sizes}; an error of {smallest:.0%} is seen"
    return Finding(max(errors), 1.0, min(controls), detail)


def _known(large: Setting) -> tuple[float, Array]:
    """<y^2>, and sqrt(D) <x y>, from a rule along the target's direction."""
    assert large.problem.target.link is not None
    direction, _ = large.problem.target.link
    beta = np.asarray(large.values[direction.name], dtype=float)
    unit = beta / np.linalg.norm(beta)
    nodes, weights = gauss_hermite(1, 2 * large.problem.target.degree + 2)
    y = large.labels(nodes / np.sqrt(large.D) * unit)
    return float(weights @ y**2), float(weights @ (y * nodes[:, 0])) * unit


def _drawn(
    large: Setting, P: int, name: str, null: float, linear: Array, smallest: float
) -> tuple[Array, float]:
    """Losses of least squares on drawn data sets; the test loss is exact, given the weights."""

    def sample(first: int, count: int) -> Array:
        starts = range(first, first + count, _AT_ONCE)
        sizes = [min(_AT_ONCE, first + count - start) for start in starts]
        parts = (some(start, size) for start, size in zip(starts, sizes, strict=True))
        return np.concatenate(list(parts))

    def some(first: int, count: int) -> Array:
        random = np.random.default_rng([large.seed, 20, first])
        Z = random.normal(size=(count, P, large.D))
        y = large.labels((Z / np.sqrt(large.D)).reshape(-1, large.D)).reshape(count, P)
        if P > large.D:
            moved = np.einsum("npd,np->nd", Z, y)
            w = np.linalg.solve(np.einsum("npd,npe->nde", Z, Z), moved[..., None])[..., 0]
        else:
            gram = np.einsum("npd,nqd->npq", Z, Z)
            w = np.einsum("npd,np->nd", Z, np.linalg.solve(gram, y[..., None])[..., 0])
        if name == "train":
            return ((y - np.einsum("npd,nd->np", Z, w)) ** 2).mean(1)
        return null + (w**2).sum(1) - 2 * w @ linear

    return two_stages(f"early-plateau, {name}", sample, 0, smallest, pilot=_PILOT, most=_MOST)
