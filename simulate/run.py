"""A finished run, and the file that it is kept in."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray
from torch import Tensor

from lazyrich.simulate.netcdf import encoded
from lazyrich.support.files import write_whole

# Raise it when a file written before could be misread, and say so in the changelog.
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """What ``train`` returns.

    ``history``: an ``xarray.Dataset`` over ``step``. ``state``: the final weights W (N, D) of the
    ``neurons`` engine, the pair (wbar, M) of the others, float64 on the CPU; ``train(init=...)``
    takes either. Networks of two layers of opposite sign, u and v or U and V, have these by name.
    ``readouts``: the final ones (N,) where they were trained, which ``train(readouts=...)`` takes.
    ``config``: the arguments of the run and the versions that made it, as JSON holds them.
    """

    history: xarray.Dataset
    state: Any  # which of the three is known to the engine, not to a type checker
    config: dict
    readouts: Tensor | None = None

    def save(self, path: str | os.PathLike) -> None:
        """Write the run to a netCDF-4 file, whole or not at all; ``load`` reads it back.

        The file appears under its name only when it is complete and on the disk. Raises
        ``OSError`` with one clear line where the folder is missing, not writable, or full.
        """
        content = self.to_bytes()
        write_whole(path, lambda part: part.write_bytes(content))

    def to_bytes(self) -> bytes:
        """Return the content of the file that ``save`` writes."""
        state: dict[str, tuple]
        if isinstance(self.state, Tensor):
            state = {"W": (("neuron", "input"), self.state.numpy())}
        elif isinstance(self.state, dict):
            state = {
                name: (tuple(f"{name}_{axis}" for axis in range(part.ndim)), part.numpy())
                for name, part in self.state.items()
            }
        else:
            wbar, M = self.state
            state = {"wbar": ("input", wbar.numpy()), "M": (("input", "input_"), M.numpy())}
        if self.readouts is not None:
            state["readouts"] = ("neuron", self.readouts.numpy())
        # Built in memory: HDF5 on a full disk leaves more than one line behind.
        return encoded(
            {"history": self.history, "state": xarray.Dataset(state)},
            {"lazyrich_format": FORMAT, "config": json.dumps(self.config)},
        )


def load(path: str | os.PathLike) -> Run:
    """Return the run in this file, as ``Run.save`` wrote it.

    Raises ``FileNotFoundError`` where there is no file, and ``ValueError`` where it is truncated,
    no result of lazyrich, or of another version of the format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file")
    try:
        with xarray.open_datatree(path, engine="h5netcdf") as tree:
            attributes = tree.attrs
            found = attributes.get("lazyrich_format")
            if found is None:
                raise ValueError(f"{path}: not a result of lazyrich")
            if int(found) != FORMAT:
                raise ValueError(
                    f"{path}: result of format {int(found)}: this version reads format {FORMAT}"
                )
            history = tree["history"].to_dataset().load()
            state = tree["state"].to_dataset().load()
            config = json.loads(attributes["config"])
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: truncated or not a netCDF file ({error})") from error
    tensors = {str(name): torch.tensor(variable.values) for name, variable in state.items()}
    readouts = tensors.pop("readouts", None)
    if "W" in tensors:
        return Run(history, tensors["W"], config, readouts)
    pair = set(tensors) == {"wbar", "M"}
    return Run(history, (tensors["wbar"], tensors["M"]) if pair else tensors, config, readouts)
