"""The models of Lyu et al. (2024): early and late biases of training from a large scale.

>>> from lazyrich.simulate import lyu
>>> task = lyu.sparse_classification(d=50, n=10, seed=0)
>>> run = lyu.DiagonalNet(start=0.1).train(task, alpha=50.0, weight_decay=1e-3, time=4e3)
>>> float(run.history.train_accuracy[-1])
1.0
"""

from lazyrich.simulate.lyu.completion_task import CompletionTask, matrix_completion
from lazyrich.simulate.lyu.descent import StabilityWarning
from lazyrich.simulate.lyu.diagonal import DiagonalNet
from lazyrich.simulate.lyu.dual import SolverError
from lazyrich.simulate.lyu.factorisation import MatrixFactorisation
from lazyrich.simulate.lyu.linear_task import (
    LinearTask,
    large_margin_classification,
    sparse_classification,
    sparse_regression,
)

__all__ = [
    "CompletionTask",
    "DiagonalNet",
    "LinearTask",
    "MatrixFactorisation",
    "SolverError",
    "StabilityWarning",
    "large_margin_classification",
    "matrix_completion",
    "sparse_classification",
    "sparse_regression",
]
