"""The time to grok: how long the test loss falls after the train loss. A censored quantity.

A loss is *learnt* at the first step from which it stays below a threshold until the end of the run
(0.1 by default, the criterion of the paper's phase diagram, against the 3/4 of predicting
nothing). The time to grok is the step at which the test loss is learnt less the one at which the
train loss is. A run ends somewhere: where its test loss is not learnt by then, the time to grok is
"more than" what was left, and where not even its train loss is, there is none.
"""

import numpy as np
import xarray

__all__ = [
    "CENSORED",
    "GROKS",
    "THRESHOLD",
    "UNFITTED",
    "learnt",
    "learnt_at",
    "median_delay",
    "time_to_grok",
]

# The criterion of the paper's phase diagram, against the 3/4 of predicting nothing.
THRESHOLD = 0.1
GROKS, CENSORED, UNFITTED = "groks", "not within the run", "train loss not learnt"


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


def learnt(loss: xarray.DataArray, threshold: float = THRESHOLD) -> xarray.DataArray:
    """Return the step from which ``loss`` stays below ``threshold``; NaN if it isn't below at last.

    ``loss`` has a dimension ``step`` with coordinates, and any others; NaN at its end (steps that
    were not recorded) is left out. See ``learnt_at``.

    >>> loss = xarray.DataArray([1.0, 0.01, 0.2, 0.05], coords={"step": [0, 10, 20, 30]})
    >>> float(learnt(loss))                                            # log 2/log 4 of the way
    25.0
    >>> float(learnt(loss, threshold=0.02))
    nan
    """
    return xarray.apply_ufunc(
        _learnt,
        loss,
        input_core_dims=[["step"]],
        kwargs={"steps": loss.step.values.astype(float), "threshold": threshold},
        vectorize=True,
        output_dtypes=[float],  # which nothing tells where there are no runs at all
    )


def _learnt(loss: np.ndarray, steps: np.ndarray, threshold: float) -> float:
    recorded = ~np.isnan(loss)
    return learnt_at(steps[recorded], loss[recorded], threshold)


def time_to_grok(
    history: xarray.Dataset, threshold: float = THRESHOLD, test: str = "population_loss"
) -> xarray.Dataset:
    """Return when the train and test loss are learnt, and the time between, of many runs.

    Variables, over all dimensions of ``history`` but ``step``: ``train`` and ``test`` (see
    ``learnt``), ``delay`` (their difference; infinite where the test loss is not learnt within
    the run, NaN where the train loss is not), ``at_least`` (the delay, or for a censored one what
    is known of it: the end of the run less ``train``), ``status`` ("groks", "not within the run",
    "train loss not learnt"). All in steps. ``test`` names the loss taken as the test loss.

    >>> steps = [0, 10, 20, 30]
    >>> runs = xarray.Dataset(coords={"step": steps, "alpha": [1.0, 2.0]})
    >>> runs["train_loss"] = ("step", [1.0, 0.01, 0.01, 0.01])
    >>> runs["population_loss"] = (("alpha", "step"), [[1.0, 1.0, 1.0, 0.01], [1.0, 1.0, 1.0, 1.0]])
    >>> found = time_to_grok(runs)
    >>> found.delay.values.tolist(), found.at_least.values.tolist(), found.status.values.tolist()
    ([20.0, inf], [20.0, 25.0], ['groks', 'not within the run'])
    """
    times = xarray.Dataset(
        {"train": learnt(history.train_loss, threshold), "test": learnt(history[test], threshold)}
    )
    fitted, generalises = times.train.notnull(), times.test.notnull()
    end = history.step.where(history[test].notnull()).max("step")
    delay = xarray.where(generalises, times.test - times.train, np.inf).where(fitted)
    times["delay"] = delay
    times["at_least"] = delay.where(np.isfinite(delay), end - times.train)
    status = xarray.where(generalises, GROKS, CENSORED)
    times["status"] = xarray.where(fitted, status, UNFITTED)
    for name in ("train", "test", "delay", "at_least"):
        times[name].attrs["units"] = "gradient steps"
    times.attrs["threshold"] = threshold
    return times


def median_delay(times: xarray.Dataset, over: str = "seed") -> xarray.DataArray:
    """Return the median delay over the seeds: infinite where half or more are censored.

    It is the true median, since all runs of a cell end at the same step. NaN where a train loss
    was not learnt in half of the runs or more.

    >>> times = xarray.Dataset({"delay": ("seed", [5.0, np.inf, 7.0])})
    >>> float(median_delay(times))
    7.0
    """
    axis = times.delay.get_axis_num(over)
    ordered = np.sort(times.delay.values, axis=axis)  # infinite after finite, NaN last
    upper = np.take(ordered, times.delay.shape[axis] // 2, axis=axis)
    return times.delay.isel({over: 0}, drop=True).copy(data=upper)
