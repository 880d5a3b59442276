"""The linearised network on a data set: all that its training depends on.

With weights w = w0 (1 + b) + J^T a, J the Jacobian on the training set at w0, the predictor is

    f = f(w0) + K a + b g,        K the kernel to the training set, g = J w0.

Training never leaves these directions: gradients lie along J^T, weight decay along w itself.
"""

import math

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.frozen import called
from lazyrich.simulate.modules.jacobian import Network, Weights
from lazyrich.simulate.modules.ntk import ACTIVATIONS, MEMORY, as_matrix, ntk
from lazyrich.simulate.modules.slopes import NotFiniteError, check_slopes
from lazyrich.simulate.modules.trees import Tree, call, flat, rows, taken
from lazyrich.simulate.modules.untouched import differentiable


class Expansion:
    """A network linearised at its weights, on training and test samples; numbers in float64.

    ``f0``, ``f0_test``: outputs at w0, (n, *out). ``drift``, ``drift_test``: g = J w0, flat.
    """

    def __init__(self, model: nn.Module, data: Data, batch: int | None = None) -> None:
        self.model, self.data = model, data.fitted(model)
        self.n, self.m = rows("X", self.data.X), rows("X", self.data.X_test)
        with differentiable(model):
            network = Network(model, self.data.X)
            self.out, self.C, self.weights = network.out, network.C, network.weights
            self.batch = batch or network.batch(int(ACTIVATIONS * MEMORY))
            returned = call(model, taken(network.X, slice(0, 1)))
        if not isinstance(returned, Tensor):
            raise ValueError(
                f"model returns {type(returned).__name__}: must return one tensor here; wrap it in "
                "a module that returns the part that is trained on"
            )
        self.f0, self.f0_test = (self.outputs(side) for side in ("X", "X_test"))
        for name, f in (("X", self.f0), ("X_test", self.f0_test)):
            if not bool(f.isfinite().all()):
                raise ValueError(
                    f"model's outputs at {name} are not finite at its weights: weights and inputs "
                    "must be free of NaN and infinity"
                )
        self.size, self.size_test = self.n * self.C, self.m * self.C

    def check_slopes(self) -> None:
        """Raise ``NotFiniteError`` where a gradient at a training or test sample is NaN."""
        for side in ("X", "X_test"):
            check_slopes(self.model, getattr(self.data, side), side)

    def check_moves(self) -> None:
        """Raise ``ValueError`` where no weight moves any training output.

        A combination of the outputs, drawn at random, has then the gradient 0.
        """
        draws = torch.Generator().manual_seed(0)
        v = torch.randn(self.size, generator=draws, dtype=torch.float64)
        if not any(bool(part.any()) for part in self.direction(v).values()):
            raise ValueError(
                "the model's output does not depend on its weights at the samples of X: every "
                "gradient is 0, so nothing is learnt (look for dead ReLUs, saturation, sign, round)"
            )

    @property
    def kernel_bytes(self) -> int:
        """Return the memory that the kernels to the training set take, in float64."""
        return 8 * self.size * (self.size + self.size_test)

    def outputs(self, side: str, model: nn.Module | None = None) -> Tensor:
        """Return the outputs on a side of the data, of another module where one is given."""
        model = self.model if model is None else model
        with torch.no_grad(), differentiable(model):
            parts = [
                flat(called(model, part, side)).double()
                for part in self._parts(getattr(self.data, side))
            ]
        return torch.cat(parts) if parts else torch.zeros((0, *self.out), dtype=torch.float64)

    def _parts(self, X: Tree) -> list[Tree]:
        count = rows("X", X)
        return [taken(X, slice(i, i + self.batch)) for i in range(0, count, self.batch)]

    def kernels(self, memory: int = MEMORY) -> tuple[Tensor, Tensor]:
        """Return the kernels (train, train) and (test, train) as matrices."""
        X, X_test = self.data.X, self.data.X_test
        try:
            train = as_matrix(ntk(self.model, X, memory=memory, batch=self.batch)).double()
            if not self.m:
                return train, train.new_zeros(0, self.size)
            test = as_matrix(ntk(self.model, X_test, X, memory=memory, batch=self.batch)).double()
        except NotFiniteError:
            self.check_slopes()  # it knows the names of the sides
            raise
        return train, test

    def direction(self, a: Tensor) -> Weights:
        """Return J^T a, in the weights, for a with a number for each training output."""
        total: Weights = {}
        with differentiable(self.model):
            network = Network(self.model, self.data.X)
            v = a.reshape(self.n, *self.out).to(network.output_dtype)
            for i, part in enumerate(self._parts(network.X)):
                pulled = network.pulled(part, v[i * self.batch : (i + 1) * self.batch])
                total = {n: total[n] + g if total else g for n, g in pulled.items()}
        return total

    def response(self, direction: Weights) -> tuple[Tensor, Tensor]:
        """Return how outputs move along a direction in the weights: J d on both sets, flat."""
        found = []
        with differentiable(self.model):
            network = Network(self.model, self.data.X)
            for X in (self.data.X, self.data.X_test):
                parts = [_moved(network, direction, part).flatten() for part in self._parts(X)]
                found.append(torch.cat(parts).double() if parts else torch.zeros(0).double())
        return found[0], found[1]

    def product(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return K a on both sets, without the kernel."""
        moved = self.response(self.direction(a))
        if not all(math.isfinite(float(part.sum())) for part in moved):
            self.check_slopes()
        return moved

    def drifts(self) -> tuple[Tensor, Tensor]:
        """Return g = J w0 on both sets."""
        return self.response(self.weights)

    def moved(self, a: Tensor, b: float) -> dict[str, Tensor]:
        """Return the weights w0 (1 + b) + J^T a."""
        along = self.direction(a)
        return {name: value * (1 + b) + along[name] for name, value in self.weights.items()}

    def labels(self, test: bool = False) -> Tensor:
        """Return the labels of a set in the shape of the outputs. Raises ``ValueError``."""
        y, f = (self.data.y_test, self.f0_test) if test else (self.data.y, self.f0)
        if not isinstance(y, Tensor) or y.shape != f.shape:
            shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"y has shape {shape}: must be {tuple(f.shape)}, as f(X) has")
        return y.double()

    @property
    def weight_square(self) -> float:
        """Return |w0|^2."""
        return sum(float(value.double().square().sum()) for value in self.weights.values())

    @property
    def like(self) -> Tensor:
        """Return one of the weights, for its dtype."""
        return next(iter(self.weights.values()))

    @property
    def count(self) -> int:
        """Return the number of weights."""
        return sum(math.prod(value.shape) for value in self.weights.values())


def _moved(network: Network, direction: Weights, X: Tree) -> Tensor:
    try:
        return network.moved(direction, X)
    except ValueError:  # an operation without forward mode, as a packed sequence
        return network.moved_by_rows(direction, X)
