"""Long runs of the paper presets that come with lazyrich: found by what they are runs of.

A run is kept in ``finished_runs``, one file each: its history in float32, netCDF with its settings
and a checksum, compressed. The file is named by a digest of the experiment and of all settings but
the device, so that a run at other settings is never found. It was made by the code of its day,
whose fingerprint the file holds; ``tests/test_shipped.py`` holds the first steps against the code
of today.
"""

import gzip
import json
import os
import warnings
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from lazyrich.simulate.experiment import Experiment, Function, Settings
from lazyrich.simulate.netcdf import encoded
from lazyrich.simulate.store import address, damage, sealed
from lazyrich.support.arguments import escaped
from lazyrich.support.files import write_whole

FOLDER = Path(__file__).parent / "finished_runs"
_SUFFIX = ".nc.gz"


def name_of(experiment: Experiment, settings: Mapping[str, Any]) -> str:
    """Return the name of a run: the same on any device, by any version of the code.

    >>> from lazyrich.paper_figures.runs import of_flow
    >>> one, two = (name_of(of_flow("regression"), {"d": 5, "device": d}) for d in ("cpu", "cuda"))
    >>> one == two != name_of(of_flow("regression"), {"d": 6, "device": "cpu"})
    True
    """
    made = experiment.function if isinstance(experiment, Function) else type(experiment)
    return address(
        {name: value for name, value in settings.items() if name != "device"},
        f"{made.__module__}.{made.__qualname__}",
    )


def find(
    experiment: Experiment, settings: Mapping[str, Any], folder: Path | None = None
) -> bytes | None:
    """Return the content of a run's file; None where there is none, or, with a warning, it is bad.

    ``folder``: where to look; None is the one that comes with lazyrich.
    """
    name, folder = name_of(experiment, settings), FOLDER if folder is None else folder
    if name not in _names(folder):
        return None
    path = folder / f"{name}{_SUFFIX}"
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        wrong = f"can't be read ({error})"
    else:
        wrong = damage(content, name)
        if wrong is None:
            return content
    warnings.warn(f"{escaped(path)} {wrong}: this run is done again", stacklevel=2)
    return None


@cache
def _names(folder: Path) -> frozenset[str]:
    """Return the names of the runs in a folder: most that are asked for are in none."""
    return frozenset(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))


def keep(
    experiment: Experiment,
    settings: Settings,
    history: xarray.Dataset,
    made: Mapping[str, Any],
    folder: Path | None = None,
) -> Path:
    """Write a run's history to the folder in float32, and return its file.

    ``made`` says by what it was made: versions, machine.

    >>> import tempfile
    >>> from lazyrich.paper_figures.runs import of_flow
    >>> curve = xarray.Dataset({"loss": ("step", [2.0, 1.0])}, coords={"step": [0, 10]})
    >>> one, settings = of_flow("regression"), {"d": 5}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = keep(one, settings, curve, {"torch": "2.4"}, Path(folder))
    ...     text = find(one, settings, Path(folder))
    ...     other = find(one, {"d": 6}, Path(folder))
    >>> b"history" in text, other
    (True, None)
    """
    name, folder = name_of(experiment, settings), FOLDER if folder is None else folder
    small = history.map(lambda v: v.astype(np.float32) if v.dtype.kind == "f" else v)
    small.attrs = history.attrs
    content = sealed(encoded({"history": small}, made), name, settings)
    path = folder / f"{name}{_SUFFIX}"
    folder.mkdir(exist_ok=True)
    packed = gzip.compress(content, mtime=0)  # the same run has the same bytes
    write_whole(path, lambda part: part.write_bytes(packed))
    _names.cache_clear()
    return path


def settings_of(path: str | os.PathLike) -> Settings:
    """Return the settings of a run from its file, of the store's or of these."""
    content = Path(path).read_bytes()
    if str(path).endswith(_SUFFIX):
        content = gzip.decompress(content)
    return json.loads(content.rsplit(b"\n", 3)[1])["settings"]
