"""As few samples as a kernel needs, in place of many, where its features are known polynomials."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lazyrich.simulate.network import per_sample
from lazyrich.simulate.shapes import Float, Number


def features(D: int) -> int:
    """Return the number of monomials of degree 1 and 2 in D variables: what K is a form in.

    >>> features(2)                                     # x1, x2, x1^2, x1 x2, x2^2
    5
    """
    return D + D * (D + 1) // 2


def pays(n: int, D: int) -> bool:
    """Return whether a kernel on n samples has more work than one on those that stand for them.

    >>> pays(1000, 4), pays(1000, 100), pays(10, 2)
    (True, False, False)
    """
    few = features(D) + 1
    return few <= n and 2 * few**2 * (few + D**2) < n**2 * (D + 4)


def centred(columns: Float[Tensor, "*batch n q"]) -> Float[Tensor, "*batch n q"]:
    """Return columns less their means, H times them, with 0 in place of what is rounding alone.

    >>> centred(torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])).norm(dim=0)
    tensor([0.0000, 1.4142])
    """
    moved = columns - columns.mean(-2, keepdim=True)
    rounding = columns.shape[-2] * torch.finfo(columns.dtype).eps
    sizes, whole = (torch.linalg.vector_norm(x, dim=-2, keepdim=True) for x in (moved, columns))
    return moved.where(sizes > rounding * whole, 0.0)


@dataclass(frozen=True)
class Compressed:
    """At most q + 1 rows in place of n samples and their labels, q the number of ``features``.

    The normalised NTK on n samples is Phi A Phi^T: Phi (n, q) has the monomials of each sample, and
    A depends on the weights. With (Phi, y) = Q R, Q of orthonormal columns, K = Q [R A R^T] Q^T: a
    norm of K, and y^T K y, are those of R A R^T and the last column of R. ``linear`` and
    ``pairs`` are the monomials in R. ``is_centred``: the columns of Phi and y are ``centred``, as
    in H K H with H = I - 1 1^T/n.

    >>> from lazyrich.simulate.network import ntk_normalised
    >>> X, y = torch.linspace(-1, 2, 14).view(7, 2), torch.linspace(0, 1, 7)
    >>> wbar, M = torch.tensor([0.5, -1.0]), torch.eye(2)
    >>> few, K = Compressed.of(X, y), ntk_normalised(X, X, wbar, M, epsilon=0.5)
    >>> small = few.kernel(wbar, M, epsilon=0.5)
    >>> bool((torch.linalg.matrix_norm(small) / torch.linalg.matrix_norm(K) - 1).abs() < 1e-5)
    True
    >>> bool(((few.y @ small @ few.y) / (y @ K @ y) - 1).abs() < 1e-5)
    True
    """

    linear: Float[Tensor, "few D"]
    pairs: Float[Tensor, "few D D"]
    y: Float[Tensor, " few"]

    @classmethod
    def of(
        cls, X: Float[Tensor, "n D"], y: Float[Tensor, " n"], *, is_centred: bool = False
    ) -> "Compressed":
        """Return the rows that stand for the samples X with labels y."""
        D = X.shape[1]
        i, j = torch.triu_indices(D, D, device=X.device)
        columns = torch.cat([X, X[:, i] * X[:, j], y[:, None]], 1)
        columns = centred(columns) if is_centred else columns
        R = torch.linalg.qr(columns, mode="r").R
        place = torch.empty(D, D, dtype=torch.long, device=X.device)
        place[i, j] = place[j, i] = torch.arange(D, D + len(i), device=X.device)
        return cls(R[:, :D], R[:, place], R[:, -1])

    def kernel(
        self, wbar: Float[Tensor, "*runs D"], M: Float[Tensor, "*runs D D"], *, epsilon: Number
    ) -> Float[Tensor, "*runs few few"]:
        """Return R A R^T for weights of these moments (eqs. 5, 18)."""
        epsilon = per_sample(per_sample(epsilon))
        cross = (self.pairs @ wbar[..., None, :, None])[..., 0] @ self.linear.mT
        through = (self.pairs @ M[..., None, :, :]).flatten(-2) @ self.pairs.flatten(-2).mT
        return self.linear @ self.linear.mT + epsilon * (cross + cross.mT + epsilon * through)
