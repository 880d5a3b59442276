"""What is measured along a run of a linear predictor w(t): losses, accuracies, norms, margins."""

import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate.labels import note
from lazyrich.simulate.lyu.linear_task import LinearTask
from lazyrich.simulate.lyu.losses import CLASSIFICATION, Loss
from lazyrich.simulate.shapes import Float

# Name -> (what it is, unit).
DESCRIPTIONS = {
    "train_loss": ("mean loss on the training set, without weight decay", "1"),
    "test_loss": ("mean loss on the test set; NaN without a test set", "1"),
    "train_accuracy": ("share of the training set with y f > 0", "1"),
    "test_accuracy": ("share of the test set with y f > 0; NaN without a test set", "1"),
    "zero_train_loss": ("train loss of f = 0", "1"),
    "zero_test_loss": ("test loss of f = 0; NaN without a test set", "1"),
    "l1_norm": ("|w|_1", "1"),
    "l2_norm": ("|w|_2", "1"),
    "l1_margin": ("min_i y_i f_i/|w|_1", "1"),
    "l2_margin": ("min_i y_i f_i/|w|_2", "1"),
}


def measure(task: LinearTask, loss: Loss, w: Float[Tensor, "records d"]) -> dict[str, np.ndarray]:
    """Return every measurement that the loss allows, over the records; one pass of the test set.

    The losses of f = 0, by which an outcome is judged, are one number each. Accuracies
    and margins are those of classification; margins are NaN at w = 0.
    """
    f = w @ task.X.T
    l1, l2 = w.abs().sum(1), w.norm(dim=1)
    found = {
        "train_loss": loss.value(f, task.y).mean(1),
        "zero_train_loss": loss.value(torch.zeros_like(task.y), task.y).mean(),
        "l1_norm": l1,
        "l2_norm": l2,
    }
    classifies = loss.kind == CLASSIFICATION
    if classifies:
        smallest = (task.y * f).amin(1)
        found |= {"l1_margin": smallest / l1, "l2_margin": smallest / l2}
        found["train_accuracy"] = (task.y * f > 0).double().mean(1)
    count, zero = 0, torch.zeros((), dtype=torch.float64)
    total, right = torch.zeros((2, w.shape[0]), dtype=torch.float64)
    for X, y in task.test_chunks():
        f = w @ X.T
        total += loss.value(f, y).sum(1)
        right += (y * f > 0).sum(1)
        zero += loss.value(torch.zeros_like(y), y).sum()
        count += len(y)
    found["zero_test_loss"] = zero / count if count else torch.full_like(zero, torch.nan)
    found["test_loss"] = total / count if count else torch.full_like(total, torch.nan)
    if classifies:
        found["test_accuracy"] = right / count if count else torch.full_like(right, torch.nan)
    return {name: found[name].numpy() for name in DESCRIPTIONS if name in found}


def history(
    times: np.ndarray, scale: np.ndarray, measured: dict[str, np.ndarray], conventions: str
) -> xarray.Dataset:
    """Return the measurements as a dataset over ``time``, with the decaying scale."""
    label = note("time", "time of gradient flow, learning rate times step")
    found = xarray.Dataset(coords={"time": ("time", times, label)})
    label = note("scale", "alpha exp(-lambda t): what is left of the initial scale")
    found = found.assign_coords(scale=("time", scale, label))
    for name, values in measured.items():
        description, unit = DESCRIPTIONS[name]
        dimensions = ("time",) if values.ndim else ()
        found[name] = (dimensions, values, note(name, description, unit))
    found.attrs["conventions"] = conventions
    return found
