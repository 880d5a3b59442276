"""When a loss is learnt: what the time to grok is counted from, and to."""

import numpy as np

# The criterion of the paper's phase diagram, against the 3/4 of predicting nothing.
THRESHOLD = 0.1


def learnt_at(steps: np.ndarray, loss: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Return the step from which a recorded loss stays below ``threshold``; NaN if it never does.

    Both have shape (records,). Between the last record above and the first below, log(loss) is
    taken as linear in the step.

    >>> learnt_at(np.array([0, 10, 20, 30]), np.array([1.0, 0.01, 0.2, 0.05]))  # log 2/log 4
    25.0
    >>> learnt_at(np.array([0, 10]), np.array([1.0, 0.2]))
    nan
    """
    if loss.size == 0 or loss[-1] >= threshold:
        return np.nan
    above = np.flatnonzero(loss >= threshold)
    if above.size == 0:
        return float(steps[0])
    i = above[-1]
    part = np.log(loss[i] / threshold) / np.log(loss[i] / loss[i + 1])
    return float(steps[i] + part * (steps[i + 1] - steps[i]))
