"""The polynomial regression task of Kumar et al., Sec. 4: y = (beta.x)^2/2 on Gaussian inputs."""

import hashlib

import torch
from torch import Tensor

from lazyrich.arguments import positive_integer
from lazyrich.simulate.arrays import natural, real_array, standard_normal, symmetric_matrix
from lazyrich.simulate.shapes import Float, checks_its_arguments


class PolynomialTask:
    """P training and n_test test samples of y = (beta.x)^2/2, with x ~ N(0, covariance) in R^D.

    ``X`` (P, D), ``y`` (P,), ``beta`` (D,), ``X_test`` (n_test, D), ``y_test`` (n_test,) are
    float64 tensors on the CPU. beta ~ N(0, I) is rescaled to |beta|^2 = D, which makes y of order
    1. The covariance is I/D unless given, symmetric and positive definite. Training inputs, test
    inputs and beta come from independent streams of the seed; the first training inputs don't
    depend on P. Raises ``ValueError`` for bad input.

    >>> task = PolynomialTask(D=3, P=5, n_test=7, seed=0)
    >>> tuple(task.X.shape), tuple(task.y_test.shape), round(float(task.beta @ task.beta), 12)
    ((5, 3), (7,), 3.0)
    >>> bool(torch.equal(task.y, (task.X @ task.beta) ** 2 / 2))
    True
    """

    X: Float[Tensor, "P D"]
    y: Float[Tensor, " P"]
    beta: Float[Tensor, " D"]
    X_test: Float[Tensor, "n_test D"]
    y_test: Float[Tensor, " n_test"]
    mixing: Float[Tensor, "D D"] | None

    @checks_its_arguments
    def __init__(
        self, D: int, P: int, n_test: int = 1000, seed: int = 0, covariance: object = None
    ) -> None:
        D, P = positive_integer("D", D), positive_integer("P", P)
        n_test, seed = positive_integer("n_test", n_test), natural("seed", seed)
        self.mixing = None if covariance is None else _mixing(covariance, D)
        beta = standard_normal(seed, "beta", (D,))
        self._set(
            self._mixed(standard_normal(seed, "train inputs", (P, D)) / D**0.5),
            beta * (D**0.5 / beta.norm()),
            self._mixed(standard_normal(seed, "test inputs", (n_test, D)) / D**0.5),
        )
        self.seed: int | None = seed

    @classmethod
    @checks_its_arguments
    def from_arrays(
        cls, X: object, beta: object, X_test: object = None, covariance: object = None
    ) -> "PolynomialTask":
        """Return the task on these inputs (P, D) and (n_test, D) with this target vector (D,).

        Arrays are NumPy's, torch's or nested lists, and are copied. Without ``X_test`` there are
        no test samples, and what is measured on them is NaN. ``covariance`` is that of the
        population whose loss is recorded, I/D unless given; it does nothing to X. Raises
        ``ValueError`` for a wrong shape or type, and for entries that are not finite.

        >>> PolynomialTask.from_arrays(X=[[1.0, 2.0]], beta=[1.0, 1.0]).y
        tensor([4.5000], dtype=torch.float64)
        """
        inputs = real_array("X", X, (None, None), "(P, D) with P, D >= 1")
        D = inputs.shape[1]
        vector = real_array("beta", beta, (D,), f"(D,) = ({D},)")
        test = torch.empty(0, D, dtype=torch.float64)
        if X_test is not None:
            test = real_array("X_test", X_test, (None, D), f"(n_test, D) with D = {D}")
        task = cls.__new__(cls)
        task.mixing = None if covariance is None else _mixing(covariance, D)
        task._set(inputs, vector, test)
        task.seed = None
        return task

    def _set(self, X: Tensor, beta: Tensor, X_test: Tensor) -> None:
        self.X, self.beta, self.X_test = X, beta, X_test
        self.y, self.y_test = (X @ beta) ** 2 / 2, (X_test @ beta) ** 2 / 2

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
    ) -> tuple[Float[Tensor, " D"], Float[Tensor, "*runs D"], Float[Tensor, "*runs D D"]]:
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
        digest = hashlib.sha256()
        for array in (self.X, self.beta, self.X_test, self.mixing):
            if array is not None:
                digest.update(repr(tuple(array.shape)).encode() + array.numpy().tobytes())
        return {
            "D": self.D,
            "P": self.P,
            "n_test": self.X_test.shape[0],
            "seed": self.seed,
            "sha256": digest.hexdigest(),
        }


def _mixing(covariance: object, D: int) -> Tensor:
    """Return S with S S^T = D covariance."""
    matrix = symmetric_matrix("covariance", covariance, D)
    root, failed = torch.linalg.cholesky_ex(D * matrix)
    if int(failed):
        smallest = float(torch.linalg.eigvalsh(matrix)[0])
        raise ValueError(
            f"covariance has smallest eigenvalue {smallest:g}: must be positive definite"
        )
    return root
