"""Histories over time, told by the number of the record."""

import numpy as np
import xarray


def by_record(history: xarray.Dataset) -> xarray.Dataset:
    """Return a history over time as one over ``step``, the number of the record from 1.

    The time becomes a variable: runs that are recorded at other times can then be joined.

    >>> curve = xarray.Dataset({"loss": ("time", [2.0, 1.0])}, {"time": [0.5, 4.0]})
    >>> found = by_record(curve)
    >>> found.loss.dims, found.step.values.tolist(), found.time.values.tolist()
    (('step',), [1, 2], [0.5, 4.0])
    """
    found = history.drop_vars("time").rename_dims(time="step")
    found["time"] = ("step", history.time.values, history.time.attrs)
    return found.assign_coords(step=np.arange(1, history.sizes["time"] + 1))
