"""The networks of the paper, trained: tasks, engines, what is recorded, and the files of results.

>>> from lazyrich import simulate
>>> task = simulate.PolynomialTask(D=5, P=20, seed=0)
>>> run = simulate.train(task, alpha=1.0, epsilon=0.5, width=100, steps=1000)
>>> bool(run.history.train_loss[-1] < run.history.train_loss[0])
True
"""

from lazyrich.simulate.run import Run, load
from lazyrich.simulate.stability import DivergenceError
from lazyrich.simulate.sweep import sweep
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.train import train

__all__ = ["DivergenceError", "PolynomialTask", "Run", "load", "sweep", "train"]
