"""The network neuron by neuron, f(x) = (alpha/N) sum_i v_i phi(w_i.x), and its kernel.

The readouts v_i are fixed at 1, or trained along with the weights where they are given (Kumar et
al., App. 12).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lazyrich.simulate.activations import Activation
from lazyrich.simulate.hermite import Ridges
from lazyrich.simulate.shapes import Float
from lazyrich.support.differences import apart


@dataclass(frozen=True)
class TwoLayer:
    """A network with these weights W (N, D) and readouts (N,), the latter None where fixed at 1.

    >>> from lazyrich.simulate.activations import Curved
    >>> W, v = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([0.5, -1.0])
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> both = TwoLayer(W, v, alpha=2.0, activation=Curved(0.25, degree=3))
    >>> f = lambda W, v: TwoLayer(W, v, 2.0, Curved(0.25, degree=3))(X)
    >>> by_W, by_v = torch.autograd.functional.jacobian(f, (W, v))     # K from the definition
    >>> ntk = torch.einsum("pid,qid->pq", by_W, by_W) + by_v @ by_v.T
    >>> bool(torch.allclose(both.ntk_normalised(X, X), ntk / (2.0**2 / 2)))
    True
    """

    W: Float[Tensor, "N D"]
    readouts: Float[Tensor, " N"] | None
    alpha: float
    activation: Activation

    def __call__(self, X: Float[Tensor, "P D"]) -> Float[Tensor, " P"]:
        """Return f(x) for every row x of X (eqs. 1, 21).

        >>> from lazyrich.simulate.activations import Curved
        >>> W = torch.tensor([[1.0], [3.0]])
        >>> TwoLayer(W, None, alpha=1.0, activation=Curved(1.0))(torch.tensor([[2.0]]))
        tensor([14.])
        """
        activations = self._activations(X)
        if self.readouts is not None:
            activations = activations * self.readouts
        return self.alpha / self.W.shape[0] * activations.sum(1)

    def rise(
        self, X: Float[Tensor, "P D"], dW: Float[Tensor, "N D"], dv: Float[Tensor, " N"] | None
    ) -> Float[Tensor, " P"]:
        """Return f at (W + dW/alpha, v + dv/alpha) less f here, accurately for every alpha.

        >>> from lazyrich.simulate.activations import Curved
        >>> W = torch.tensor([[1.0], [3.0]])
        >>> lazy = TwoLayer(W, None, alpha=1e20, activation=Curved(1.0))
        >>> lazy.rise(torch.tensor([[1.0]]), torch.ones(2, 1), None)   # phi'(1) + phi'(3), over 2
        tensor([3.])
        """
        H, G = X @ self.W.T, X @ dW.T
        rises = self.activation.rise(H, G, 1 / self.alpha)
        if self.readouts is not None:
            assert dv is not None
            rises = self.readouts * rises + dv * self.activation(H + G / self.alpha)
        return rises.sum(1) / self.W.shape[0]

    def _activations(self, X: Tensor) -> Tensor:
        """Return phi(w_i.x), of shape (P, N)."""
        return self.activation(X @ self.W.T)

    def _slopes(self, X: Tensor) -> Tensor:
        """Return v_i phi'(w_i.x), of shape (P, N)."""
        slopes = self.activation.slope(X @ self.W.T)
        return slopes if self.readouts is None else slopes * self.readouts

    def ntk_normalised(
        self, X: Float[Tensor, "P D"], X2: Float[Tensor, "Q D"]
    ) -> Float[Tensor, "P Q"]:
        """Return the NTK divided by alpha^2/N, of all weights that are trained."""
        K = self._slopes(X) @ self._slopes(X2).T * (X @ X2.T)
        if self.readouts is not None:
            K += self._activations(X) @ self._activations(X2).T
        return K / self.W.shape[0]

    def features(self, X: Float[Tensor, "P D"]) -> Float[Tensor, "P F"]:
        """Return J, a row for each x, where J J^T is ``ntk_normalised``: the gradients of f.

        >>> from lazyrich.simulate.activations import Curved
        >>> some = TwoLayer(torch.eye(2), torch.tensor([1.0, -2.0]), 3.0, Curved(0.5))
        >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
        >>> J = some.features(X)
        >>> bool(torch.allclose(J @ J.T, some.ntk_normalised(X, X)))
        True
        """
        J = (self._slopes(X)[:, :, None] * X[:, None, :]).flatten(1)
        if self.readouts is not None:
            J = torch.cat([J, self._activations(X)], 1)
        return J / self.W.shape[0] ** 0.5

    def change(self, X: Float[Tensor, "P D"], a: Float[Tensor, " P"]) -> "TwoLayer":
        """Return alpha times the change (dW, dv) that changes f by K(., X) a to first order.

        It is (N/alpha) sum_mu a_mu times the gradient of f(x_mu); only its ``W`` and ``readouts``
        mean anything.
        """
        dW = (self._slopes(X) * a[:, None]).T @ X
        dv = None if self.readouts is None else a @ self._activations(X)
        return replace(self, W=dW, readouts=dv)

    def moments(self) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return (1/N) sum v_i w_i and (1/N) sum v_i w_i w_i^T: f is a function of them (eq. 22).

        For the quadratic activation only.
        """
        weighted = self.W if self.readouts is None else self.W * self.readouts[:, None]
        return weighted.mean(0), weighted.T @ self.W / self.W.shape[0]

    def moved_moments(self, change: "TwoLayer") -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return alpha times the change of ``moments``, to first order in the change of weights.

        ``change`` holds alpha times the changes, as the method of this name gives them.
        """
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        cross = (self.W * v[:, None]).T @ change.W
        wbar, M = (change.W * v[:, None]).mean(0), (cross + cross.T) / v.shape[0]
        if change.readouts is not None:
            weighted = self.W * change.readouts[:, None]
            wbar, M = wbar + weighted.mean(0), M + weighted.T @ self.W / v.shape[0]
        return wbar, M

    def moved_exactly(
        self, dW: Float[Tensor, "N D"], dv: Float[Tensor, " N"] | None
    ) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return alpha times the change of ``moments``, at W + dW/alpha and v + dv/alpha."""
        N, W = self.W.shape[0], self.W + dW / self.alpha
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        weighted = self.W * v[:, None]
        cross, square = weighted.T @ dW, (dW * v[:, None]).T @ dW
        wbar, M = (dW * v[:, None]).mean(0), (cross + cross.T + square / self.alpha) / N
        if dv is not None:
            later = W * dv[:, None]
            wbar, M = wbar + later.mean(0), M + later.T @ W / N
        return wbar, M

    def rise_as_ridges(
        self,
        dW: Float[Tensor, "N D"],
        dv: Float[Tensor, " N"] | None,
        mixing: Float[Tensor, "D D"] | None,
    ) -> Ridges:
        """Return what ``rise`` evaluates as ridge functions that don't cancel, see ``ridges``."""
        assert self.activation.series is not None
        N = self.W.shape[0]
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        degree, later = len(self.activation.series) - 1, None if dv is None else dv / N
        neurons, amplitudes = apart(self.W, dW, v / N, later, self.alpha, degree)
        directions = torch.cat(neurons)
        directions = directions if mixing is None else directions @ mixing.to(self.W.device)
        return Ridges(directions, torch.cat(amplitudes), self.activation.series)

    def ridges(self, mixing: Float[Tensor, "D D"] | None) -> Ridges:
        """Return f as ridge functions of z ~ N(0, I/D), where x = mixing z.

        For activations that are polynomials.
        """
        assert self.activation.series is not None
        v = torch.ones_like(self.W[:, 0]) if self.readouts is None else self.readouts
        directions = self.W if mixing is None else self.W @ mixing.to(self.W.device)
        return Ridges(directions, self.alpha / v.shape[0] * v, self.activation.series)
