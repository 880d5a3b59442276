"""The times at which a run is recorded."""

from collections.abc import Iterable

import numpy as np

from lazyrich.simulate.arrays import real_array
from lazyrich.support.arguments import listed

RECORDS = 60


def default_times(time: float, fit: float) -> np.ndarray:
    """Return 0, ``RECORDS`` times spaced evenly in their logarithm from ``fit``, as many evenly.

    >>> times = default_times(1e4, 1e-3)
    >>> len(times), float(times[0]), float(times[-1])
    (120, 0.0, 10000.0)
    """
    early = np.geomspace(min(fit, time / 2), time, RECORDS)
    return np.unique(
        np.concatenate([[0.0], early, np.linspace(0, time, RECORDS + 1)[1:-1], [time]])
    )


def checked_times(record: Iterable[float] | None, time: float, fit: float) -> np.ndarray:
    """Return the times to record: those given, or the default ones.

    Raises ``ValueError`` unless they increase within [0, time].

    >>> checked_times([0.0, 1.0, 3.0], 2.0, 1.0)
    Traceback (most recent call last):
    ...
    ValueError: record = 3: must be at most time = 2
    """
    if record is None:
        return default_times(time, fit)
    times = real_array(
        "record", listed("record", record, "times"), (None,), "a list of times"
    ).numpy()
    if times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError(f"record = {times.tolist()}: must increase, from 0 or later")
    if times[-1] > time:
        raise ValueError(f"record = {times[-1]:g}: must be at most time = {time:g}")
    return times
