"""The network and the data of ``make demo``, for ``lazyrich diagnose demo_network:make``.

``python docs/demo_network.py FILE.npz`` writes the data.
"""

import sys

import numpy as np
import torch

from lazyrich import simulate

INPUTS, NEURONS, SAMPLES = 20, 100, 110


class Network(torch.nn.Module):
    """One hidden layer with the activation h + h^2/4, averaged over the neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(INPUTS, NEURONS, bias=False, dtype=torch.float64)
        torch.nn.init.normal_(self.hidden.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs, one for each row of x."""
        h = self.hidden(x)
        return (h + h**2 / 4).mean(1)


def make() -> torch.nn.Module:
    """The network at its initial weights, less its output there."""
    torch.manual_seed(0)
    return simulate.Scaled(Network(), alpha=1.0)


if __name__ == "__main__":
    task = simulate.PolynomialTask(D=INPUTS, P=SAMPLES, seed=0)
    arrays = {"X": task.X, "y": task.y, "X_test": task.X_test, "y_test": task.y_test}
    np.savez(sys.argv[1], **{name: array.numpy() for name, array in arrays.items()})
