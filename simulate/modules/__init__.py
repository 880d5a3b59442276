"""Any torch module, made lazy or linear, measured and trained.

>>> import torch
>>> from lazyrich.simulate.modules.mlp import mlp
>>> network = Scaled(mlp((2, 8, 1), torch.nn.Tanh), alpha=100.0)
>>> twin, X = linearise(network), torch.eye(2, dtype=torch.float64)
>>> data, rate = Data(X, X[:, :1], X, X[:, :1]), network.learning_rate(0.1)
>>> lazy, linear = (
...     fit(model, data, loss=torch.nn.functional.mse_loss, steps=50,
...         optimiser=lambda weights: torch.optim.SGD(weights, lr=rate))
...     for model in (network, twin))
>>> bool(abs(lazy.history.train_loss / linear.history.train_loss - 1).max() < 0.02)
True
"""

from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.fit import FitDivergenceError, fit
from lazyrich.simulate.modules.fit_flow import fit_flow
from lazyrich.simulate.modules.linearised import linearise
from lazyrich.simulate.modules.measures import (
    difficulty,
    effective_dimension,
    kernel_alignments,
    kernel_change,
    parameter_change,
    trained_weights,
    weight_norm,
)
from lazyrich.simulate.modules.ntk import as_matrix, ntk, ntk_product
from lazyrich.simulate.modules.scaled import Scaled
from lazyrich.simulate.modules.sharpness import hessian_eigenvalues, sharpness, stable_rate

__all__ = [
    "Data",
    "FitDivergenceError",
    "Scaled",
    "as_matrix",
    "difficulty",
    "effective_dimension",
    "fit",
    "fit_flow",
    "hessian_eigenvalues",
    "kernel_alignments",
    "kernel_change",
    "linearise",
    "ntk",
    "ntk_product",
    "parameter_change",
    "sharpness",
    "stable_rate",
    "trained_weights",
    "weight_norm",
]
