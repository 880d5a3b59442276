"""What to try, from the phase, its cause and the pilot runs."""

import math
from collections.abc import Sequence

from lazyrich.simulate.diagnosis.extrapolation import cut_short, enough
from lazyrich.simulate.diagnosis.pilots import Pilot
from lazyrich.simulate.outcome import GROKS, MEMORISES, SHARE, UNFITTED

# Causes of a phase that advice depends on.
COLLAPSE, SLOW_KERNEL, DECAY = "collapse", "slow kernel", "decay"
OPTIMISER, OTHER = "optimiser", "other"


def advice(
    phase: str, cause: str, pilots: Sequence[Pilot], floor: float = math.nan, decay: float = 0.0
) -> str:
    """Return what to try, empty where there is nothing to mend.

    ``floor``: the train loss that the lazy twin comes to in the end, over that of predicting
    nothing, NaN where it is not known. ``decay``: the weight decay.

    >>> advice("generalises at once", OTHER, [])
    ''
    >>> advice("groks", COLLAPSE, [])
    'Compute the loss in float64, or use smaller logits.'
    >>> advice("not fitted", OTHER, [], 0.01)
    'Train longer, or raise the learning rate as far as it is stable.'
    >>> advice("not fitted", OTHER, [], 0.5, 0.1)
    'Lower the weight decay: with it the lazy twin ends at a train loss of 0.5 times that of \
predicting nothing, however long it is trained.'
    """
    if phase == UNFITTED:
        return _to_fit(pilots, floor, decay)
    if phase not in (GROKS, MEMORISES):
        return ""
    if cause == COLLAPSE:
        return "Compute the loss in float64, or use smaller logits."
    if cause == SLOW_KERNEL:
        return (
            "Use more samples, or inputs and an architecture whose kernel fits the labels better; "
            "a smaller output (alpha f, with a smaller alpha) may not help."
        )
    if cause == OPTIMISER:
        return "Use plain SGD, with or without momentum, or a smaller learning rate."
    if cause == DECAY:
        return (
            "Raise the weight decay or start with a smaller output: the delay is about "
            "log(alpha)/weight_decay."
        )
    better = [pilot for pilot in pilots if math.isfinite(pilot.outcome.test_fall)]
    if better:
        ratios = [p.outcome.test_fall / max(p.outcome.train_fall, 1e-300) for p in better]
        best = min(range(len(better)), key=ratios.__getitem__)
        times = 1 / better[best].r
        when = f"{ratios[best]:.2g} times as late as the train loss"
        if ratios[best] <= 1.2:
            when = "with the train loss"
        return (
            f"Make it richer: divide the output (alpha) by {times:.3g} and multiply the learning "
            f"rate by {times**2:.3g}; the test loss then falls {when}."
        )
    if cut_short(pilots):
        return (
            f"Give the pilot runs a larger budget (about {enough(pilots[-1]):,.0f}): none fitted, "
            "so that they don't say whether a smaller output helps."
        )
    if pilots:
        return (
            "Use more samples or another architecture: a smaller output alone did not generalise "
            "in the pilot runs."
        )
    return "Make it richer: divide alpha by 10 and multiply the learning rate by 100."


def _to_fit(pilots: Sequence[Pilot], floor: float, decay: float) -> str:
    """Return what to try where the training set is not fitted."""
    if not floor > SHARE and cut_short(pilots):
        return (
            f"Give the pilot runs a larger budget (about {enough(pilots[-1]):,.0f}): none fitted, "
            "so that they hardly say when the network does."
        )
    if not floor > SHARE:
        return "Train longer, or raise the learning rate as far as it is stable."
    ends = f"the lazy twin ends at a train loss of {floor:.2g} times that of predicting nothing"
    fitted = [pilot for pilot in pilots if math.isfinite(pilot.outcome.train_fall)]
    if decay > 0:
        return f"Lower the weight decay: with it {ends}, however long it is trained."
    if fitted:
        times = 1 / fitted[0].r
        return (
            f"Make it richer: divide the output (alpha) by {times:.3g} and multiply the learning "
            f"rate by {times**2:.3g}; such a copy fitted, but {ends}."
        )
    return f"Use a larger network, or other inputs: {ends}, however long it is trained."
