"""The network, ``Network``; and f and its kernel in the sufficient statistics (wbar, M).

Kumar et al., eqs. 2-5, 18. wbar = (1/N) sum_i w_i has shape (D,), M = (1/N) sum_i w_i w_i^T has
shape (D, D). Leading axes of X, wbar and M are runs of a batch, and alpha and epsilon may be
tensors of one value a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.activations import (
    LARGEST_COEFFICIENT,
    Activation,
    Curved,
    numeric,
)
from lazyrich.simulate.arrays import natural, real_array, standard_normal, symmetric_matrix
from lazyrich.simulate.hermite import degree
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float, Number
from lazyrich.simulate.two_layer import TwoLayer
from lazyrich.support.arguments import finite, fits_memory, one_of, positive_integer, shown

WIDTH = 500  # of Figure 1
# Where alpha^2 is no float64, neither is a learning rate in the weights.
LARGEST_ALPHA = 1e150
# Products of two inputs that are held at a time.
PAIRS = 2**19


def per_sample(value: Number) -> Number:
    """Return a number as it is, and a tensor of one value a run with a last axis for samples."""
    return value[..., None] if isinstance(value, Tensor) else value


def predictions(
    X: Float[Tensor, "*batch P D"],
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    alpha: Number,
    epsilon: Number,
) -> Float[Tensor, "*out P"]:
    """Return f(x) = alpha wbar.x + (alpha epsilon/2) x^T M x for every row x of X (eqs. 3, 4).

    f is linear in (wbar, M): the differences wbar - wbar0, M - M0 give the centred predictor.

    >>> import torch
    >>> W = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])       # three neurons
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> H = X @ W.T                                                   # from the definition
    >>> definition = 2.0 * (H + 0.25 / 2 * H**2).mean(1)
    >>> bool(torch.allclose(
    ...     predictions(X, W.mean(0), W.T @ W / 3, alpha=2.0, epsilon=0.25), definition))
    True
    """
    linear = (X @ wbar[..., None])[..., 0]
    quadratic = ((X @ M) * X).sum(-1)
    return per_sample(alpha) * (linear + per_sample(epsilon) / 2 * quadratic)


def predictions_of_many(
    X: Float[Tensor, "P D"],
    wbar: Float[Tensor, "R D"],
    M: Float[Tensor, "R D D"],
    *,
    alpha: float,
    epsilon: float,
) -> Float[Tensor, "R P"]:
    """Return ``predictions`` of many networks on one set of inputs, up to rounding.

    x^T M x is a product of the pairs x_i x_j, i <= j, with the entries of M: half the arithmetic,
    and the pairs are made once for all networks.

    >>> import torch
    >>> X, M = torch.tensor([[0.5, 1.0], [2.0, -1.0], [1.0, 1.0]]), torch.ones(4, 2, 2)
    >>> found = predictions_of_many(X, M[:, 0], M, alpha=2.0, epsilon=0.25)
    >>> bool(torch.allclose(found, predictions(X, M[:, 0], M, alpha=2.0, epsilon=0.25)))
    True
    """
    (n, D), XT = X.shape, X.mT.contiguous()
    i, j = torch.triu_indices(D, D, device=X.device)
    entries = M.flatten(1).index_select(1, i * D + j) * (2 - (i == j).to(M.dtype))
    found = wbar @ XT
    block = max(16, PAIRS // max(len(i), 1))
    for top in range(0, n, block):
        rows = XT[:, top : top + block]
        pairs = rows.index_select(0, i).mul_(rows.index_select(0, j))
        found[:, top : top + block].addmm_(entries, pairs, alpha=epsilon / 2)
    return found.mul_(alpha)


def ntk_normalised(
    X: Float[Tensor, "*batch P D"],
    X2: Float[Tensor, "*batch Q D"],
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    epsilon: Number,
) -> Float[Tensor, "*out P Q"]:
    """Return the paper's kernel K(x, x'), the NTK divided by alpha^2/N (eqs. 5, 18).

    K(x, x') = x.x' [1 + epsilon wbar.(x + x') + epsilon^2 x^T M x'], one row of X a row.

    >>> import torch
    >>> W = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> slope = 1 + 0.25 * X @ W.T                                    # phi'(w_i.x)
    >>> gradients = slope[:, :, None] * X[:, None, :]                 # of N f / alpha, per w_i
    >>> definition = torch.einsum("pid,qid->pq", gradients, gradients) / 2
    >>> bool(torch.allclose(
    ...     ntk_normalised(X, X, W.mean(0), W.T @ W / 2, epsilon=0.25), definition))
    True
    """
    epsilon = per_sample(per_sample(epsilon))
    left, right = X @ wbar[..., None], X2 @ wbar[..., None]
    slopes = torch.matmul(X @ M, X2.mT).mul_(epsilon).add_(left).add_(right.mT)
    return slopes.mul_(epsilon).add_(1).mul_(X @ X2.mT)


def moments_fit_memory(D: int) -> None:
    """Raise ``ValueError`` if second moments of weights don't fit: before data are drawn, too."""
    size = 2 * 8.0 * positive_integer("D", D) ** 2
    fits_memory(f"D = {D}: the second moments of the weights", size)


@dataclass(frozen=True)
class Network:
    """A network at the start of its training: its scale, activation and initial weights.

    ``start`` are the initial pseudo-neurons and ``W`` (N, D) the real ones where there are any, in
    float64 on the CPU; ``readouts`` are the initial ones where they are trained, None where they
    are fixed at 1. ``centred``: f(x; w) - f(x; w0) is trained.

    >>> some = Network.checked(3, {"alpha": 2.0, "epsilon": 0.5, "width": 4})
    >>> tuple(some.W.shape), some.epsilon, some.has_moments
    ((4, 3), 0.5, True)
    """

    alpha: float
    activation: Activation
    centred: bool
    start: PseudoNeurons
    W: Float[Tensor, "N D"] | None = None
    readouts: Float[Tensor, " N"] | None = None

    @classmethod
    def checked(cls, D: int, given: Mapping[str, Any]) -> "Network":
        """Return the network of these arguments of ``train``. Raises ``ValueError``."""
        for name in ("epsilon", "sigma"):
            if abs(finite(name, given.get(name, 1.0))) > LARGEST_COEFFICIENT:
                reason = f"must be at most {LARGEST_COEFFICIENT:g} in size"
                raise ValueError(f"{name} = {given[name]:g}: {reason}")
        moments_fit_memory(D)
        W, start = _initial(D, given)
        alpha = finite("alpha", given["alpha"], nonzero=True)
        if not 1 / LARGEST_ALPHA <= abs(alpha) <= LARGEST_ALPHA:
            raise ValueError(f"alpha = {alpha:g}: must be from 1e-150 to 1e150 in size")
        centred = given.get("centred", True)
        if not isinstance(centred, bool):
            raise ValueError(f"centred = {shown(centred)}: must be True or False")
        return cls(alpha, _activation(given)[0], centred, start, W, _readouts(W, given))

    @property
    def has_moments(self) -> bool:
        """Whether (wbar, M) are all there is to know of it: f, its kernel, its training."""
        return self.readouts is None and self.quadratic

    @property
    def quadratic(self) -> bool:
        """Whether phi(h) = h + (epsilon/2) h^2."""
        return isinstance(self.activation, Curved) and self.activation.degree is None

    @property
    def epsilon(self) -> float:
        """The curvature of the quadratic activation."""
        assert isinstance(self.activation, Curved)
        return self.activation.epsilon

    @cached_property
    def start_square(self) -> float:
        """The mean over the neurons of the square of their initial weights, readouts included."""
        square = float(self.start.square())
        return square if self.readouts is None else square + float(self.readouts.square().mean())

    def with_weights(self, W: Tensor, readouts: Tensor | None) -> TwoLayer:
        """Return the network neuron by neuron, with these weights."""
        return TwoLayer(W, readouts, self.alpha, self.activation)

    def at_start(self, device: torch.device | str = "cpu") -> TwoLayer:
        """Return the network of real neurons at the start."""
        assert self.W is not None
        readouts = None if self.readouts is None else self.readouts.to(device)
        return self.with_weights(self.W.to(device), readouts)

    def first(self, X: Float[Tensor, "P D"]) -> Float[Tensor, " P"]:
        """Return f(x; w0) for every row x of X, on the CPU in float64."""
        if not self.has_moments:
            return self.at_start()(X)
        numbers = {"alpha": self.alpha, "epsilon": self.epsilon}
        return predictions(X, self.start.wbar, self.start.M, **numbers)


def _activation(given: Mapping[str, Any]) -> tuple[Activation, str]:
    k = given.get("activation_degree")
    return numeric(
        given.get("activation"),
        epsilon=given["epsilon"],
        constants=given.get("constants"),
        degree=None if k is None else degree("activation_degree", k),
    )


def activation_symbols(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of the symbols of the activation of these arguments of ``train``."""
    values = {name: float(value) for name, value in (given.get("constants") or {}).items()}
    return values | (
        {"epsilon": float(given["epsilon"])} if "epsilon" in activation_text(given) else {}
    )


def activation_text(given: Mapping[str, Any]) -> str:
    """Return the activation of these arguments of ``train`` as text."""
    return _activation(given)[1]


def _initial(D: int, given: Mapping[str, Any]) -> tuple[Tensor | None, PseudoNeurons]:
    """Return the initial neurons W, if there are any, and the pseudo-neurons."""
    width, init = given.get("width"), given.get("init")
    sigma, seed = finite("sigma", given.get("sigma", 1.0)), natural("seed", given.get("seed", 0))
    if init is None:
        if isinstance(width, float) and width == float("inf"):
            return None, PseudoNeurons.isotropic(D, sigma)
        N = positive_integer("width", WIDTH if width is None else width)
        fits_memory(f"width = {N}, D = {D}: the weights", 8.0 * N * D)
        W = sigma * standard_normal(seed, "weights", (N, D))
        return W, PseudoNeurons.from_weights(W)
    if isinstance(init, tuple):
        if len(init) != 2:
            raise ValueError(f"init is a tuple of {len(init)}: must be W or the pair (wbar, M)")
        if width is not None:
            raise ValueError(f"width = {shown(width)}: must be left out where init = (wbar, M)")
        wbar = real_array("init wbar", init[0], (D,), f"(D,) = ({D},)")
        return None, PseudoNeurons.from_moments(wbar, symmetric_matrix("init M", init[1], D))
    W = real_array("init W", init, (None, D), f"(N, D) with D = {D}")
    if width is not None and width != W.shape[0]:
        raise ValueError(
            f"width = {shown(width)}: must be {W.shape[0]}, the rows of init, or left out"
        )
    return W, PseudoNeurons.from_weights(W)


def _readouts(W: Tensor | None, given: Mapping[str, Any]) -> Tensor | None:
    """Return the initial readouts, if they are trained."""
    readouts = given.get("readouts")
    if readouts is None or (isinstance(readouts, str) and readouts == "fixed"):
        return None
    if W is None:
        raise ValueError("readouts: need a finite width, or init = W of shape (N, D)")
    N = W.shape[0]
    if isinstance(readouts, str):
        one_of("readouts", readouts, ("fixed", "trained", "gaussian"))
        return standard_normal(natural("seed", given.get("seed", 0)), "readouts", (N,))
    return real_array("readouts", readouts, (N,), f"(N,) = ({N},), or trained, or fixed")
