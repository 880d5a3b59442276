"""A tanh student of a tanh teacher, trained by AdamW [Liu et al. 2022; Kumar et al. 2024, 8.3.1].

The student starts with all parameters doubled. The predictor is alpha f(x; w), uncentred, as in the
published settings.
"""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import xarray
from torch.nn.functional import mse_loss

from lazyrich.simulate import Scaled, fit, linearise
from lazyrich.simulate.modules.student_teacher import WIDTHS, student_teacher, within


def train(
    *,
    P: int,
    n_test: int,
    alpha: float,
    learning_rate: float,
    weight_decay: float,
    thresholds: list[float],
    steps: int,
    seed: int,
    device: str,
    checkpoint: Path | None,
    linearised: bool = False,
) -> xarray.Dataset:
    """Return the history of the student, or of its linearised twin, on the full batch in float32.

    The loss is the mean of squared errors over samples and outputs; accuracies, over ``threshold``,
    are the part of the outputs that are within a threshold of the teacher's.
    """
    student, data = student_teacher(P, n_test, seed=seed, dtype=torch.float32)
    model = Scaled(student.to(device), alpha, centred=False)
    history = fit(
        linearise(model) if linearised else model,
        data.to(device),
        loss=mse_loss,
        optimiser=lambda weights: torch.optim.AdamW(
            weights, lr=learning_rate, weight_decay=weight_decay, fused=True
        ),
        steps=steps,
        metrics={f"within_{threshold:g}": partial(within, threshold) for threshold in thresholds},
        checkpoint=checkpoint,
    ).history
    for side in ("train", "test"):
        names = [f"{side}_within_{threshold:g}" for threshold in thresholds]
        joined = xarray.concat([history[name] for name in names], "threshold")
        history[f"{side}_accuracy"] = joined.assign_coords(threshold=thresholds)
        history = history.drop_vars(names)
    return history


def cost(*, P: int, steps: int, **_: Any) -> tuple[float, int]:
    """Return the multiplications of an update, roughly, three a weight and sample; and updates."""
    weights = sum(a * b for a, b in pairwise(WIDTHS))
    return 3.0 * P * weights, steps
