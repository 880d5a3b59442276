"""How a recorded quantity is labelled: a name short enough for an axis, and what it is exactly."""


def note(name: str, description: str, units: str = "1") -> dict[str, str]:
    """Return the attributes of a variable: xarray writes ``long_name`` and ``units`` on axes.

    >>> note("train_loss", "mean square error on the training set")["long_name"]
    'train loss'
    """
    return {"long_name": name.replace("_", " "), "description": description, "units": units}
