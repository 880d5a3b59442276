"""``simulate.load``: the same run, or one line, after any change to the file."""

import io
import re

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate.netcdf import encoded
from lazyrich.support.files import has_checksum, with_checksum

TASK = simulate.PolynomialTask(D=3, P=6, n_test=4)
OPTIONS = {"width": 4, "steps": 20, "epsilon": 0.5}
BY_NAME = {"layer.0.weight": np.ones((2, 3)), "count": np.array(7)}


def run_of(kind: str) -> simulate.Run:
    if kind == "neurons":
        return simulate.train(TASK, engine="neurons", readouts="gaussian", **OPTIONS)
    run = simulate.train(TASK, **OPTIONS)
    return simulate.Run(run.history, BY_NAME, run.config) if kind == "by name" else run


@pytest.fixture(scope="module", params=["moments", "neurons", "by name"])
def whole(request, tmp_path_factory):
    """A run, and its file."""
    path = tmp_path_factory.mktemp("whole") / "run.nc"
    run = run_of(request.param)
    run.save(path)
    return run, path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("edited") / "run.nc"


def refused(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        simulate.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_refused_in_one_line(whole, place, data):
    content = bytearray(whole[1].read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    refused(place, bytes(content))


def members(file: h5py.File) -> list[str]:
    found = []
    file.visit(found.append)
    return found


def edited(path, data) -> None:
    """Change something in the file by h5py, as a user might."""
    with h5py.File(path, "r+") as file:
        name = data.draw(st.sampled_from(["/", *members(file)]))
        entry = file[name]
        kind = data.draw(st.sampled_from(["delete", "rename", "shape", "text", "attribute", "new"]))
        if kind == "delete" and name != "/":
            del file[name]
        elif kind == "rename" and name != "/":
            file.move(name, name + ".new")
        elif kind in ("shape", "text") and name != "/":
            del file[name]
            file[name] = np.ones((2, 5)) if kind == "shape" else "text"
        elif kind == "attribute" and len(entry.attrs):
            attribute = data.draw(st.sampled_from(sorted(entry.attrs)))
            value = data.draw(st.sampled_from([None, 7, "[1]", "{", b"\xff", np.ones(3)]))
            del entry.attrs[attribute]
            if value is not None:
                entry.attrs[attribute] = value
        else:
            file.create_group("new/group/in/the/file")


@settings(max_examples=60)
@given(data=st.data())
def test_a_file_that_was_edited_is_refused_in_one_line(whole, place, data):
    place.write_bytes(whole[1].read_bytes())
    edited(place, data)
    refused(place, place.read_bytes())


@settings(max_examples=60)
@given(data=st.data())
def test_a_checksum_put_right_after_editing_makes_no_other_error(whole, place, data):
    """Who can compute a checksum can write any run; but nothing other than a run is loaded."""
    place.write_bytes(with_checksum(whole[1].read_bytes()))
    edited(place, data)
    content = with_checksum(place.read_bytes())
    place.write_bytes(content)
    try:
        assert isinstance(simulate.load(place), simulate.Run)
    except ValueError:
        refused(place, content)


def test_a_file_ends_with_its_checksum(whole):
    run, path = whole
    content = path.read_bytes()
    assert has_checksum(content)
    assert content == with_checksum(run.to_bytes())


def test_a_file_without_its_checksum_is_refused(whole, place):
    assert "its checksum differs" in refused(place, whole[0].to_bytes())


@pytest.mark.parametrize("config", ["[1]", "7", "null", "{", "", "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(place, config):
    groups = {"history": xarray.Dataset(), "state": xarray.Dataset(attrs={"state": "by name"})}
    content = encoded(groups, {"lazyrich_format": 1, "config": config})
    refused(place, with_checksum(content))


STATES = {
    "a vector for W": {"W": ("neuron", np.ones(3))},
    "readouts of other length": {"W": (("a", "b"), np.ones((2, 3))), "readouts": ("c", np.ones(3))},
    "M that is not square": {"wbar": ("a", np.ones(2)), "M": (("a", "b"), np.ones((2, 3)))},
    "M alone": {"M": (("a", "b"), np.ones((2, 2)))},
    "something else": {"V": ("a", np.ones(2))},
    "nothing": {},
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_final_state_that_is_none_is_refused(place, state):
    groups = {"history": xarray.Dataset(), "state": xarray.Dataset(state)}
    content = encoded(groups, {"lazyrich_format": 1, "config": "{}"})
    assert "must be W, or wbar and M" in refused(place, with_checksum(content))


def test_many_groups_in_each_other_are_refused_at_once(place, whole, monkeypatch):
    """They took 18 s: xarray opened each. Now it opens none."""
    monkeypatch.setattr(xarray, "load_dataset", lambda *_, **__: pytest.fail("xarray was asked"))
    place.write_bytes(whole[1].read_bytes())
    with h5py.File(place, "r+") as file:
        group = file
        for _ in range(600):
            group = group.create_group("g")
    assert "must be history and state, or none" in refused(place, place.read_bytes())
    with h5py.File(place, "r+") as file:
        del file["history"], file["state"]
    assert "must be history and state, or none" in refused(place, place.read_bytes())


def test_a_cell_that_has_no_history_says_why(tmp_path):
    cell = {"D": 3, "P": 6, "n_test": 4, **OPTIONS, "engine": "moments"}
    simulate.sweep({"learning_rate": [1e9]}, folder=tmp_path, jobs=1, **cell)
    (path,) = tmp_path.rglob("*.nc")
    assert "the run has no history: " in refused(path, path.read_bytes())
    assert "training diverged" in refused(path, path.read_bytes())


def test_the_home_folder_is_read_as_save_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = run_of("moments")
    run.save("~/run.nc")
    assert simulate.load("~/run.nc").history.identical(run.history)


@pytest.fixture(scope="module")
def of_sweep(tmp_path_factory):
    """The bytes of a sweep's dataset, as xarray writes it."""
    folder = tmp_path_factory.mktemp("sweep")
    options = {"D": 3, "P": 5, "steps": 3, "width": 4, "epsilon": 0.1}
    return bytes(
        simulate.sweep({"alpha": [1.0, 2.0]}, folder=folder, jobs=1, **options).to_netcdf(
            engine="h5netcdf"
        )
    )


NUMBERS, TEXT = h5py.vlen_dtype(np.int32), h5py.string_dtype()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"data": np.arange(3)}, "has no names of its dimensions: must have them"),
        ({"data": np.array([True])}, "has no names of its dimensions: must have them"),
        ({"data": np.array(["x"], object), "dtype": TEXT}, "has no names of its dimensions"),
        ({"data": np.array([1j])}, "has dtype complex128: must be numbers or text"),
        ({"data": np.zeros((), [("a", float)])}, "has dtype .*: must be numbers or text"),
        ({"shape": (2,), "dtype": NUMBERS}, "has dtype object: must be numbers or text"),
        ({"data": h5py.Empty("f")}, "is no variable: only variables belong in a sweep's dataset"),
    ],
)
def test_a_variable_that_xarray_does_not_write_is_one_line(place, of_sweep, entry, reason):
    """xarray would load it, some of it with a warning of its own."""
    content = io.BytesIO(of_sweep)
    with h5py.File(content, "r+") as file:
        file.create_dataset("odd\x1b[31m", **entry)
    line = refused(place, with_checksum(content.getvalue()))
    assert re.search(rf"'odd\\x1b\[31m' {reason}", line)


def test_a_named_type_in_a_sweep_is_one_line(place, of_sweep):
    content = io.BytesIO(of_sweep)
    with h5py.File(content, "r+") as file:
        file["odd"] = np.dtype("f8")
    assert "'odd' is no variable" in refused(place, content.getvalue())


def test_variables_of_your_own_in_a_sweep_are_loaded(place, of_sweep):
    place.write_bytes(of_sweep)
    found = simulate.load(place)
    mine = found.assign(
        mine=found.train_loss**2, word=("alpha", ["a", "β"]), true=((), True), made=((), "today")
    )
    place.write_bytes(bytes(mine.to_netcdf(engine="h5netcdf")))
    assert simulate.load(place).equals(mine)
