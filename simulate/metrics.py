"""What is measured on a network: losses, the population loss by terms, alignments."""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from lazyrich.simulate.compressed import Compressed, centred, features, pays
from lazyrich.simulate.hermite import Ridges, population_by_degree
from lazyrich.simulate.network import ntk_normalised
from lazyrich.simulate.shapes import Float, Number
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.two_layer import TwoLayer

# Samples up to which the kernel of given neurons is held whole, and numbers of their gradients
# that are held at a time.
WHOLE, FEATURES = 2048, 2**20


def mean_square(f: Float[Tensor, "*batch n"], y: Float[Tensor, "... n"]) -> Float[Tensor, "*batch"]:
    """Return the mean of (f - y)^2 over the samples, without a factor 1/2; NaN of no samples.

    >>> mean_square(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
    tensor(2.)
    """
    return (f - y).square().mean(-1)


@cache
def _term_functions(name: str) -> dict:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form(name).functions("torch")


def population_terms(
    task: PolynomialTask,
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    alpha: Number,
    epsilon: Number,
) -> dict[str, Float[Tensor, "*runs"]]:
    """Return the terms of the population loss of the predictor with these (wbar, M), by eq. (6).

    Their sum is the mean of (f - y)^2 over x ~ N(0, covariance of the task). For a centred
    predictor give wbar - wbar0 and M - M0. The terms are those by Hermite degree where the target
    has a ``target_degree``, and none where the task was made from labels.

    >>> task = PolynomialTask(D=2, P=1, n_test=1)
    >>> zero = torch.zeros(2, 2, dtype=torch.float64)
    >>> terms = population_terms(task, zero[0], zero, alpha=1.0, epsilon=1.0)
    >>> round(float(sum(terms.values())), 12)                          # of f = 0: <y^2>
    0.75
    """
    if not task.has_population:
        return {}
    noise = {"label_noise": M.new_tensor(task.noise**2)} if task.noise else {}
    goal = task.goal
    if goal is not None and goal.quadratic is not None:
        c, b, B = (part.to(M.device) for part in goal.quadratic)
        Sigma = task.covariance.to(M.device)
        terms = _general_terms((c, b, B, Sigma), wbar, M, alpha=alpha, epsilon=epsilon)
        return terms | noise
    if wbar.ndim > 1 and (goal is not None or task.target_degree is not None):
        numbers = {"alpha": alpha, "epsilon": epsilon}
        each = [population_terms(task, *one, **numbers) for one in zip(wbar, M, strict=True)]
        return {name: torch.stack([one[name] for one in each]) for name in each[0]}
    beta, wbar, M = task.isotropic(wbar, M)
    if goal is not None or task.target_degree is not None:
        target = task.ridges()
        if target is None:
            return {}
        parts = [*_ridges(wbar, M, alpha, epsilon), *(part.times(-1) for part in target)]
        return population_by_degree(parts) | noise
    if beta.ndim > 1:
        Sigma = torch.eye(task.D, dtype=M.dtype, device=M.device) / task.D
        quadratic = (M.new_zeros(()), torch.zeros_like(Sigma[0]), beta.T @ beta, Sigma)
        return _general_terms(quadratic, wbar, M, alpha=alpha, epsilon=epsilon) | noise
    common, functions = {"D": task.D, "alpha": alpha}, _term_functions("test-loss")
    quadratic = common | {"epsilon": epsilon, "beta": beta, "M": M}
    return {
        "variance": functions["variance"](**quadratic),
        "misalignment": functions["misalignment"](**quadratic),
        "linear": functions["linear"](**common, wbar=wbar),
        **noise,
    }


def _general_terms(
    target: tuple[Tensor, Tensor, Tensor, Tensor],
    wbar: Tensor,
    M: Tensor,
    *,
    alpha: Number,
    epsilon: Number,
) -> dict[str, Tensor]:
    """Return the same for the target c + b.x + x^T B x/2 and inputs of covariance Sigma."""
    c, b, B, Sigma = target
    functions = _term_functions("general-test-loss")
    quadratic = {"B": B, "M": M, "Sigma": Sigma, "alpha": alpha, "epsilon": epsilon}
    linear = {"c_1": b, "wbar": wbar, "Sigma": Sigma, "alpha": alpha}
    return {
        "variance": functions["variance"](**quadratic, c_0=float(c)),
        "misalignment": functions["misalignment"](**quadratic),
        "linear": functions["linear"](**linear),
    }


