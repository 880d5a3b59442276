"""A finished training run: what every trainer returns, and the file that it is kept in."""

import io
import json
import numbers
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate.activations import DEFAULT
from lazyrich.simulate.drawing import draw, embedded, saved
from lazyrich.simulate.layout import Layouts
from lazyrich.simulate.netcdf import check_contents, decoded
from lazyrich.simulate.outcome import SHARE, Outcome, outcome
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import escaped
from lazyrich.support.files import has_checksum, is_damaged, user_path, with_checksum, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Raise it when a file written before could be misread, and say so in the changelog.
FORMAT = 1
_LAYOUTS = Layouts()
# What a repr shows of a configuration, in this order.
_SHOWN = (
    "engine",
    "D",
    "P",
    "d",
    "n",
    "width",
    "activation",
    "alpha",
    "epsilon",
    "learning_rate",
    "steps",
    "time",
)


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run, as ``train``, ``fit`` and the other trainers return it.

    ``history``: what was measured, an ``xarray.Dataset`` over ``step`` or ``time``. ``state``: the
    final weights, float64 on the CPU for ``train``: W (N, D) of the engine ``neurons``, the pair
    (wbar, M) of the others; ``train(init=...)`` takes either. Other trainers give arrays by name.
    ``readouts``: the final ones (N,) where they were trained, which ``train(readouts=...)`` takes.
    ``config``: the arguments of the run and the versions that made it, as JSON holds them.

    >>> history = xarray.Dataset(coords={"step": [0, 10, 20]})
    >>> history["train_loss"] = ("step", [1.0, 0.01, 0.001])
    >>> history["test_loss"] = ("step", [1.0, 0.9, 0.8])
    >>> history["zero_train_loss"] = history["zero_test_loss"] = 1.0
    >>> Run(history, {"w": np.zeros(3)}, {"alpha": 2.0, "steps": 20})
    <Run: alpha = 2, steps = 20
      train loss 0.001, test loss 0.8 at step 20
      memorises: train loss falls at step 4.375, test loss not within 20 steps>
    """

    history: xarray.Dataset
    state: Any  # which kind is known to the trainer, not to a type checker
    config: dict
    readouts: Tensor | None = None

    @checks_its_arguments
    def outcome(
        self, *, share: float = SHARE, threshold: float | None = None, test: str | None = None
    ) -> Outcome:
        """Return when the losses fell, the delay and the phase; see ``outcome.outcome``.

        ``share``: a loss has fallen below this share of the loss of predicting nothing;
        ``threshold``: below this number instead. ``test``: the name of the test loss.
        """
        return outcome(self.history, share=share, threshold=threshold, test=test)

    def plot(self, to: "Axes | str | os.PathLike | None" = None) -> "Figure":
        """Draw the losses, with the times at which they fall, and return the figure.

        ``to``: a file to write as well (.png, .pdf or .svg), or matplotlib's axes to draw into.
        Draws into a figure of its own unless axes are given.
        """
        if hasattr(to, "get_figure"):
            return draw("run", self.history, self._outcome(), to)
        return saved(lambda: draw("run", self.history, self._outcome()), to)  # pyright: ignore

    def __repr__(self) -> str:
        return "<Run: " + "\n  ".join([self._title(), *self._findings()]) + ">"

    def _repr_html_(self) -> str:
        lines = self._findings()
        findings = "".join(f"<li>{escape(line)}</li>" for line in lines)
        text = f"<p><b>Run</b>: {escape(self._title())}</p><ul>{findings}</ul>"
        return text + embedded(self.plot(), "losses of the run") if lines else text

    def _title(self) -> str:
        known = {**_mapping(self.config.get("task")), **self.config}
        if known.get("activation") == DEFAULT:
            del known["activation"]
        elif "epsilon" not in str(known.get("activation", "epsilon")):
            known["epsilon"] = None
        pairs = ((name, known.get(name)) for name in _SHOWN)
        return ", ".join(f"{name} = {_short(value)}" for name, value in pairs if value is not None)

    def _findings(self) -> list[str]:
        records = next((name for name in ("step", "time") if name in self.history.dims), None)
        names = [n for n in ("train_loss", "test_loss", "population_loss") if n in self.history]
        if records is None or not names:
            return []
        last = self.history.isel({records: -1})
        values = {name.replace("_", " "): float(last[name]) for name in names}
        losses = [f"{name} {value:.4g}" for name, value in values.items() if value == value]
        found = [f"{', '.join(losses)} at {records} {float(last[records]):g}"]
        outcome = self._outcome()
        return found if outcome is None else [*found, str(outcome)]

    def _outcome(self) -> Outcome | None:
        """Return the outcome; None without a test loss or without a scale of the losses."""
        with suppress(ValueError, KeyError):
            return self.outcome()
        return None

    def save(self, path: str | os.PathLike) -> None:
        """Write the run to a netCDF-4 file, whole or not at all; ``load`` reads it back.

        The file appears under its name only when it is complete and on the disk. Raises
        ``OSError`` with one clear line where the folder is missing, not writable, or full.
        """
        content = with_checksum(self.to_bytes())
        write_whole(path, lambda part: part.write_bytes(content))

    def to_bytes(self) -> bytes:
        """Return the content of the file that ``save`` writes, without its checksum."""
        # Built in memory: HDF5 on a full disk leaves more than one line behind.
        config = json.dumps(self.config, default=_plain)
        config += " " * (-len(config.encode()) % 128)  # so that many runs have files of one layout
        return _LAYOUTS.encoded(
            {"history": self.history, "state": self._state()},
            {"lazyrich_format": FORMAT, "config": config},
        )

    def _state(self) -> xarray.Dataset:
        named: dict[str, tuple]
        attributes = {}
        if isinstance(self.state, Tensor):
            named = {"W": (("neuron", "input"), _numpy(self.state))}
        elif isinstance(self.state, Mapping):
            arrays = {name: _numpy(part) for name, part in self.state.items()}
            named = {
                name: (tuple(f"{name}_{axis}" for axis in range(part.ndim)), part)
                for name, part in arrays.items()
            }
            attributes = {"state": "by name"}
        else:
            wbar, M = self.state
            named = {"wbar": ("input", _numpy(wbar)), "M": (("input", "input_"), _numpy(M))}
        if self.readouts is not None:
            named["readouts"] = ("neuron", _numpy(self.readouts))
        return xarray.Dataset(named, attrs=attributes)


def _mapping(value: object) -> dict:
    return dict(value) if isinstance(value, Mapping) else {}


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numpy(array: object) -> np.ndarray:
    if not isinstance(array, Tensor):
        return np.asarray(array)
    array = array.detach().cpu()
    # NumPy has no bfloat16; float32 holds it exactly.
    return (array.float() if array.dtype == torch.bfloat16 else array).numpy()


def _plain(value: object) -> Any:
    """Return a number or an array of another library as JSON holds it."""
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) or hasattr(value, "__float__"):  # Fraction, SymPy's
        return float(value)  # pyright: ignore[reportArgumentType]
    if isinstance(value, range | set | frozenset):
        return sorted(value)
    return str(value)


_CHANGED = "was changed or cut off since it was written: its checksum differs"


def load(path: str | os.PathLike) -> Any:
    """Return the ``Run`` in this file, as ``Run.save`` wrote it, or the dataset of a sweep.

    A file from elsewhere can't make this read other files, or never end. Raises
    ``FileNotFoundError`` where there is no file, and ``ValueError`` in one line where a file is
    truncated, was changed (the file of a run ends with a checksum), is no result of lazyrich, of
    another version of the format, or where it refers to other files.
    """
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{escaped(path)}: no such result file")
    content = path.read_bytes()
    try:
        found = _loaded(content)
    except (OSError, KeyError, RuntimeError) as error:
        reason = f"truncated or not a netCDF file ({error})"
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        reason = str(error)
    else:
        return found
    raise ValueError(f"{escaped(path)}: {' '.join(reason.split())}")


def _loaded(content: bytes) -> Run | xarray.Dataset:
    with h5py.File(_opened(content)) as file:
        check_contents(file)
        attributes = dict(file.attrs)
        if "failure" in attributes:
            raise ValueError(f"the run has no history: {attributes['failure']}")
        found = attributes.get("lazyrich_format")
        if found is None:
            raise ValueError("not a result of lazyrich")
        if found != FORMAT:
            raise ValueError(f"result of format {found}: this version reads format {FORMAT}")
        groups = {name for name, entry in file.items() if isinstance(entry, h5py.Group)}
        if not groups:
            for name, entry in file.items():
                _check_variable(name, entry)
            return _sweep(content)
        if groups != {"history", "state"}:
            raise ValueError(f"has the groups {sorted(groups)}: must be history and state, or none")
        if not has_checksum(content):
            raise ValueError(_CHANGED)
        config = json.loads(str(attributes["config"]))
        if not isinstance(config, dict):
            raise ValueError("its configuration is no object of JSON")
        state, readouts = _state(decoded(_group(file, "state")))
        return Run(decoded(_group(file, "history")), state, config, readouts)


def _opened(content: bytes) -> Any:
    try:
        return h5py.h5f.open_file_image(content)
    except ValueError:  # whose text is "Not a file id"
        raise OSError("HDF5 can't open it") from None


def _group(file: h5py.File, name: str) -> h5py.Group:
    group = file[name]
    assert isinstance(group, h5py.Group)  # as _loaded has seen
    return group


def _sweep(content: bytes) -> xarray.Dataset:
    """Return the dataset, which may have no checksum: users write it by xarray, too."""
    if is_damaged(content):
        raise ValueError(_CHANGED)
    try:
        return xarray.load_dataset(io.BytesIO(content), engine="h5netcdf")
    except Exception as error:  # xarray and its engines have a dozen between them
        raise ValueError(f"not the dataset of a sweep ({error})") from None


def _check_variable(name: str, entry: Any) -> None:
    """Raise ``ValueError`` for what xarray doesn't write: it would warn of it, or leave it raw."""
    if not isinstance(entry, h5py.Dataset) or entry.shape is None:
        raise ValueError(f"{name!r} is no variable: only variables belong in a sweep's dataset")
    is_text = h5py.check_string_dtype(entry.dtype) is not None
    if entry.dtype.kind not in "biuf" and not is_text:
        raise ValueError(f"{name!r} has dtype {entry.dtype}: must be numbers or text")
    if entry.ndim and not entry.is_scale and "DIMENSION_LIST" not in entry.attrs:
        raise ValueError(f"{name!r} has no names of its dimensions: must have them")


def _state(found: xarray.Dataset) -> tuple[Any, Tensor | None]:
    """Return the final state and readouts of a run, from the dataset that holds them."""
    tensors = {str(name): torch.tensor(variable.values) for name, variable in found.items()}
    if found.attrs.get("state") == "by name":
        return tensors, None
    readouts = tensors.pop("readouts", None)
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if readouts is not None:
        shapes["readouts"] = list(readouts.shape)
    N, D = shapes["W"] if len(shapes.get("W", [])) == 2 else (0, shapes.get("wbar", [0])[0])
    neurons = {"W": [N, D], **({"readouts": [N]} if readouts is not None else {})}
    if shapes == neurons:
        return tensors["W"], readouts
    if shapes == {"wbar": [D], "M": [D, D]}:
        return (tensors["wbar"], tensors["M"]), None
    raise ValueError(f"its final state has the shapes {shapes}: must be W, or wbar and M")
