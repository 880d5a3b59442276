"""The networks of the paper, trained: tasks, engines, what is recorded, and the files of results.

>>> from lazyrich import simulate
>>> task = simulate.PolynomialTask(D=5, P=20, seed=0)
>>> run = simulate.train(task, alpha=1.0, epsilon=0.5, width=100, steps=1000)
>>> bool(run.history.train_loss[-1] < run.history.train_loss[0])
True
"""

import importlib
from typing import TYPE_CHECKING, Any

from lazyrich.simulate.run import Run, load
from lazyrich.simulate.stability import DivergenceError
from lazyrich.simulate.sweep import sweep
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.train import train

if TYPE_CHECKING:
    from lazyrich.simulate.dichotomy import (
        CompletionTask,
        DiagonalNet,
        LinearTask,
        MatrixFactorisation,
        large_margin_classification,
        matrix_completion,
        sparse_classification,
        sparse_regression,
    )

# The models of Lyu et al.: loaded on first use.
_DICHOTOMY = (
    "CompletionTask",
    "DiagonalNet",
    "LinearTask",
    "MatrixFactorisation",
    "large_margin_classification",
    "matrix_completion",
    "sparse_classification",
    "sparse_regression",
)

__all__ = [
    "CompletionTask",
    "DiagonalNet",
    "DivergenceError",
    "LinearTask",
    "MatrixFactorisation",
    "PolynomialTask",
    "Run",
    "large_margin_classification",
    "load",
    "matrix_completion",
    "sparse_classification",
    "sparse_regression",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _DICHOTOMY:
        return getattr(importlib.import_module("lazyrich.simulate.dichotomy"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
