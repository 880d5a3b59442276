"""Heavy-ball momentum: which joint moments of weights and velocities close, and its linear modes.

A neuron and its velocity (w, v) undergo one affine map, the same for all neurons, so the first and
second moments of the pair close (the momentum of Kumar et al. 2024, App. 14).
"""

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.moment_dynamics import (
    Phi,
    decay_step,
    kappa_d,
    moment_step_decay,
    neuron_step,
)
from lazyrich.theory.network import activation
from lazyrich.theory.symbols import D, I, M, P, SymmetricMatrixSymbol, eta_0, wbar
from lazyrich.theory.training_symbols import F, g, lambda_k
from lazyrich.theory.wick import canonical_matrix

mu = sp.Symbol("mu", nonnegative=True)  # momentum
vbar = MatrixSymbol("vbar", D, 1)  # mean of the velocities over the neurons
C = MatrixSymbol("C", D, D)  # mean of w v^T
V = SymmetricMatrixSymbol("V", D, D)  # mean of v v^T

Affine = tuple[MatrixExpr, MatrixExpr, MatrixExpr]  # (a, b, c) of a w + b v + c

# A neuron's gradient step is S w + g; F multiplies w in w -> (1 - eta_0 kappa_d) w - v.
_S = SymmetricMatrixSymbol("S", D, D)
_FIRST = (wbar, vbar)
_SECOND = ((M, C), (C.T, V))


def _mean(p: Affine) -> MatrixExpr:
    """The mean over the neurons of a w + b v + c."""
    return p[0] * _FIRST[0] + p[1] * _FIRST[1] + p[2]


def _outer(p: Affine, q: Affine) -> MatrixExpr:
    """The mean over the neurons of the outer product of two affine functions of (w, v)."""
    both = [p[j] * _SECOND[j][k] * q[k].T for j in range(2) for k in range(2)]
    linear = [(_mean(p) - p[2]) * q[2].T, p[2] * (_mean(q) - q[2]).T]
    return sp.MatAdd(*both, *linear, p[2] * q[2].T).doit(deep=False)


def _joint_step() -> dict[str, MatrixExpr]:
    """The five moments after a step, in S, F and g."""
    velocity: Affine = (_S, mu * I, g)
    weight: Affine = (F, -mu * I, -g)
    return {
        "wbar": _mean(weight),
        "vbar": _mean(velocity),
        "M": _outer(weight, weight),
        "C": _outer(weight, velocity),
        "V": _outer(velocity, velocity),
    }


def moment_step_momentum(phi: Phi = activation) -> ClosedForm:
    """One step of heavy-ball descent on (wbar, vbar, M, C, V), exact at every N.

    v <- mu v + gradient step (with the decay in the loss), w <- (1 - eta_0 kappa_d) w - v, from
    v = 0, as in ``torch.optim.SGD``. Symbols: C the mean of w v^T, V that of v v^T; X and r as in
    moment-step. ``terms``: the five moments after the step.
    """
    G, shift = neuron_step(phi)
    S = G + decay_step() * I
    general = _joint_step()
    matrix = (1 - eta_0 * kappa_d) * I - _S
    known = {F: matrix.subs(_S, S), _S: S, g: shift}
    terms = {name: part.subs(known).doit(deep=False) for name, part in general.items()}
    shown = {name: canonical_matrix(part) for name, part in general.items()}
    for name, part in moment_step_decay(phi).terms.items():
        without = terms[name].subs(mu, 0).doit() - part
        if canonical_matrix(without) != sp.ZeroMatrix(*part.shape):
            raise AssertionError(f"{name} at mu = 0 is not that of moment-step-decay: {without}")
    return ClosedForm(
        name="moment-step-momentum",
        title="The moments of (w, v) after one step with heavy-ball momentum and weight decay",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        components={"S": S, "g": shift},
        steps=[
            ("A neuron's gradient step is S w + g, weight decay in the loss included, with S", S),
            ("and g.", shift),
            (
                "v -> mu v + S w + g, then w -> (1 - eta_0 kappa_d) w - v = F w - mu v - g, with F",
                matrix,
            ),
            ("The means of v and of w after the step.", (shown["vbar"], shown["wbar"])),
            ("The mean of w w^T needs C and V.", shown["M"]),
            ("C, the mean of w v^T.", shown["C"]),
            ("V, the mean of v v^T: the five close. At mu = 0: moment-step-decay.", shown["V"]),
        ],
        assumptions=(
            "Full-batch heavy-ball descent on the mean square error (no 1/2); readouts fixed; "
            "eta = eta_0 N/alpha^2. The residuals are those of the predictor that is trained."
        ),
        source="derived here; momentum as in Kumar et al. 2024, App. 14",
    )


def momentum_modes() -> ClosedForm:
    """Heavy-ball descent of the linearised network along one eigenvector of its train kernel.

    ``expr``: the two factors z by which the residual along an eigenvalue lambda_k of K is
    multiplied each step, in h = 2 eta_0 lambda_k/P. ``terms``: ``slow``, the larger factor's 1 - z
    for small h; ``oscillates``, the two h between which the factors are complex;
    ``stable_below``, the h from which the residual grows.
    """
    z, h = sp.Symbol("z"), sp.Symbol("h", positive=True)
    # With v_t = r_t-1 - r_t, v_t+1 = mu v_t + h r_t and r_t+1 = r_t - v_t+1.
    before, now = 1 / z, sp.S.One
    velocity = mu * (before - now) + h * now
    polynomial = sp.factor((z - (now - velocity)) * z)
    factors = sp.solve(polynomial, z)
    discriminant = sp.discriminant(sp.expand(polynomial), z)
    oscillates = tuple(sp.factor(root) for root in sp.solve(discriminant, h))
    along = sp.diff(polynomial, h) / sp.diff(polynomial, z)  # -dz/dh on the curve of the roots
    slow = h / sp.expand(1 / along.subs({z: 1, h: 0}))
    (stable,) = sp.solve(polynomial.subs(z, -1), h)
    there = 2 * eta_0 * lambda_k / P
    return ClosedForm(
        name="momentum-modes",
        title="What heavy-ball descent does to the residual along one eigenvector of the kernel",
        expr=sp.Tuple(*factors),
        terms={"slow": slow, "oscillates": oscillates, "stable_below": stable},
        steps=[
            ("A step of gradient descent takes h r from the residual r, with this h.", there),
            ("A factor z each step must be a root of this.", polynomial),
            ("The factors.", tuple(factors)),
            ("They are complex, so the residual oscillates, between these h.", oscillates),
            ("A slow mode moves 1/(1 - mu) times as fast as without momentum.", slow),
            ("One of them passes -1 here.", stable),
        ],
        assumptions="The linearised network, no weight decay, 0 <= mu < 1; h = 2 eta_0 lambda_k/P.",
        source="derived here; momentum as in Kumar et al. 2024, App. 14",
    )
