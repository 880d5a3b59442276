"""A network that learns the outputs of another [Liu et al. 2022; Kumar et al. 2024, Sec. 8.3.1]."""

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import natural, standard_normal
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import positive_integer

WIDTHS = (5, 100, 100, 5)


@checks_its_arguments
def student_teacher(
    P: int = 100,
    n_test: int = 100,
    *,
    scale: float = 2.0,
    seed: int = 0,
    widths: tuple[int, ...] = WIDTHS,
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Sequential, Data]:
    """Return a student and its task: inputs N(0, I), labelled by a teacher of the same shape.

    Both are tanh perceptrons with biases at torch's default initialisation, all parameters of the
    student multiplied by ``scale``. Student, teacher and inputs have streams of their own.

    >>> student, data = student_teacher(P=10, n_test=20)
    >>> data.X.shape, data.y_test.shape, student(data.X).shape
    (torch.Size([10, 5]), torch.Size([20, 5]), torch.Size([10, 5]))
    """
    natural("seed", seed)
    sizes = {
        "train inputs": positive_integer("P", P),
        "test inputs": positive_integer("n_test", n_test),
    }
    teacher = mlp(widths, nn.Tanh, seed=seed, name="teacher")
    sides = []
    with torch.no_grad():
        for name, n in sizes.items():
            X = standard_normal(seed, name, (n, widths[0]))
            sides += [X.to(dtype), teacher(X).to(dtype)]
    return mlp(widths, nn.Tanh, scale=scale, seed=seed, dtype=dtype), Data(*sides)


def within(threshold: float, f: Tensor, y: Tensor) -> Tensor:
    """Return the part of the entries with |f - y| <= threshold: an accuracy for regression.

    [Kumar et al. 2024, Sec. 16.2]. Give it to ``fit`` as ``partial(within, 1e-3)``.

    >>> within(0.1, torch.tensor([[1.0, 2.0]]), torch.tensor([[1.05, 2.2]])).item()
    0.5
    """
    return ((f - y).abs() <= threshold).double().mean()
