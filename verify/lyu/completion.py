"""Claims of Lyu et al. 2024 on matrix completion: Cor. 3.11 and Thm. 3.12."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import Array, follow_matrix
from lazyrich.verify.evidence import attach, attacked, evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties.lyu import matrix_certificate_holds
from lazyrich.verify.statistics import each, mostly, slope_is

D = 3


def _task(seed: int, both_sides: bool = False) -> tuple[Array, Array]:
    """(target, observed): the diagonal's first entry and (1, 2); on demand (2, 1), too."""
    random = np.random.default_rng(seed)
    target = random.choice((-1.0, 1.0), size=(D, D)) * random.uniform(0.5, 1.5, size=(D, D))
    observed = np.zeros((D, D))
    observed[0, 0] = observed[0, 1] = observed[2, 1] = 1.0
    observed[1, 0] = float(both_sides)
    return target, observed


_scales = np.array([2.0, 4.0, 8.0])


def _off(seed: int, a: float, mirrored: bool) -> float:
    target, observed = _task(seed)
    (now,) = follow_matrix(target, observed, 4 * a, 1e-6, (float(np.log(4)),))
    filled = observed * target
    filled = filled + np.triu(filled, 1).T + np.tril(filled, -1).T if mirrored else filled
    return float(abs(now.W - filled).max())


@evidence(
    "lyu-cor-3.11-early",
    "measured",
    "the distance from the symmetrised zero-fill falls as a^-4",
    control={"mirrored": False},
)
def early(budget: Budget, expected: float = -4, mirrored: bool = True) -> str:
    sample = each(partial(_off, mirrored=mirrored), _scales)
    return slope_is("distance from the zero-fill over a", _scales, sample, budget.seed, expected)


@evidence(
    "lyu-fig-3",
    "measured",
    "the published d = 97, alpha = 10, 5% observed, by descent: the error of what is observed is "
    "a thousandth within 100 steps; that of the others isn't",
    control={"of_others": True},
    own_setting=True,
)
def fits_in_tens_of_steps(budget: Budget, of_others: bool = False) -> str:
    d, alpha, rate, lamda = 97, 10.0, 0.1, 1e-4
    truth = np.outer(np.arange(1, d + 1), np.arange(1, d + 1)) / d**2

    def fitted(first: int, count: int) -> Array:
        random = [np.random.default_rng(seed) for seed in range(first, first + count)]
        observed = np.stack([r.random((d, d)) < 0.05 for r in random])
        judged = ~observed if of_others else observed
        U, V = (np.broadcast_to(alpha * np.eye(d), (count, d, d)) for _ in range(2))
        share = observed.mean((1, 2), keepdims=True) * d**2
        for _ in range(100):
            W = U @ U.mT - V @ V.mT
            G = 2 * observed * (W - truth) / share
            U, V = U - rate * ((G + G.mT) @ U + lamda * U), V + rate * ((G + G.mT) @ V - lamda * V)
        off = (U @ U.mT - V @ V.mT - truth) ** 2
        return (judged * off).sum((1, 2)) < 1e-3 * (judged * truth**2).sum((1, 2))

    return mostly("error below a thousandth after 100 steps", fitted, budget.seed)


@evidence(
    "lyu-cor-3.11-early",
    "measured",
    "mirror entries of different values: neither is fitted",
    control={"both_sides": False},
)
def clash(budget: Budget, both_sides: bool = True) -> str:
    target, observed = _task(budget.seed, both_sides)
    (now,) = follow_matrix(target, observed, 32.0, 1e-6, (float(np.log(4)),))
    misfit = abs(observed * (now.W - target)).max()
    half = abs(target[0, 1] - target[1, 0]) / 2
    line = f"(1, 2) and (2, 1) observed: misfit {misfit:.3f}, half their difference {half:.3f}"
    assert abs(misfit - half) < 1e-3, line
    return line


_decays = np.array([1e-2, 1e-3, 1e-4])


attach(
    "lyu-cor-3.11-late",
    attacked(
        "the end of the flow has the certificate |Gsym|_op = lambda/2, Gsym |W| = "
        "-(lambda/2) W of the global minimum",
        matrix_certificate_holds,
        (given.seeds(), st.integers(2, 3), st.sampled_from((0.02, 0.1))),
        lambda seed, size, lamda: matrix_certificate_holds(seed, size, lamda, False),
        share=0.4,
    ),
)


@evidence(
    "lyu-cor-3.11-late",
    "measured",
    "the misfit is of order lambda",
    control={"expected": 0.5},
)
def misfit(budget: Budget, expected: float = 1.0) -> str:
    def left(seed: int, lamda: float) -> float:
        target, observed = _task(seed)
        (now,) = follow_matrix(target, observed, 4.0, lamda, (float(np.log(4)) + 8,))
        return abs(observed * (now.W - target)).max()

    sample = each(left, _decays)
    return slope_is("misfit of the observed over lambda", _decays, sample, budget.seed, expected)


@evidence(
    "lyu-cor-3.11-late",
    "measured",
    "no other completion of the same entries has a smaller nuclear norm",
    control={"factor": 1.1},
)
def least(budget: Budget, factor: float = 1.0) -> str:
    """No symmetric completion of the same observed entries has a smaller nuclear norm."""
    random, closest = np.random.default_rng(budget.seed), np.inf
    for seed in range(budget.seed, budget.seed + 3):
        target, observed = _task(seed)
        (now,) = follow_matrix(target, observed, 4.0, 1e-4, (float(np.log(4)) + 30,))
        free = ((observed + observed.T) == 0) * 1.0
        norm = factor * np.linalg.norm(now.W, "nuc")
        for size in (1e-2, 0.1, 1.0):
            for _ in range(30):
                step = size * random.normal(size=(D, D))
                other = np.linalg.norm(now.W + free * (step + step.T), "nuc")
                closest = min(closest, float(other / norm))
    line = f"nuclear norm of 270 other completions over that of W: at least {closest:.5f}"
    assert closest > 1 - 1e-4, line
    return line


_kicks = st.sampled_from((0.0, 0.3, 1.0))


attach(
    "lyu-thm-3.12",
    attacked(
        "the certificate of the global minimum, with and without perturbation, for few "
        "samples, too",
        lambda seed, size, lamda, kick: matrix_certificate_holds(seed, size, lamda, kick=kick),
        (given.seeds(), st.integers(2, 3), st.sampled_from((0.02, 0.1)), _kicks),
        lambda seed, size, lamda, kick: matrix_certificate_holds(seed, size, lamda, False, kick),
        share=0.4,
    ),
)


@evidence(
    "lyu-thm-3.12",
    "measured",
    "rank 1, 8 x 8: near the planted matrix with many samples, not with few",
    control={"share": 0.2},
)
def converges_planted(budget: Budget, share: float = 0.9) -> str:
    """Relative distance of the end from a planted symmetric 8 x 8 matrix of rank 1."""
    random, size = np.random.default_rng(budget.seed), 8
    b = random.normal(size=size)
    target = np.outer(b, b) / (b @ b)
    observed = np.triu(random.random((size, size)) < share) * 1.0
    kick = 0.1 * random.normal(size=(2, size, size))
    stop = (float(np.log(2)) + 8,)
    (now,) = follow_matrix(target, observed, 2.0, 1e-4, stop, kick)
    off = float(np.linalg.norm(now.W - target))
    line = f"{share:.0%} of the entries observed: {off:.3f} of |W*| off"
    assert off < 0.1, line
    return line
