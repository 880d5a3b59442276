"""The networks of the paper, trained: tasks, engines, what is recorded, and the files of results.

For any torch module: ``Scaled`` makes it lazy, ``linearise`` is its
linearised twin, ``ntk`` and what follows it measure it, and ``fit`` trains it (``modules``).

>>> from lazyrich import simulate
>>> task = simulate.PolynomialTask(D=5, P=20, seed=0)
>>> run = simulate.train(task, alpha=1.0, epsilon=0.5, width=100, steps=1000)
>>> bool(run.history.train_loss[-1] < run.history.train_loss[0])
True
"""

import importlib
from typing import TYPE_CHECKING, Any

from lazyrich.simulate.many import run_many
from lazyrich.simulate.outcome import Outcome, time_to_grok
from lazyrich.simulate.run import Run, load
from lazyrich.simulate.stability import DivergenceError, NumericalError
from lazyrich.simulate.sweep import sweep
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.train import train

if TYPE_CHECKING:
    from lazyrich.simulate.diagnosis import Diagnosis, diagnose, lazy_curve
    from lazyrich.simulate.laws.prediction import Prediction, forecast
    from lazyrich.simulate.lyu import (
        CompletionTask,
        DiagonalNet,
        LinearTask,
        MatrixFactorisation,
        large_margin_classification,
        matrix_completion,
        sparse_classification,
        sparse_regression,
    )
    from lazyrich.simulate.modules import (
        Data,
        FitDivergenceError,
        Scaled,
        as_matrix,
        difficulty,
        effective_dimension,
        fit,
        fit_flow,
        hessian_eigenvalues,
        kernel_alignments,
        kernel_change,
        linearise,
        ntk,
        ntk_product,
        parameter_change,
        sharpness,
        stable_rate,
        trained_weights,
        weight_norm,
    )
    from lazyrich.simulate.pictures import animate, plot_sweep

__all__ = [
    "CompletionTask",
    "Data",
    "Diagnosis",
    "DiagonalNet",
    "DivergenceError",
    "FitDivergenceError",
    "LinearTask",
    "MatrixFactorisation",
    "NumericalError",
    "Outcome",
    "PolynomialTask",
    "Prediction",
    "Run",
    "Scaled",
    "animate",
    "as_matrix",
    "diagnose",
    "difficulty",
    "effective_dimension",
    "fit",
    "fit_flow",
    "forecast",
    "hessian_eigenvalues",
    "kernel_alignments",
    "kernel_change",
    "large_margin_classification",
    "lazy_curve",
    "linearise",
    "load",
    "matrix_completion",
    "ntk",
    "ntk_product",
    "parameter_change",
    "plot_sweep",
    "run_many",
    "sharpness",
    "sparse_classification",
    "sparse_regression",
    "stable_rate",
    "sweep",
    "time_to_grok",
    "train",
    "trained_weights",
    "weight_norm",
]


def __getattr__(name: str) -> Any:
    """Load on first use what is there for any torch module, and the models of Lyu et al."""
    if name in __all__:
        # The last loads SciPy.
        for part in ("modules", "diagnosis", "laws.prediction", "pictures", "lyu"):
            module = importlib.import_module(f"lazyrich.simulate.{part}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
