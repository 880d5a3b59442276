"""A result file from elsewhere: it can't make us read other files, or never end."""

import h5py
import numpy as np
import pytest
import xarray

from lazyrich import simulate
from lazyrich.simulate.netcdf import encoded


@pytest.fixture
def path(tmp_path):
    """A file like a run's, and next to it one with a secret."""
    (tmp_path / "secret").write_bytes(np.arange(8.0).tobytes())
    history = xarray.Dataset({"train_loss": ("step", np.ones(8))}, {"step": range(8)})
    content = encoded({"history": history, "state": xarray.Dataset()}, {"lazyrich_format": 1})
    (tmp_path / "run.nc").write_bytes(content)
    return tmp_path / "run.nc"


def external_storage(file, folder):
    size = 8 * 8
    file.create_dataset("history/stolen", (8,), "f8", external=[(str(folder / "secret"), 0, size)])


def external_link(file, folder):
    with h5py.File(folder / "other.nc", "w") as other:
        other["x"] = np.ones(8)
    file["history/stolen"] = h5py.ExternalLink(str(folder / "other.nc"), "/x")


def soft_link(file, folder):
    del folder
    file["history/alias"] = h5py.SoftLink("/history/train_loss")


def virtual(file, folder):
    with h5py.File(folder / "other.nc", "w") as other:
        other["x"] = np.ones(8)
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.nc"), "x", (8,))
    file["history"].create_virtual_dataset("stolen", layout)


def group_in_itself(file, folder):
    del folder
    file["history/again"] = file["history"]


def root_in_itself(file, folder):
    del folder
    file["history/root"] = file["/"]


def huge(file, folder):
    del folder
    file.create_dataset("history/huge", (10**12,), "f8", chunks=(2**16,))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external_storage, "'history/stolen' refers to another file"),
        (external_link, "'history/stolen' refers to another file"),
        (soft_link, "'history/alias' refers to another file"),
        (virtual, "'history/stolen' refers to another file"),
        (group_in_itself, "'history/again' is held in more than one place"),
        (root_in_itself, "'history/root' is held in more than one place"),
        (huge, "'history/huge' is declared larger than its file"),
    ],
)
def test_what_could_read_another_file_or_never_end_is_refused(path, spoil, message):
    with h5py.File(path, "r+") as file:
        spoil(file, path.parent)
    with pytest.raises(ValueError) as error:
        simulate.load(path)
    assert str(error.value) == f"{path}: {message}"
