"""Completion of a symmetric matrix of least nuclear norm, exactly and with a penalty."""

import numpy as np

from lazyrich.simulate.oracles.solution import CertificateError, Solution, excess, relative, solver

Array = np.ndarray


def _adjoint(d: int, rows: Array, columns: Array, mu: Array) -> Array:
    """Return the symmetric Y with <Y, W> = sum_i mu_i W_(i) for every symmetric W."""
    Y = np.zeros((d, d))
    np.add.at(Y, (rows, columns), mu / 2)
    return Y + Y.T


def min_nuclear_norm(d: int, rows: Array, columns: Array, values: Array) -> Solution:
    """Return a symmetric (d, d) matrix of least nuclear norm with these entries.

    ``rows``, ``columns``, ``values`` (n,): each place once, (i, j) standing for (j, i) too. KKT,
    with Y = sum_i mu_i dW_(i)/dW: |Y|_op <= 1 and mu.values = |W|_*. By Clarabel, with W = P - N,
    both positive semidefinite: seconds at d = 20, minutes at d = 50. Needs the extra ``oracles``.

    >>> rows, columns = np.array([0, 0]), np.array([0, 1])             # 1 2; 2 ?
    >>> min_nuclear_norm(2, rows, columns, np.array([1.0, 2.0])).w.round(3).tolist()
    [[1.0, 2.0], [2.0, 1.0]]
    """
    cp = solver()
    P, N = (cp.Variable((d, d), PSD=True) for _ in range(2))
    fit = (P - N)[rows, columns] == values
    problem = cp.Problem(cp.Minimize(cp.trace(P) + cp.trace(N)), [fit])
    problem.solve(solver=cp.CLARABEL)
    if P.value is None or N.value is None:
        raise CertificateError("Clarabel found no completion")
    W = np.asarray(P.value - N.value)
    mu = -np.asarray(fit.dual_value)
    value = float(np.abs(np.linalg.eigvalsh(W)).sum())
    error = float(np.linalg.norm(W[rows, columns] - values))
    Y = _adjoint(d, rows, columns, mu)
    residuals = {
        "infeasibility": relative(error, float(np.linalg.norm(values))),
        "dual infeasibility": excess(np.abs(np.linalg.eigvalsh(Y)) - 1),
        "gap": relative(abs(value - float(mu @ values)), value),
    }
    return Solution(W, value, mu, residuals).certified()


def nuclear_lasso(
    d: int, rows: Array, columns: Array, values: Array, strength: float, iterations: int = 50_000
) -> Solution:
    """Return argmin over symmetric W of the mean square error + strength |W|_*.

    KKT, with G the gradient of the mean square error: |G|_op <= strength and
    <G, W> = -strength |W|_*. By accelerated proximal gradient with restarts (Beck and Teboulle
    2009; O'Donoghue and Candes 2015), which soft-thresholds eigenvalues, until the certificate
    holds. Raises ``CertificateError`` where ``iterations`` don't suffice.

    >>> one = np.array([0])
    >>> nuclear_lasso(1, one, one, np.array([3.0]), 2.0).w.round(6).tolist()
    [[2.0]]
    """
    n = len(values)
    step = n / 2
    W = Z = _adjoint(d, rows, columns, values)
    momentum = 1.0

    def gradient(W: Array) -> Array:
        return _adjoint(d, rows, columns, 2 / n * (W[rows, columns] - values))

    for count in range(iterations):
        eigenvalues, vectors = np.linalg.eigh(Z - step * gradient(Z))
        shrunk = np.sign(eigenvalues) * np.maximum(np.abs(eigenvalues) - step * strength, 0)
        new = (vectors * shrunk) @ vectors.T
        if float(((Z - new) * (new - W)).sum()) > 0:
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        Z = new + (momentum - 1) / following * (new - W)
        W, momentum = new, following
        if count % 50 == 0 or count == iterations - 1:
            found = _penalised(W, gradient(W), rows, columns, values, strength)
            if max(found.residuals.values()) < 1e-7:
                break
    return found.certified()


def _penalised(
    W: Array, G: Array, rows: Array, columns: Array, values: Array, strength: float
) -> Solution:
    norm = float(np.abs(np.linalg.eigvalsh(W)).sum())
    error = values - W[rows, columns]
    residuals = {
        "gradient": relative(excess(np.abs(np.linalg.eigvalsh(G)) - strength), strength),
        "gap": relative(abs(float((G * W).sum()) + strength * norm), strength * norm),
    }
    return Solution(W, float((error**2).mean()) + strength * norm, error, residuals)