def _ridges(wbar: Tensor, M: Tensor, alpha: Number, epsilon: Number) -> list[Ridges]:
    """Return f = alpha wbar.x + (alpha epsilon/2) x^T M x as ridge functions."""
    eigenvalues, vectors = torch.linalg.eigh(M)
    linear = Ridges(wbar[None], torch.ones_like(wbar[:1]), (0.0, 1.0))
    quadratic = Ridges(vectors.T, epsilon / 2 * eigenvalues, (1.0, 0.0, 1.0))
    return [linear.times(alpha), quadratic.times(alpha)]


def alignment(
    K: Float[Tensor, "*batch n n"], y: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return y^T K y/(|K|_F |y|^2), uncentred, the diagonal included; NaN where it is 0/0.

    >>> alignment(torch.tensor([[4.0, 2.0], [2.0, 1.0]]), torch.tensor([2.0, 1.0]))
    tensor(1.)
    """
    numerator = (y * (K @ y[..., None])[..., 0]).sum(-1)
    return numerator / (torch.linalg.matrix_norm(K) * y.square().sum(-1))


def centred_alignment(
    K: Float[Tensor, "*batch n n"], y: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the alignment of H K H with H y, H = I - 1 1^T/n: centred in both arguments.

    NaN where it is 0/0, that is, where all labels are equal, or K is constant, up to rounding.

    >>> K, y = torch.tensor([[4.0, 2.0], [2.0, 1.0]]), torch.tensor([2.0, 1.0])
    >>> bool(torch.allclose(centred_alignment(K, y), centred_alignment(K + 3, y + 5)))
    True
    """
    means = K.mean(-1, keepdim=True)
    H_K_H = K - means - means.mT + means.mean(-2, keepdim=True)
    size, whole = (torch.linalg.matrix_norm(each) for each in (H_K_H, K))
    found = alignment(H_K_H, centred(y[..., None])[..., 0])
    return found.where(size > K.shape[-1] * torch.finfo(K.dtype).eps * whole, float("nan"))


class Alignments:
    """``alignment`` and ``centred_alignment`` of the normalised NTK on X with y, for any weights.

    Where the samples are many and the dimensions few, samples that stand for them are found once.
    Else K is made ``block`` rows at a time, on and above the diagonal only, and never held whole:
    its norm, its row sums and K y are enough. There the centred one loses the digits of |H K H|_F^2
    against |K|_F^2, and is NaN where none is left.
    """

    def __init__(
        self, X: Float[Tensor, "n D"], y: Float[Tensor, " n"], *, block: int = 128
    ) -> None:
        self._X, self._y, self._block = X, y, block
        self._few: dict[str, Compressed] = {}
        if pays(*X.shape):
            self._few = {
                "alignment": Compressed.of(X, y),
                "centred_alignment": Compressed.of(X, y, is_centred=True),
            }

    @staticmethod
    def held(n: int, D: int) -> int:
        """Return how many numbers are held for each run."""
        if pays(n, D):
            return features(D) * max(features(D), D**2)
        return max(n, 1) * max(n, D)

    def __call__(
        self, wbar: Float[Tensor, "*runs D"], M: Float[Tensor, "*runs D D"], *, epsilon: float
    ) -> dict[str, Float[Tensor, "*runs"]]:
        """Return both, for weights of these moments; NaN where it is 0/0."""
        if self._few:
            each = {}
            for name, few in self._few.items():
                K = few.kernel(wbar, M, epsilon=epsilon)
                each[name] = alignment(K, few.y.expand(K.shape[:-1]))
            return each

        def kernel(rows: Tensor, columns: Tensor) -> Tensor:
            return ntk_normalised(rows, columns, wbar, M, epsilon=epsilon)

        if 0 < len(self._y) <= self._block:
            return _of_whole(kernel(self._X, self._X), self._y)
        return _in_blocks(kernel, self._X, self._y, wbar.shape[:-1], self._block)


def ntk_alignments(
    X: Float[Tensor, "n D"],
    y: Float[Tensor, " n"],
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    epsilon: float,
    block: int = 128,
) -> dict[str, Float[Tensor, "*runs"]]:
    """Return ``Alignments`` of these samples for these weights.

    >>> X, M = torch.tensor([[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]]), torch.eye(2)
    >>> y, wbar = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.5, 0.0])
    >>> K = ntk_normalised(X, X, wbar, M, epsilon=0.5)
    >>> both = ntk_alignments(X, y, wbar, M, epsilon=0.5, block=2)
    >>> bool(abs(both["alignment"] - alignment(K, y)) < 1e-6)
    True
    >>> bool(abs(both["centred_alignment"] - centred_alignment(K, y)) < 1e-6)
    True
    """
    return Alignments(X, y, block=block)(wbar, M, epsilon=epsilon)


def neuron_alignments(
    network: TwoLayer, X: Float[Tensor, "n D"], y: Float[Tensor, " n"], *, block: int = 128
) -> dict[str, Tensor]:
    """Return the same of a network's own neurons.

    K is held whole where it is small. Else its features are used, K = J J^T: y^T K y = |J^T y|^2
    and |K|_F = |J^T J|_F, where that is less work than ``block`` rows of K at a time.

    >>> from lazyrich.simulate.activations import Curved
    >>> X, y = torch.tensor([[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]]), torch.tensor([1.0, 2.0, 0.0])
    >>> found = neuron_alignments(TwoLayer(torch.eye(2), None, 1.0, Curved(0.5)), X, y)
    >>> {name: round(float(value), 4) for name, value in found.items()}
    {'alignment': 0.7243, 'centred_alignment': 0.5882}
    """
    n, (N, D) = X.shape[0], network.W.shape
    if n <= WHOLE:
        return _of_whole(network.ntk_normalised(X, X), y)
    if n * (N + D) > (N * (D + 1)) ** 2:
        return _by_features(network, X, y)
    return _in_blocks(network.ntk_normalised, X, y, (), block)


def _of_whole(K: Tensor, y: Tensor) -> dict[str, Tensor]:
    y = y.expand(K.shape[:-1])
    return {"alignment": alignment(K, y), "centred_alignment": centred_alignment(K, y)}


def _by_features(network: TwoLayer, X: Tensor, y: Tensor) -> dict[str, Tensor]:
    N, (n, D) = network.W.shape[0], X.shape
    parts = range(0, n, max(1, FEATURES // (N * (D + 1))))
    blocks = [slice(top, top + parts.step) for top in parts]
    mean = sum(network.features(X[rows]).sum(0) for rows in blocks) / n
    found, whole = {}, X.new_zeros(())
    for name, shift, labels in (
        ("alignment", 0.0, y),
        ("centred_alignment", mean, centred(y[:, None])[:, 0]),
    ):
        gram, with_labels = 0.0, 0.0
        for rows in blocks:
            J = network.features(X[rows]) - shift
            gram, with_labels = gram + J.T @ J, with_labels + labels[rows] @ J
        square, numerator = (torch.as_tensor(part).square().sum() for part in (gram, with_labels))
        whole = torch.maximum(whole, square)  # that of K itself, which comes first
        square = square.where(square > (n * torch.finfo(X.dtype).eps) ** 4 * whole, 0.0)
        found[name] = _quotient(numerator, square, labels.square().sum())
    return found


def _in_blocks(
    kernel: Callable[[Tensor, Tensor], Tensor],
    X: Tensor,
    y: Tensor,
    runs: Sequence[int],
    block: int,
) -> dict[str, Tensor]:
    """Return both alignments of kernel(X, X), of shape (*runs, n, n)."""
    n = X.shape[0]
    sides = torch.stack([torch.ones_like(y), y], 1)
    products = X.new_zeros(*runs, n, 2)  # K 1 and K y
    square = X.new_zeros(runs)  # |K|_F^2
    for top in range(0, n, block):
        end = min(top + block, n)
        K = kernel(X[top:end], X[top:])
        mirrored = K[..., end - top :]
        products[..., top:end, :] += K @ sides[top:]
        products[..., end:, :] += mirrored.mT @ sides[top:end]
        within, beyond = (part.square().sum((-2, -1)) for part in (K[..., : end - top], mirrored))
        square += within + 2 * beyond
    sums = sides.T @ products
    ones_K_ones, ones_K_y, y_K_y = sums[..., 0, 0], sums[..., 0, 1], sums[..., 1, 1]
    mean, power = y.mean(), y.square().sum()
    rows = products[..., 0].square().sum(-1)
    centred_square = square - 2 * rows / max(n, 1) + (ones_K_ones / max(n, 1)) ** 2
    centred_square = centred_square.where(
        centred_square > n * torch.finfo(y.dtype).eps * square, 0.0
    )
    centred_power = centred(y[:, None]).square().sum()
    centred_y_K_y = y_K_y - 2 * mean * ones_K_y + mean**2 * ones_K_ones
    return {
        "alignment": _quotient(y_K_y, square, power),
        "centred_alignment": _quotient(centred_y_K_y, centred_square, centred_power),
    }


def _quotient(numerator: Tensor, kernel_square: Tensor, power: Tensor) -> Tensor:
    defined = (kernel_square > 0) & (power > 0)
    return torch.where(defined, numerator / (kernel_square.sqrt() * power), float("nan"))
