"""At most D + 1 vectors that train exactly as any number of neurons do.

Full-batch gradient descent moves every neuron by the same affine map (with r = f - y and
c = 2 eta0/(alpha P)): w <- w - c sum_mu r_mu (1 + epsilon w.x_mu) x_mu. Factor the covariance
of the initial neurons, M - wbar wbar^T = R J R^T, with R of shape (D, k) and J diagonal with
entries +-1. By linearity wbar <- wbar - c X^T (r (1 + epsilon X wbar)) and, with F = R at the
start, F <- F - epsilon c X^T (r X F), and M = wbar wbar^T + F J F^T then holds exactly at
every step.

So k + 1 columns [wbar | F], k <= min(N - 1, D), stand for the whole network: for any N, for
N = infinity (wbar = 0, R = sigma I), and for moments (wbar, M) that no real neurons have (J < 0
where M - wbar wbar^T has negative eigenvalues). What is linear in the weights keeps this form:
momentum, weight decay, and the cross-moments with the initial weights. Not in the paper.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lazyrich.simulate.shapes import Float


@dataclass
class PseudoNeurons:
    """The columns [wbar | F], of shape (..., D, 1 + k), and their signs (1, J), (..., 1 + k).

    Leading axes are runs of a batch. A zero column changes nothing: it pads to a common k.
    """

    columns: Float[Tensor, "*runs D K"]
    signs: Float[Tensor, "*runs K"]

    @classmethod
    def from_weights(cls, W: Float[Tensor, "*runs N D"]) -> "PseudoNeurons":
        """Return the pseudo-neurons of real neurons, one a row of W.

        >>> W = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
        >>> pair = PseudoNeurons.from_weights(W)
        >>> tuple(pair.columns.shape)                                  # two neurons: wbar, one F
        (3, 2)
        >>> bool(torch.allclose(pair.M, W.T @ W / 2))
        True
        """
        wbar = W.mean(-2)
        deviations = (W - wbar[..., None, :]) / W.shape[-2] ** 0.5
        _, sizes, directions = torch.linalg.svd(deviations, full_matrices=False)
        # Centring leaves rounding errors of the size of the entries of W.
        scale = torch.linalg.matrix_norm(W / W.shape[-2] ** 0.5)
        rounding = max(W.shape[-2:]) * torch.finfo(W.dtype).eps * scale
        factor = directions.mT * sizes[..., None, :]
        return cls._without_null(wbar, factor, torch.ones_like(sizes), sizes > rounding[..., None])

    @classmethod
    def from_moments(
        cls, wbar: Float[Tensor, "*runs D"], M: Float[Tensor, "*runs D D"]
    ) -> "PseudoNeurons":
        """Return pseudo-neurons with these moments; M may be any symmetric matrix.

        >>> M = torch.tensor([[0.0, 2.0], [2.0, 5.0]], dtype=torch.float64)
        >>> wbar = torch.tensor([1.0, 0.0], dtype=torch.float64)
        >>> virtual = PseudoNeurons.from_moments(wbar, M)
        >>> sorted(virtual.signs.tolist())                             # M[0, 0] < wbar[0]^2
        [-1.0, 1.0, 1.0]
        >>> bool(torch.allclose(virtual.M, M))
        True
        """
        outer = wbar[..., :, None] * wbar[..., None, :]
        eigenvalues, directions = torch.linalg.eigh(M - outer)
        scale = torch.maximum(torch.linalg.matrix_norm(M), torch.linalg.matrix_norm(outer))
        rounding = wbar.shape[-1] * torch.finfo(M.dtype).eps * scale
        factor = directions * eigenvalues.abs().sqrt()[..., None, :]
        signs = torch.where(eigenvalues < 0, -1.0, 1.0).to(M.dtype)
        return cls._without_null(wbar, factor, signs, eigenvalues.abs() > rounding[..., None])

    @classmethod
    def isotropic(cls, D: int, sigma: float, dtype: torch.dtype = torch.float64) -> "PseudoNeurons":
        """Return infinitely many neurons w_i ~ N(0, sigma^2 I): wbar = 0, M = sigma^2 I.

        >>> PseudoNeurons.isotropic(2, 3.0).M.tolist()
        [[9.0, 0.0], [0.0, 9.0]]
        """
        columns = torch.zeros(D, D + 1, dtype=dtype)
        columns[:, 1:] = sigma * torch.eye(D, dtype=dtype)
        return cls(columns, torch.ones(D + 1, dtype=dtype))

    @classmethod
    def _without_null(cls, wbar: Tensor, factor: Tensor, signs: Tensor, keep: Tensor):
        """Join wbar and the columns of the factor that are more than rounding in any run."""
        kept = keep.reshape(-1, keep.shape[-1]).any(0)
        columns = torch.cat([wbar[..., None], factor[..., kept]], -1)
        return cls(columns, torch.cat([torch.ones_like(wbar[..., :1]), signs[..., kept]], -1))

    @property
    def wbar(self) -> Float[Tensor, "*runs D"]:
        """The mean of the neurons, wbar."""
        return self.columns[..., 0]

    @property
    def M(self) -> Float[Tensor, "*runs D D"]:
        """The second moment of the neurons, M = wbar wbar^T + F J F^T."""
        return (self.columns * self.signs[..., None, :]) @ self.columns.mT

    def square(self) -> Float[Tensor, "*runs"]:
        """Return Tr M, the mean of |w_i|^2 over the neurons."""
        return (self.columns.square() * self.signs[..., None, :]).sum((-2, -1))

    def minus(self, other: "PseudoNeurons") -> "PseudoNeurons":
        """Return the pseudo-neurons of the differences w_i - w_i', for two times of one run.

        ``run.minus(start).square()`` is the mean of |w_i - w_i(0)|^2: the sum over columns closes
        because (1/N) sum_i w_i w_i(0)^T = wbar wbar0^T + F J R^T.
        """
        return PseudoNeurons(self.columns - other.columns, self.signs)

    def moved(
        self, change: "PseudoNeurons", alpha: float
    ) -> tuple[Float[Tensor, "*runs D"], Float[Tensor, "*runs D D"]]:
        """Return alpha times the changes of (wbar, M) where the columns change by change/alpha.

        The change of M has a term in 1/alpha, and nothing cancels for any alpha.

        >>> start = PseudoNeurons.isotropic(2, 1.0)
        >>> step = PseudoNeurons(torch.ones(2, 3, dtype=torch.float64), start.signs)
        >>> wbar, M = start.moved(step, 2.0)
        >>> there = PseudoNeurons(start.columns + step.columns / 2, start.signs)
        >>> bool(torch.allclose(M, 2 * (there.M - start.M)))
        True
        """
        cross = (self.columns * self.signs[..., None, :]) @ change.columns.mT
        square = (change.columns * self.signs[..., None, :]) @ change.columns.mT
        return change.wbar, cross + cross.mT + square / alpha

    def to(self, *, dtype: torch.dtype, device: torch.device | str) -> "PseudoNeurons":
        """Return them with this precision on this device."""
        return PseudoNeurons(
            self.columns.to(dtype=dtype, device=device), self.signs.to(dtype=dtype, device=device)
        )
