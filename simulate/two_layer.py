"""The network neuron by neuron, f(x) = (alpha/N) sum_i v_i phi(w_i.x), and its kernel.

phi(h) = h + (epsilon/2) h^2, or h + (epsilon/2) He_k(h) with ``degree`` k (Kumar et al. 15.2).
The readouts v_i are fixed at 1, or trained along with the weights where they are given (App. 12).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lazyrich.simulate.hermite import Ridges, hermite
from lazyrich.simulate.shapes import Float


@dataclass(frozen=True)
class TwoLayer:
    """A network with these weights W (N, D) and readouts (N,), the latter None where fixed at 1.

    >>> W, v = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([0.5, -1.0])
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> both = TwoLayer(W, v, alpha=2.0, epsilon=0.25, degree=3)
    >>> f = lambda W, v: TwoLayer(W, v, alpha=2.0, epsilon=0.25, degree=3)(X)
    >>> by_W, by_v = torch.autograd.functional.jacobian(f, (W, v))     # K from the definition
    >>> ntk = torch.einsum("pid,qid->pq", by_W, by_W) + by_v @ by_v.T
    >>> bool(torch.allclose(both.ntk_normalised(X, X), ntk / (2.0**2 / 2)))
    True
    """

    W: Float[Tensor, "N D"]
    readouts: Float[Tensor, " N"] | None
    alpha: float
    epsilon: float
    degree: int | None = None

    def __call__(self, X: Float[Tensor, "P D"]) -> Float[Tensor, " P"]:
        """Return f(x) for every row x of X (eqs. 1, 21).

        >>> W = torch.tensor([[1.0], [3.0]])
        >>> TwoLayer(W, None, alpha=1.0, epsilon=1.0)(torch.tensor([[2.0]]))
        tensor([14.])
        """
        activations = self._activations(X)
        if self.readouts is not None:
            activations = activations * self.readouts
        return self.alpha / self.W.shape[0] * activations.sum(1)

    def _activations(self, X: Tensor) -> Tensor:
        """Return phi(w_i.x), of shape (P, N)."""
        H = X @ self.W.T
        power = H**2 if self.degree is None else hermite(self.degree, H)
        return H + self.epsilon / 2 * power

    def _slopes(self, X: Tensor) -> Tensor:
        """Return v_i phi'(w_i.x), of shape (P, N)."""
        H = X @ self.W.T
        slope = 2 * H if self.degree is None else self.degree * hermite(self.degree - 1, H)
        slopes = 1 + self.epsilon / 2 * slope
        return slopes if self.readouts is None else slopes * self.readouts

    def ntk_normalised(
        self, X: Float[Tensor, "P D"], X2: Float[Tensor, "Q D"]
    ) -> Float[Tensor, "P Q"]:
        """Return the NTK divided by alpha^2/N, of all weights that are trained."""
        K = self._slopes(X) @ self._slopes(X2).T * (X @ X2.T)
        if self.readouts is not None:
            K += self._activations(X) @ self._activations(X2).T
        return K / self.W.shape[0]

    def change(self, X: Float[Tensor, "P D"], a: Float[Tensor, " P"]) -> "TwoLayer":
        """Return the change (dW, dv) of the weights that changes f by K(., X) a to first order.

        It is (N/alpha^2) sum_mu a_mu times the gradient of f(x_mu); only its ``W`` and
        ``readouts`` mean anything.
        """
        dW = (self._slopes(X) * a[:, None]).T @ X / self.alpha
        dv = None if self.readouts is None else a @ self._activations(X) / self.alpha
        return replace(self, W=dW, readouts=dv)

    def moments(self) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return (1/N) sum v_i w_i and (1/N) sum v_i w_i w_i^T: f is a function of them (eq. 22).

        For the quadratic activation only, which ``degree`` None is.
        """
        weighted = self.W if self.readouts is None else self.W * self.readouts[:, None]
        return weighted.mean(0), weighted.T @ self.W / self.W.shape[0]

    def moved_moments(self, change: "TwoLayer") -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return ``moments`` after a change of the weights, to first order in the change."""
        wbar, M = self.moments()
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        cross = (self.W * v[:, None]).T @ change.W
        wbar, M = wbar + (change.W * v[:, None]).mean(0), M + (cross + cross.T) / v.shape[0]
        if change.readouts is not None:
            weighted = self.W * change.readouts[:, None]
            wbar, M = wbar + weighted.mean(0), M + weighted.T @ self.W / v.shape[0]
        return wbar, M

    def ridges(self, mixing: Float[Tensor, "D D"] | None) -> Ridges:
        """Return f as ridge functions of z ~ N(0, I/D), where x = mixing z."""
        degree = 2 if self.degree is None else self.degree
        series = [0.0, 1.0, *[0.0] * (degree - 1)]
        series[degree] += self.epsilon / 2
        if self.degree is None:
            series[0] = self.epsilon / 2  # h^2 = He_2 + 1
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        directions = self.W if mixing is None else self.W @ mixing.to(self.W.device)
        return Ridges(directions, self.alpha / v.shape[0] * v, tuple(series))
