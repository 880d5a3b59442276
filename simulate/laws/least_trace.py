"""Where rich training ends as alpha epsilon -> 0, as a convex programme: the least trace.

What fits the training set is u.x + x^T Q x/2 with Q = F F^T positive semidefinite, and of the many
such predictors the flow from small F tends to one of small Tr Q = |F|^2. So the network generalises
where beta beta^T is the solution of

    min Tr Q   over Q >= 0, u,   u.x_mu + x_mu^T Q x_mu/2 = y_mu for all mu:

PhaseLift (Candes, Strohmer and Voroninski 2013) with linear modes that come for free. Not in the
papers; a conjecture on the flow, which the ledger measures.
"""

import numpy as np

from lazyrich.simulate.shapes import Float

ITERATIONS = 1000


def least_trace(
    X: Float[np.ndarray, "P D"], y: Float[np.ndarray, " P"], iterations: int = ITERATIONS
) -> tuple[Float[np.ndarray, "D D"], Float[np.ndarray, " D"]]:
    """Return (Q, u) of the programme, by Douglas and Rachford's splitting.

    Q is semidefinite up to the accuracy of the iteration, which is slow where the solution is
    nearly not unique. Of P <= D samples it is Q = 0.

    >>> rng = np.random.default_rng(1)
    >>> X, beta = rng.standard_normal((40, 8)) / 8**0.5, np.ones(8)
    >>> Q, u = least_trace(X, (X @ beta) ** 2 / 2)
    >>> bool(abs(Q - np.outer(beta, beta)).max() < 1e-3), bool(abs(u).max() < 1e-3)
    (True, True)
    """
    P, D = X.shape
    if P <= D:
        return np.zeros((D, D)), np.linalg.pinv(X) @ y
    left = np.linalg.qr(X, mode="complete")[0][:, D:].T  # what u.x can't fit
    A = left @ (X[:, :, None] * X[:, None, :]).reshape(P, D * D) / 2
    pseudoinverse = np.linalg.pinv(A)
    fitted = left @ y
    step = 2 * float(y.mean()) * np.eye(D).ravel()  # of the size of Tr(beta beta^T)/D
    Z = np.zeros(D * D)
    for _ in range(iterations):
        Q = Z - step
        Q += pseudoinverse @ (fitted - A @ Q)
        values, vectors = np.linalg.eigh((2 * Q - Z).reshape(D, D))
        Z += ((vectors * values.clip(min=0)) @ vectors.T).ravel() - Q
    Q = Q.reshape(D, D)
    return Q, np.linalg.pinv(X) @ (y - ((X @ Q) * X).sum(1) / 2)
