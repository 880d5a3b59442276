"""A result file from elsewhere: it can't make us read other files, or never end."""

import h5py
import numpy as np
import pytest
import xarray

from lazyrich import simulate
from lazyrich.simulate.layout import Layout, Layouts
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


def curve(values, step=(0, 9), units="1") -> xarray.Dataset:
    loss = ("step", np.array(values), {"units": units})
    return xarray.Dataset({"loss": loss, "floor": ((), values[0])}, {"step": list(step)})


def test_files_of_one_layout_are_those_of_hdf5_to_the_last_byte():
    """Also where the next file is of another kind: then the layout is not used."""
    layouts = Layouts()
    first = curve([1.0, 0.5])
    others = [
        (curve([3.0, np.nan]), "{}"),
        (curve([3.0, 0.1], step=(0, 7)), '{"a": 1}'),
        (curve([3.0, 0.1], units="s"), "{}"),
        (curve([3.0, 0.1, 0.2], step=(0, 1, 2)), "{}"),
        (curve(np.float32([3.0, 0.1])), "{}"),
        (first.rename(loss="gain"), "{}"),
    ]
    for history, config in [(first, "{}"), *others, *others]:
        parts = {"history": history, "state": xarray.Dataset({"w": ("input", [1.0, 2.0])})}
        attributes = {"lazyrich_format": 1, "config": config}
        content = layouts.encoded(parts, attributes)
        assert content == encoded(parts, attributes)
        found = layouts.read(content, "history")
        assert found is not None
        for name, variable in history.variables.items():
            assert np.array_equal(found[str(name)], variable.values, equal_nan=True)


@pytest.mark.parametrize("place", [8, 100, -1])
def test_a_file_that_differs_outside_its_numbers_is_not_read_by_a_layout(place):
    layouts = Layouts()
    content = bytearray(layouts.encoded({"history": curve([1.0, 0.5])}, {"config": "{}"}))
    layout = Layout.of(bytes(content))
    assert layout is not None
    assert layout.fits(bytes(content))
    content[place] ^= 1
    assert not layout.fits(bytes(content))
    assert not layout.fits(bytes(content[:-1]))
