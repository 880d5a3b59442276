"""When accuracies and losses cross a threshold along the runs of the dichotomy."""

import numpy as np
from xarray import DataArray, Dataset


def crossing(values: DataArray, time: DataArray, threshold: float, *, above: bool) -> np.ndarray:
    """Return the time from which on values stay above (below) the threshold; infinite if never.

    Both over (..., step); the result over the others. Between two records it is interpolated in
    the logarithm of values that are positive, else linearly.

    >>> time = DataArray([1.0, 2.0, 3.0], dims="step")
    >>> crossing(DataArray([0.5, 0.8, 1.0], dims="step"), time, 0.9, above=True).round(2)
    np.float64(2.53)
    >>> crossing(DataArray([1.0, 0.1, 1.0], dims="step"), time, 0.5, above=False)
    array(inf)
    """
    last = values.get_axis_num("step")
    good = np.moveaxis((values > threshold if above else values < threshold).values, last, -1)
    stays = np.flip(np.logical_and.accumulate(np.flip(good, -1), -1), -1)
    first = np.where(stays.any(-1), stays.argmax(-1), -1)
    v = np.moveaxis(values.values, last, -1)
    t = np.broadcast_to(time.values, v.shape)
    found = np.full(first.shape, np.inf)
    for index in np.ndindex(first.shape):
        i = first[index]
        if i == 0:
            found[index] = t[(*index, 0)]
        elif i > 0:
            found[index] = _between(v[index], t[index], int(i), threshold)
    return found


def learnt_at(runs: Dataset, level: float) -> DataArray:
    """Return the time from which on the test accuracy stays above ``level``; infinite if never."""
    times = crossing(runs.test_accuracy, runs.time, level, above=True)
    like = runs.test_accuracy.isel(step=0)
    return DataArray(times, like.coords, like.dims)


def _between(v: np.ndarray, t: np.ndarray, i: int, threshold: float) -> float:
    low, high, level = v[i - 1], v[i], threshold
    if min(low, high) > 0:
        low, high, level = np.log([low, high, level])
    return float(t[i - 1] + (t[i] - t[i - 1]) * (level - low) / (high - low))
