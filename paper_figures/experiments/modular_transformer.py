"""Modular addition in a one-layer transformer, by AdamW [Nanda et al. 2023; Kumar et al., Sec. 6].

The optimiser is that of Nanda et al.: AdamW with betas 0.9 and 0.98, ten steps of warm-up, full
batch, cross-entropy at the last position in float64; the predictor is centred.
"""

from pathlib import Path
from typing import Any

import torch
import xarray

from lazyrich.simulate import Scaled, fit, linearise
from lazyrich.simulate.modules.transformer import (
    ModularTransformer,
    classified,
    cross_entropy,
    modular_addition_tokens,
)

WARM_UP = 10
REFERENCE = 0.5  # the alpha at which rate and decay are those given
# Rule -> (a, b): the learning rate is proportional to alpha^-a, the weight decay to alpha^b.
RULES = {"fixed": (0, 0), "published": (2, 0), "controlled": (1, 1)}


def train(
    *,
    p: int,
    fraction: float,
    d_model: int,
    alpha: float,
    learning_rate: float,
    weight_decay: float,
    steps: int,
    seed: int,
    device: str,
    checkpoint: Path | None,
    rule: str = "fixed",
    linearised: bool = False,
) -> xarray.Dataset:
    """Return the history of alpha [f(x; w) - f(x; w0)], or of its linearised twin, ``linearised``.

    "published" varies the speed of the predictor and the decay of the weights per step with alpha;
    "controlled" keeps both (see ``Scaled.learning_rate``).
    """
    power, decay_power = RULES[rule]
    ratio = alpha / REFERENCE
    data = modular_addition_tokens(p, fraction, seed=seed).to(device)
    network = ModularTransformer(p, d_model=d_model, d_mlp=4 * d_model, seed=seed)
    model = Scaled(network.to(device), alpha)
    return fit(
        linearise(model) if linearised else model,
        data,
        loss=cross_entropy,
        optimiser=lambda weights: torch.optim.AdamW(
            weights,
            lr=learning_rate / ratio**power,
            betas=(0.9, 0.98),
            weight_decay=weight_decay * ratio**decay_power,
            fused=True,
        ),
        schedule=_warm_up,
        steps=steps,
        metrics={"accuracy": classified},
        checkpoint=checkpoint,
    ).history


def _warm_up(step: int) -> float:
    return min(1.0, (step + 1) / WARM_UP)


def cost(
    *, p: int, fraction: float, d_model: int, steps: int, linearised: bool = False, **_: Any
) -> tuple[float, int]:
    """Return the multiplications of an update, roughly, three a weight and sample; and updates.

    The twin evaluates the derivative of the initial network too.
    """
    weights = 9 * d_model**2 + (p + 1) * d_model
    return (5.0 if linearised else 3.0) * weights * fraction * p**2, steps
