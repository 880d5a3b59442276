"""Histories over time, told by the number of the record."""

import numpy as np
import xarray


def by_record(history: xarray.Dataset) -> xarray.Dataset:
    """Return a history over time as one over ``step``, the number of the record from 1.

    The time becomes a variable: runs that are recorded at other times can then be joined.

    >>> by_record(xarray.Dataset(coords={"time": [0.5, 2.0]})).time.values.tolist()
    [0.5, 2.0]
    """
    found = history.drop_vars("time").rename_dims(time="step")
    found["time"] = ("step", history.time.values, history.time.attrs)
    return found.assign_coords(step=np.arange(1, history.sizes["time"] + 1))
