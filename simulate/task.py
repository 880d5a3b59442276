"""The polynomial regression task of Kumar et al., Sec. 4: y = (beta.x)^2/2 on Gaussian inputs.

And its variants: any polynomial target, noise, Hermite polynomials and targets of several
directions (Sec. 15), and labels as they are given.
"""

import hashlib
import math
import os
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lazyrich.simulate.arrays import natural, real_array, standard_normal, symmetric_matrix
from lazyrich.simulate.drawing import draw, embedded, saved
from lazyrich.simulate.goals import DEFAULT, Goal
from lazyrich.simulate.hermite import Ridges, degree, hermite
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.support.arguments import (
    by_name,
    fits_memory,
    not_negative,
    positive_integer,
    shown,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Its square, and the loss of predicting nothing, must be floats.
LARGEST_NOISE = 1e100
# The squares of labels, added up, must be numbers.
LARGEST_LABEL = 1e120
# The powers of inputs of this covariance must be numbers.
LARGEST_VARIANCE = 1e50
# The size of X may be this far from that of the population, beyond what is left to chance.
FAR_OFF = 0.1
# Directions of a target: D(D + 1)/2 of them span all quadratic ones, and each costs a product.
MOST_INDICES = 10_000


class PolynomialTask:
    """P training and n_test test samples of y = (beta.x)^2/2, with x ~ N(0, inputs) in R^D.

    ``X`` (P, D), ``y`` (P,), ``beta`` (D,), ``X_test`` (n_test, D), ``y_test`` (n_test,) are
    float64 tensors on the CPU. beta ~ N(0, I) is rescaled to |beta|^2 = D, which makes y of order
    1. ``inputs`` is the covariance of x, I/D unless given, symmetric and positive definite.
    Training inputs, test inputs and beta come from independent streams of the seed; the first
    training inputs don't depend on P. Raises ``ValueError`` for bad input.

    ``target`` is any polynomial in beta.x, other directions, x'Bx and |x|^2: text such as
    "(beta.x)**3", a SymPy expression or a ``theory.Target``. ``constants`` gives its symbols values
    (vectors (D,), matrices (D, D), numbers); directions without one are drawn as beta is, each
    from the next rows of its stream. ``noise``: the standard deviation of Gaussian noise on all
    labels, which the population loss holds too.

    Variants (Sec. 15): with ``indices`` = K > 1, y = sum_k (beta_k.x)^2/2 and ``beta`` has shape
    (K, D), independent rows of |beta_k|^2 = D of which the first don't depend on K; with
    ``target_degree`` = k, He_k(beta.x) (probabilists') is in the place of (beta.x)^2/2.

    >>> task = PolynomialTask(D=3, P=5, n_test=7, seed=0)
    >>> tuple(task.X.shape), tuple(task.y_test.shape), round(float(task.beta @ task.beta), 12)
    ((5, 3), (7,), 3.0)
    >>> bool(torch.equal(task.y, (task.X @ task.beta) ** 2 / 2))
    True
    >>> two = PolynomialTask(D=3, P=5, seed=0, indices=2, target_degree=3)
    >>> h = two.X @ two.beta.T
    >>> bool(torch.allclose(two.y, (h**3 - 3 * h).sum(1)))
    True
    >>> cube = PolynomialTask(D=3, P=5, target="(beta.x)**3 + c", constants={"c": 1.0})
    >>> bool(torch.allclose(cube.y, (cube.X @ cube.beta) ** 3 + 1))
    True
    """

    X: Float[Tensor, "P D"]
    y: Float[Tensor, " P"]
    beta: Float[Tensor, "*indices D"]
    X_test: Float[Tensor, "n_test D"]
    y_test: Float[Tensor, " n_test"]
    mixing: Float[Tensor, "D D"] | None
    target_degree: int | None
    seed: int | None
    goal: Goal | None = None
    noise: float = 0.0

    @checks_its_arguments
    def __init__(
        self,
        D: int,
        P: int,
        n_test: int = 1000,
        seed: int = 0,
        inputs: object = None,
        indices: int = 1,
        target_degree: int | None = None,
        *,
        target: object = DEFAULT,
        constants: Mapping[str, Any] | None = None,
        noise: float = 0.0,
    ) -> None:
        D, P = positive_integer("D", D), positive_integer("P", P)
        n_test, seed = positive_integer("n_test", n_test), natural("seed", seed)
        if (indices := positive_integer("indices", indices)) > MOST_INDICES:
            raise ValueError(f"indices = {indices}: must be at most {MOST_INDICES}")
        self.mixing = _mixing(inputs, D)
        self.target_degree, self.seed = _degree(target_degree), seed
        fits_memory(
            f"D = {D}, P = {P}, n_test = {n_test}, indices = {indices}: the inputs and directions",
            8.0 * D * (P + n_test + indices),
        )
        self.noise = not_negative("noise", noise)
        if self.noise > LARGEST_NOISE:
            raise ValueError(f"noise = {self.noise:g}: must be at most {LARGEST_NOISE:g}")
        self.goal = _goal(target, D, by_name("constants", constants), seed)
        if self.goal is not None and (indices > 1 or target_degree is not None):
            raise ValueError("target: must be left out where indices or target_degree are given")
        beta = standard_normal(seed, "beta", (indices, D))
        beta = torch.stack([row * (D**0.5 / row.norm()) for row in beta])
        self.beta = beta[0] if indices == 1 else beta
        self.X = self._mixed(standard_normal(seed, "train inputs", (P, D)) / D**0.5)
        self.X_test = self._mixed(standard_normal(seed, "test inputs", (n_test, D)) / D**0.5)
        if self.goal is not None:
            rows = self.goal.directions
            self.beta = rows[0] if rows.shape[0] == 1 else rows
        self.y, self.y_test = self.target(self.X), self.target(self.X_test)
        self._check_labels(f"target = {self.formula()[4:]!r}")
        if self.noise:
            self.y = self.y + self.noise * standard_normal(seed, "train noise", (P,))
            self.y_test = self.y_test + self.noise * standard_normal(seed, "test noise", (n_test,))

    @classmethod
    @checks_its_arguments
    def from_arrays(
        cls,
        X: object,
        beta: object = None,
        X_test: object = None,
        inputs: object = None,
        target_degree: int | None = None,
        *,
        y: object = None,
        y_test: object = None,
        target: object = DEFAULT,
        constants: Mapping[str, Any] | None = None,
    ) -> "PolynomialTask":
        """Return the task on these inputs (P, D) and (n_test, D) with this target, beta.

        ``beta`` has shape (D,), or (K, D) for a target of K directions. In its place ``y`` (P,)
        and, where there is an ``X_test``, ``y_test`` (n_test,) may give labels of any kind; beta
        is then empty, (0, D), and no population loss is recorded. Arrays are NumPy's, torch's or
        nested lists, and are copied. Without ``X_test`` there are no test samples, and what is
        measured on them is NaN. ``inputs``: the covariance of the population whose loss is
        recorded, I/D unless given; it does nothing to X. ``target`` and ``constants`` are those of
        the class, all directions given; beta may be among the constants. Raises ``ValueError`` for
        a wrong shape or type, for entries that are not finite, and for a ``target`` whose power on
        X is not that over x ~ N(0, inputs), because X has another size.

        >>> PolynomialTask.from_arrays(X=[[1.0, 2.0]], beta=[1.0, 1.0]).y
        tensor([4.5000], dtype=torch.float64)
        >>> PolynomialTask.from_arrays(X=[[1.0, 2.0]], y=[-1.0]).y
        tensor([-1.], dtype=torch.float64)
        """
        task = cls.__new__(cls)
        task.X = real_array("X", X, (None, None), "(P, D) with P, D >= 1")
        D = task.D
        task.X_test = torch.empty(0, D, dtype=torch.float64)
        _check_powers("X", task.X)
        if X_test is not None:
            task.X_test = real_array("X_test", X_test, (None, D), f"(n_test, D) with D = {D}")
            _check_powers("X_test", task.X_test)
        task.mixing = _mixing(inputs, D)
        task.target_degree, task.seed = _degree(target_degree), None
        if not (isinstance(target, str) and target == DEFAULT):
            if y is not None:
                raise ValueError("y, target: must be given one of them, and not both")
            given = by_name("constants", constants) | ({} if beta is None else {"beta": beta})
            task.goal = Goal.read(target, D, given)
            task.beta = task.goal.directions
            task.y, task.y_test = task.target(task.X), task.target(task.X_test)
            task._check_labels(f"target = {task.formula()[4:]!r}")
            task._check_samples()
            return task
        if (beta is None) == (y is None):
            raise ValueError("beta, y: must be given one of them, and not both")
        if y is None:
            if y_test is not None:
                raise ValueError("y_test: must be left out where beta gives the labels")
            allowed = f"(D,) = ({D},) or (K, D)"
            task.beta = real_array("beta", beta, [(D,), (None, D)], allowed)
            task.y, task.y_test = task.target(task.X), task.target(task.X_test)
            task._check_labels("beta")
            return task
        if target_degree is not None or (X_test is None) != (y_test is None):
            raise ValueError(
                "y: must come without target_degree, and with y_test where there is an X_test"
            )
        task.beta = torch.empty(0, D, dtype=torch.float64)
        task.y = real_array("y", y, (task.P,), f"(P,) = ({task.P},)")
        task.y_test = torch.empty(0, dtype=torch.float64)
        if y_test is not None:
            n_test = task.X_test.shape[0]
            task.y_test = real_array("y_test", y_test, (n_test,), f"(n_test,) = ({n_test},)")
        task._check_labels("y")
        return task

    def _check_labels(self, name: str) -> None:
        """Raise ``ValueError`` where the squares of the labels would be no numbers, or all 0."""
        for side, y in (("", self.y), ("test ", self.y_test)):
            largest = float(y.abs().max()) if len(y) else 0.0
            if largest != 0 and not 1 / LARGEST_LABEL <= largest <= LARGEST_LABEL:
                allowed = f"0 or from {1 / LARGEST_LABEL:g} to {LARGEST_LABEL:g} in size"
                raise ValueError(
                    f"{name}: the largest {side}label is {largest:g}: must be {allowed}"
                )

    def __repr__(self) -> str:
        made = "from arrays" if self.seed is None else f"seed = {self.seed}"
        sizes = f"D = {self.D}, P = {self.P}, n_test = {len(self.X_test)}"
        return f"<PolynomialTask: {self.formula()}; {sizes}, {made}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>{embedded(self.plot(), 'labels of the task')}"

    def plot(self, file: str | os.PathLike | None = None) -> "Figure":
        """Draw the labels along the directions of the target, and return the figure.

        ``file``: write it there as well, as .png, .pdf or .svg.
        """
        return saved(lambda: draw("task", self), file)

    @property
    def directions(self) -> Float[Tensor, "K D"]:
        """The rows beta_k of the target; none of a task made from labels."""
        return torch.atleast_2d(self.beta)

    @property
    def has_population(self) -> bool:
        """Whether labels are known beyond the samples: not those of a task made from labels."""
        return self.goal is not None or self.directions.shape[0] > 0

    @property
    def covariance(self) -> Float[Tensor, "D D"]:
        """The covariance of the inputs."""
        if self.mixing is None:
            return torch.eye(self.D, dtype=torch.float64) / self.D
        return self.mixing @ self.mixing.T / self.D

    def target(self, X: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Return y(x) for every row x of X, without noise; not for a task made from labels."""
        if self.goal is not None:
            return self.goal(X)
        total = torch.zeros_like(X[:, 0])
        for beta in self.directions:
            h = X @ beta
            total += h**2 / 2 if self.target_degree is None else hermite(self.target_degree, h)
        return total

    def ridges(self) -> list[Ridges] | None:
        """Return the target as ridge functions of z ~ N(0, I/D), where x = mixing z.

        None for a target that is no sum of functions of one direction each.
        """
        if self.goal is not None:
            return self.goal.ridges(self.mixing)
        series = (0.5, 0.0, 0.5)  # h^2/2
        if self.target_degree is not None:
            series = (*[0.0] * self.target_degree, 1.0)
        beta = self.directions if self.mixing is None else self.directions @ self.mixing
        return [Ridges(beta, torch.ones_like(beta[:, 0]), series)]

    def size(self) -> float:
        """Return the mean over X of x^T inputs^-1 x/D, which is 1 for inputs of this covariance.

        >>> PolynomialTask.from_arrays(X=[[2.0, 0.0]], beta=[1.0, 1.0]).size()
        4.0
        """
        Z = self.X
        if self.mixing is not None:
            Z = torch.linalg.solve_triangular(self.mixing, Z.mT, upper=False).mT
        return float(Z.square().sum(1).mean())

    def has_size(self) -> bool:
        """Return whether the size of X is 1, up to chance and ``FAR_OFF``."""
        return abs(self.size() - 1) <= FAR_OFF + 5 * math.sqrt(2 / self.X.numel())

    def _check_samples(self) -> None:
        """Raise ``ValueError`` for samples on which a target has not the power that is derived."""
        if self.has_size():
            return
        assert self.goal is not None
        law = "I/D" if self.mixing is None else "inputs"
        raise ValueError(
            f"target = {self.goal.text}: its mean square is {float(self.y.square().mean()):.3g} on "
            f"X, and {self.goal.power(self.covariance):.3g} over x ~ N(0, {law}): give inputs, the "
            f"covariance of X, or divide X by {self.size() ** 0.5:.3g}"
        )

    def _mixed(self, Z: Tensor) -> Tensor:
        return Z if self.mixing is None else Z @ self.mixing.T

    @property
    def D(self) -> int:
        """The dimension of the inputs."""
        return self.X.shape[1]

    @property
    def P(self) -> int:
        """The number of training samples."""
        return self.X.shape[0]

    def isotropic(
        self, wbar: Float[Tensor, "*runs D"], M: Float[Tensor, "*runs D D"]
    ) -> tuple[Float[Tensor, "*indices D"], Float[Tensor, "*runs D"], Float[Tensor, "*runs D D"]]:
        """Return (beta, wbar, M) in the coordinates z in which the population is N(0, I/D).

        x = S z with S S^T = D covariance turns a.x into (S^T a).z and x^T M x into
        z^T (S^T M S) z, so that formulas for isotropic inputs hold for any covariance.
        """
        beta = self.beta.to(M.device)
        if self.mixing is None:
            return beta, wbar, M
        S = self.mixing.to(M.device)
        return beta @ S, wbar @ S, S.T @ M @ S

    def describe(self) -> dict:
        """Return what identifies the task: sizes, seed (None if made from arrays), a digest.

        >>> PolynomialTask(D=1, P=2, n_test=1, seed=3).describe()["seed"]
        3
        """
        digest = hashlib.sha256(repr(self.target_degree).encode())
        plain = self.goal is None and not self.noise and self.has_population
        labels = () if plain else (self.y, self.y_test)
        for array in (self.X, self.beta, self.X_test, self.mixing, *labels):
            if array is not None:
                digest.update(repr(tuple(array.shape)).encode() + array.numpy().tobytes())
        return {
            "D": self.D,
            "P": self.P,
            "n_test": self.X_test.shape[0],
            "indices": self.directions.shape[0],
            "target_degree": self.target_degree,
            "seed": self.seed,
            "target": None if self.goal is None else self.goal.text,
            "noise": self.noise,
            "formula": self.formula(),
            "sha256": digest.hexdigest(),
        }

    def formula(self) -> str:
        """Return the target as text.

        >>> PolynomialTask(D=2, P=1, indices=2).formula()
        'y = sum_k (beta_k.x)^2/2, k = 1..2'
        """
        noise = f" + noise of deviation {self.noise:g}" if self.noise else ""
        if self.goal is not None:
            return f"y = {self.goal.text}{noise}"
        indices = self.directions.shape[0]
        if indices == 0:
            return "y as given"
        argument = "beta.x" if indices == 1 else "beta_k.x"
        k = self.target_degree
        one = f"({argument})^2/2" if k is None else f"He_{k}({argument})"
        return (f"y = {one}" if indices == 1 else f"y = sum_k {one}, k = 1..{indices}") + noise


def _goal(target: object, D: int, constants: Mapping[str, Any] | None, seed: int) -> Goal | None:
    """Return the target; None for the default one, with its own names in the population loss."""
    if isinstance(target, str) and target == DEFAULT and not constants:
        return None
    return Goal.read(target, D, constants, seed)


def _degree(value: object) -> int | None:
    return None if value is None else degree("target_degree", value)


def _check_powers(name: str, X: Tensor) -> None:
    """Raise ``ValueError`` where |x|^4 of an input, which kernels and losses hold, is no number."""
    if not bool(((X**2).sum(1) ** 2).isfinite().all()):
        largest = float(X.abs().max())
        raise ValueError(
            f"{name} has entries of up to {largest:.2g}: their fourth powers must be numbers of "
            "floating point; scale the inputs"
        )


def _mixing(covariance: object, D: int) -> Tensor | None:
    """Return S with S S^T = D covariance; None for I/D."""
    if covariance is None or (isinstance(covariance, str) and covariance == "I/D"):
        return None
    if isinstance(covariance, str):
        allowed = f"I/D, or a matrix (D, D) = ({D}, {D}) of numbers"
        raise ValueError(f"inputs = {shown(covariance)}: must be {allowed}")
    matrix = symmetric_matrix("inputs", covariance, D)
    if not 1 / LARGEST_VARIANCE <= (largest := float(matrix.abs().max())) <= LARGEST_VARIANCE:
        allowed = f"from {1 / LARGEST_VARIANCE:g} to {LARGEST_VARIANCE:g}"
        raise ValueError(f"inputs has the largest entry {largest:g}: must be {allowed}")
    root, failed = torch.linalg.cholesky_ex(D * matrix)
    if int(failed):
        smallest = float(torch.linalg.eigvalsh(matrix)[0])
        raise ValueError(f"inputs has smallest eigenvalue {smallest:g}: must be positive definite")
    return root
