"""Sweeps: every cell once, nothing lost, the same bits wherever and however often it runs."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from lazyrich import simulate
from lazyrich.simulate import cells, completing, engines, record, workers
from lazyrich.simulate.store import Store, address, damage
from tests.disk import files_of_at_most

# Of the 12 cells the 6 linearised ones run alone, the 6 others in one batch.
GRID = {"alpha": [0.5, 1.0, 2.0], "epsilon": [-0.3, 0.4], "engine": ["linearised", "moments"]}
FIXED = {"D": 6, "P": 25, "n_test": 20, "width": 9, "steps": 40, "learning_rate": 0.5}
FIXED["centred"] = False

# A sweep in a process of its own, in which each batch takes a while, so that it can be killed.
SCRIPT = """
import sys, time
from lazyrich import simulate
from lazyrich.simulate import cells
from tests_sweep_settings import GRID, FIXED
fast = cells.run
def slow(batch):
    time.sleep(0.3)
    return fast(batch)
cells.run = slow
simulate.sweep(GRID, folder=sys.argv[1], jobs=1, **FIXED)
"""


def finished_files(folder: Path) -> dict[str, int]:
    """Each finished cell and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nc")}


def start_script(folder: Path, beside: Path) -> subprocess.Popen:
    (beside / "tests_sweep_settings.py").write_text(f"GRID = {GRID!r}\nFIXED = {FIXED!r}\n")
    paths = [str(beside), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.Popen(command, env=environment, cwd=beside, start_new_session=True)


def wait_for(condition, what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[Path, xarray.Dataset]:
    """The sweep without interruption, in one process: its folder, and what it returned."""
    folder = tmp_path_factory.mktemp("reference")
    return folder, simulate.sweep(GRID, folder=folder, jobs=1, **FIXED)


@pytest.fixture(scope="module")
def reference(swept) -> xarray.Dataset:
    return swept[1]


@pytest.fixture
def finished(swept, tmp_path) -> Path:
    """A copy of the folder of the finished sweep."""
    return shutil.copytree(swept[0], tmp_path / "finished")


@pytest.mark.parametrize("engine", GRID["engine"])
def test_each_cell_of_a_sweep_is_the_run_of_its_arguments(reference, engine):
    task = simulate.PolynomialTask(D=6, P=25, n_test=20, seed=0)
    settings = {"width": 9, "steps": 40, "learning_rate": 0.5, "centred": False}
    run = simulate.train(task, alpha=2.0, epsilon=-0.3, engine=engine, **settings)
    cell = reference.sel(alpha=2.0, epsilon=-0.3, engine=engine)
    for name, variable in run.history.data_vars.items():
        # In a batch the same sums may be taken in another order.
        assert np.allclose(cell[name].values, variable.values, rtol=1e-10, atol=0), name


def test_a_batch_of_which_cells_are_missing_gives_the_same_bits(finished, reference):
    for path in sorted(finished.rglob("*.nc"))[::3]:
        path.unlink()
    left = finished_files(finished)
    assert len(left) == 8
    again = simulate.sweep(GRID, folder=finished, jobs=1, **FIXED)
    assert left.items() <= finished_files(finished).items()
    assert again.identical(reference)


def test_a_second_sweep_opens_what_the_first_has_finished(finished, reference):
    before = finished_files(finished)
    again = simulate.sweep(GRID, folder=finished, jobs=1, **FIXED)
    assert finished_files(finished) == before
    assert again.identical(reference)


def test_a_larger_grid_reuses_the_cells_that_it_shares(tmp_path):
    few, more = {"alpha": [1.0], "seed": [0, 1]}, {"alpha": [1.0, 4.0], "seed": [0, 1]}
    simulate.sweep(few, folder=tmp_path, jobs=1, epsilon=0.5, **FIXED)
    before = finished_files(tmp_path)
    simulate.sweep(more, folder=tmp_path, jobs=1, epsilon=0.5, **FIXED)
    after = finished_files(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == 4


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_that_had_finished(tmp_path, reference):
    folder = tmp_path / "cells"
    driver = start_script(folder, tmp_path)
    wait_for(lambda: len(finished_files(folder)) >= 3, "three finished cells")
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    before = finished_files(folder)
    assert 3 <= len(before) < 12
    resumed = simulate.sweep(GRID, folder=folder, jobs=1, **FIXED)
    assert before.items() <= finished_files(folder).items()
    assert resumed.identical(reference)


def kill_the_processes() -> int:
    """Kill the processes that work for this one, and return how many there were."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            works = b"lazyrich.simulate.workers" in (status.parent / "cmdline").read_bytes()
            if parent == os.getpid() and works:
                os.kill(int(status.parent.name), signal.SIGKILL)
                found += 1
        except (FileNotFoundError, ProcessLookupError):
            pass  # one that ended meanwhile
    return found


@pytest.mark.slow
def test_a_killed_process_is_one_line_and_loses_nothing_that_had_finished(tmp_path):
    grid = {"seed": list(range(12))}
    fixed = {**FIXED, "alpha": 1.0, "epsilon": 0.4, "engine": "linearised"}  # 12 batches
    killed = []
    with pytest.raises(ChildProcessError, match=r"jobs = 2: one of the processes .*") as error:
        simulate.sweep(
            grid,
            folder=tmp_path,
            jobs=2,
            progress=lambda *_: killed.append(killed or kill_the_processes()),
            **fixed,
        )
    assert killed[0] == 2
    assert "\n" not in str(error.value)
    before = finished_files(tmp_path)
    assert 1 <= len(before) < 12
    resumed = simulate.sweep(grid, folder=tmp_path, jobs=1, **fixed)
    assert before.items() <= finished_files(tmp_path).items()
    whole = simulate.sweep(grid, folder=tmp_path / "whole", jobs=1, **fixed)
    assert resumed.identical(whole)


@pytest.mark.slow
def test_two_sweeps_at_once_leave_one_whole_folder(tmp_path, reference):
    """One in a process of its own; the other in this one, from when the first is in its folder."""
    folder = tmp_path / "cells"
    driver = start_script(folder, tmp_path)
    wait_for(folder.is_dir, "the other sweep")
    assert simulate.sweep(GRID, folder=folder, jobs=1, **FIXED).identical(reference)
    assert driver.wait(timeout=120) == 0
    assert len(finished_files(folder)) == 12
    assert not list(folder.rglob(".part*"))
    assert simulate.sweep(GRID, folder=folder, jobs=1, **FIXED).identical(reference)


def test_a_diverged_cell_is_marked_and_kept(tmp_path):
    grid = {"learning_rate": [0.5, 1e4]}
    fixed = {name: value for name, value in FIXED.items() if name != "learning_rate"}
    fixed["engine"] = "moments"
    found = simulate.sweep(grid, folder=tmp_path, jobs=1, alpha=1.0, epsilon=0.4, **fixed)
    assert found.status.values.tolist() == ["finished", "diverged"]
    assert np.isfinite(found.train_loss.sel(learning_rate=0.5)).all()
    assert np.isnan(found.train_loss.sel(learning_rate=1e4)).all()
    assert 0 < float(found.stable_learning_rate.sel(learning_rate=1e4)) < 1e4
    again = simulate.sweep(grid, folder=tmp_path, jobs=1, alpha=1.0, epsilon=0.4, **fixed)
    assert again.identical(found)


def test_a_divergence_comes_back_from_another_process_whole():
    error = simulate.DivergenceError(300, 2.0, 0.5, 0)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def address_of(**cell) -> str:
    complete = cells.complete(cell)
    return address(complete, cells.NETWORK.code(complete))


def test_the_address_of_a_cell_depends_on_every_setting_and_on_the_code(monkeypatch):
    cell = cells.complete({**FIXED, "alpha": 1.0, "epsilon": 0.4})
    old = address_of(**cell)
    assert address_of(**dict(reversed(cell.items()))) == old
    changes = {"alpha": 1.5, "task_seed": 7, "label_scale": 2.0, "record": [1], "dtype": "float32"}
    others = {address_of(**{**cell, name: value}) for name, value in changes.items()}
    assert len(others | {old}) == 6
    monkeypatch.setattr(cells, "code", lambda *_: "other code")
    assert address_of(**cell) != old


def test_numbers_of_numpy_are_the_same_settings():
    cell = {**FIXED, "alpha": 1.0, "epsilon": 0.4}
    numpy = cell | {"seed": np.int64(0), "alpha": np.float64(1.0), "record": np.arange(3)}
    assert address_of(**numpy) == address_of(**cell | {"seed": 0, "record": [0, 1, 2]})


def test_label_scale_multiplies_the_labels_and_nothing_else():
    # Centred, the first train loss is the mean square label.
    cell = cells.complete({**FIXED, "alpha": 1.0, "epsilon": 0.4, "steps": 1, "centred": True})
    cell["engine"] = "moments"
    plain, scaled = cells.run([cell, {**cell, "label_scale": 3.0}])
    ratio = scaled.history.train_loss[0] / plain.history.train_loss[0]
    assert float(ratio) == pytest.approx(9, rel=1e-12)


@pytest.mark.parametrize(
    ("grid", "fixed", "message"),
    [
        ({}, {}, "grid is empty: must have at least one key"),
        ({"alpha": []}, {}, "grid alpha is empty: must have at least one value"),
        ({"alpha": 3.0}, {}, "grid alpha = 3.0: must be a list of values"),
        ({"alpha": [1.0, 1.0]}, {}, "grid alpha = [1.0, 1.0]: must have no value twice"),
        ({"alpha": [1, 1.0]}, {}, "grid alpha = [1, 1.0]: must have no value twice"),
        (None, {}, "grid = None: must map names to lists of values"),
        ([1.0], {}, "grid = [1.0]: must map names to lists of values"),
        ({"alignment": ["test", "train"]}, {}, "grid alignment: can't be an axis, as the runs"),
        ({"alpha": [1.0], "D": [2]}, {}, "D = 6: is in the grid too; must be in one of both"),
        ({"alhpa": [1.0]}, {}, "key = 'alhpa': did you mean 'alpha'?"),
        ({"alpha": [1.0, 0.0]}, {}, "alpha = 0.0: must be a finite number other than 0"),
        ({"engine": ["momments"]}, {"alpha": 1.0}, "engine = 'momments': did you mean 'moments'?"),
        ({"P": [5, -1]}, {"alpha": 1.0}, "P = -1: must be a positive integer"),
        ({"width": [np.inf], "seed": [0, 1]}, {}, "seed = 1: at width = inf no weights are drawn"),
        ({"alpha": [1.0]}, {"jobs": 0}, "jobs = 0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line_before_any_work(tmp_path, grid, fixed, message):
    settings = {
        name: value for name, value in FIXED.items() if name not in (grid or {}) or name == "D"
    }
    with pytest.raises(ValueError) as error:
        simulate.sweep(grid, folder=tmp_path / "new", epsilon=0.4, **settings, **fixed)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"folder = .*file/cells: can't be made: Not a directory"):
        Store(tmp_path / "file" / "cells")


@pytest.mark.parametrize("folder", ["", "a\0b", "~no-such-user/cells"])
def test_what_is_no_folder_is_one_line(folder):
    with pytest.raises(ValueError, match=r"^folder = ") as error:
        simulate.sweep({"seed": [0]}, folder=folder, alpha=1.0, epsilon=0.4, **FIXED)
    assert "\n" not in str(error.value)


def test_the_home_folder_is_read_as_a_shell_does(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    cell = {"alpha": 1.0, "epsilon": 0.4, **FIXED}
    found = simulate.sweep({"seed": [0]}, folder="~/cells", jobs=1, **cell)
    assert len(finished_files(tmp_path / "cells")) == 1
    assert simulate.sweep({"seed": [0]}, folder="~/cells", jobs=1, **cell).identical(found)


def test_a_folder_in_which_no_file_can_be_made_is_one_line_before_any_work():
    # /proc refuses new files to root too, whom a folder without rights would not stop.
    cell = {"alpha": 1.0, "epsilon": 0.4, **FIXED}
    with pytest.raises(OSError, match=r"^folder = /proc: can't be written to: [^\n]*$"):
        simulate.sweep(
            {"seed": [0]}, folder="/proc", jobs=1, progress=lambda *_: pytest.fail("ran"), **cell
        )


def test_a_finished_sweep_opens_where_nothing_can_be_written(finished, reference, monkeypatch):
    monkeypatch.setattr(completing, "check_writable", lambda *_: pytest.fail("asked"))
    assert simulate.sweep(GRID, folder=finished, jobs=1, **FIXED).identical(reference)


def test_a_file_in_the_place_of_a_subfolder_is_one_line(tmp_path):
    cell = {"alpha": 1.0, "epsilon": 0.4, **FIXED}
    (tmp_path / address_of(**cell, seed=0)[:2]).write_text("")
    with pytest.raises(OSError, match=r"^folder = .*/..: can't be made: File exists$"):
        simulate.sweep({"seed": [0]}, folder=tmp_path, jobs=1, **cell)


def test_a_full_disk_is_one_line_and_keeps_what_had_finished(tmp_path):
    few = {**GRID, "engine": ["moments"]}
    simulate.sweep(few, folder=tmp_path, jobs=1, **FIXED)
    with files_of_at_most(2000), pytest.raises(OSError, match="can't be written: ") as error:
        simulate.sweep(GRID, folder=tmp_path, jobs=1, **FIXED)
    assert "\n" not in str(error.value)
    assert len(finished_files(tmp_path)) == 6
    assert not list(tmp_path.rglob(".part*"))


def test_engines_that_measure_different_things_open_as_one_dataset(tmp_path):
    grid = {"engine": ["flow", "moments"]}
    found = simulate.sweep(grid, folder=tmp_path, jobs=1, alpha=1.0, epsilon=0.4, **FIXED)
    assert np.isfinite(found.evaluations.sel(engine="flow")).all()
    assert np.isnan(found.evaluations.sel(engine="moments")).all()
    assert np.isfinite(found.train_loss).all()
    assert found.train_loss.attrs["units"] == "1"
    again = simulate.sweep(
        {"engine": ["moments", "flow"]}, folder=tmp_path, jobs=1, alpha=1.0, epsilon=0.4, **FIXED
    )
    assert again.sel(engine="flow").evaluations.equals(found.sel(engine="flow").evaluations)


@pytest.fixture(scope="module")
def two_cells(tmp_path_factory) -> tuple[Path, xarray.Dataset]:
    """Two cells that are stored, and what they hold."""
    folder = tmp_path_factory.mktemp("two")
    return folder, sweep_of_two(folder)


def sweep_of_two(folder: Path) -> xarray.Dataset:
    return simulate.sweep({"seed": [0, 1]}, folder=folder, jobs=1, alpha=1.0, epsilon=0.4, **FIXED)


def cut_off(files):
    files[0].write_bytes(files[0].read_bytes()[:1000])


def empty(files):
    files[0].write_bytes(b"")


def swap(files):
    first, second = (path.read_bytes() for path in files)
    files[0].write_bytes(second)
    files[1].write_bytes(first)


def replace(files):
    simulate.train(simulate.PolynomialTask(D=5, P=9), width=4, steps=3).save(files[0])


@pytest.mark.parametrize("spoil", [cut_off, empty, swap, replace])
def test_a_file_that_was_damaged_or_misplaced_is_computed_again(two_cells, tmp_path, spoil):
    folder, found = two_cells
    shutil.copytree(folder, tmp_path / "cells")
    files = sorted((tmp_path / "cells").rglob("*.nc"))
    spoil(files)
    with pytest.warns(UserWarning, match=r"\.nc .*: this run is done again") as warned:
        assert sweep_of_two(tmp_path / "cells").identical(found)
    assert all("\n" not in str(each.message) for each in warned)
    assert [path.read_bytes() for path in files] == [
        path.read_bytes() for path in sorted(folder.rglob("*.nc"))
    ]


@pytest.mark.parametrize(("make", "reason"), [(os.mkfifo, "not a regular"), (os.mkdir, "a folder")])
def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_one_line(two_cells, tmp_path, make, reason):
    """Reading a pipe that nothing writes to would never end."""
    folder, _ = two_cells
    shutil.copytree(folder, tmp_path / "cells")
    path = sorted((tmp_path / "cells").rglob("*.nc"))[0]
    path.unlink()
    make(path)
    with pytest.raises(OSError, match=rf"{path.name}: can't be read: .*{reason}"):
        sweep_of_two(tmp_path / "cells")


@settings(max_examples=25)
@given(st.data())
def test_every_byte_of_a_file_counts(two_cells, data):
    """A flipped bit anywhere is noticed: the law behind the cases above."""
    folder, _ = two_cells
    path = sorted(folder.rglob("*.nc"))[0]
    content = bytearray(path.read_bytes())
    assert damage(bytes(content), path.stem) is None
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    assert damage(bytes(content), path.stem) is not None


CELL = {**FIXED, "alpha": 1.0, "epsilon": 0.4}


def without(*names: str) -> dict:
    return {name: value for name, value in CELL.items() if name not in names}


@pytest.mark.parametrize(
    ("engine", "error"),
    [
        ("moments", OverflowError),  # in a batch
        ("moments", ZeroDivisionError),
        ("moments", torch.linalg.LinAlgError),
        ("neurons", ZeroDivisionError),
        ("linearised", torch.linalg.LinAlgError),  # alone
        ("flow", OverflowError),
    ],
)
def test_a_cell_whose_numbers_overflow_is_that_cells_result(tmp_path, monkeypatch, engine, error):
    """It neither ends the sweep nor changes the other cells, in a batch or alone."""
    name = "_measure" if engine == "flow" else "check"  # the losses of a flow are measured late
    works = getattr(record.Recorder, name)

    def overflows(recorder, *snapshot):
        if recorder._training.network.epsilon == 0.45:
            raise error("a number too large for a computer")
        return works(recorder, *snapshot)

    monkeypatch.setattr(record.Recorder, name, overflows)
    grid, few = {"epsilon": [0.4, 0.45, 0.5]}, {"epsilon": [0.4, 0.5]}
    fixed = without("epsilon") | {"engine": engine}
    found = simulate.sweep(grid, folder=tmp_path / "all", jobs=1, **fixed)
    assert found.status.values.tolist() == ["finished", "overflowed", "finished"]
    assert np.isnan(found.train_loss.sel(epsilon=0.45)).all()
    rest = simulate.sweep(few, folder=tmp_path / "few", jobs=1, **fixed)
    assert np.allclose(
        found.train_loss.sel(epsilon=[0.4, 0.5]), rest.train_loss, rtol=1e-12, atol=0
    )
    assert simulate.sweep(grid, folder=tmp_path / "all", jobs=1, **fixed).identical(found)


@pytest.mark.parametrize("engine", ["moments", "linearised", "neurons"])
def test_a_cell_whose_numbers_explode_is_that_cells_result(tmp_path, engine):
    """It neither ends the sweep nor changes the other cells, in a batch or alone."""
    few = {"epsilon": [0.4, 0.5]}
    grid = {"epsilon": [0.4, 1e70, 0.5]}
    fixed = without("epsilon") | {"engine": engine}
    found = simulate.sweep(grid, folder=tmp_path / "all", jobs=1, **fixed)
    assert found.status.values.tolist() == ["finished", "diverged", "finished"]
    assert np.isnan(found.train_loss.sel(epsilon=1e70)).all()
    rest = simulate.sweep(few, folder=tmp_path / "few", jobs=1, **fixed)
    assert np.array_equal(found.train_loss.sel(epsilon=[0.4, 0.5]), rest.train_loss)
    assert simulate.sweep(grid, folder=tmp_path / "all", jobs=1, **fixed).identical(found)


@pytest.mark.parametrize(
    ("grid", "fixed", "statuses"),
    [
        ({"epsilon": [0.4, 1e70]}, {}, ["finished", "too stiff"]),
        ({"weight_decay": [0.0, 1e300]}, {}, ["finished", "overflowed"]),
        ({"epsilon": [0.4, 1e30]}, {"dtype": "float32"}, ["finished", "overflowed"]),
        # Each value is good with another one: their product is found by the cell.
        (
            {"learning_rate": [0.5, 10.0], "steps": [2, 40]},
            {},
            [["finished", "finished"], ["finished", "too stiff"]],
        ),
    ],
)
def test_a_flow_that_cannot_be_followed_is_that_cells_result(
    tmp_path, monkeypatch, grid, fixed, statuses
):
    monkeypatch.setattr(engines, "LONGEST", 100.0)
    cell = {**without(*grid), **fixed, "engine": "flow"}
    found = simulate.sweep(grid, folder=tmp_path, jobs=1, **cell)
    assert found.status.values.tolist() == statuses
    assert simulate.sweep(grid, folder=tmp_path, jobs=1, **cell).identical(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight_decay": 1e300},
            "weight_decay = 1e+300: a number left the range of floating point: take less extreme",
        ),
        ({"epsilon": 1e70}, "learning_rate = 0.5, steps = 40, epsilon = 1e+70: the flow is too"),
    ],
)
def test_a_flow_of_real_neurons_that_fails_is_one_true_line(given, message):
    """It does not speak of moments that no neurons have."""
    options = {"alpha": 1.0, "epsilon": 0.4, "steps": 40, "learning_rate": 0.5, "width": 9}
    with pytest.raises(simulate.NumericalError) as error:
        simulate.train(simulate.PolynomialTask(6, 25, 20), engine="flow", **options | given)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("grid", "fixed", "message"),
    [
        ({"engine": ["moments", "linearised"], "momentum": [0.0, 0.5]}, {}, "momentum = 0.5: "),
        (
            {
                "engine": ["moments", "flow"],
                "momentum": [0.0, 0.5],
                "decoupled_weight_decay": [0.0, 0.1],
            },
            {},
            "decoupled_weight_decay = 0.1: ",
        ),
        ({"label_scale": [1.0, 2.0], "target_degree": [None, 3]}, {}, "label_scale = 2.0: "),
        ({"record": [[1], [2, 3]]}, {}, "grid record = [[1], [2, 3]]: must be numbers or texts"),
        ({"seed": [0]}, {"alpha": [1.0, 2.0]}, "alpha = [1.0, 2.0]: must be a finite number"),
        ({"seed": [0]}, {"alpha": object()}, "alpha = <object object"),
    ],
)
def test_a_combination_that_cannot_run_is_found_before_the_first_cell(
    tmp_path, grid, fixed, message
):
    cell = {**without(*grid), **fixed}
    with pytest.raises(ValueError) as error:
        simulate.sweep(grid, folder=tmp_path / "new", jobs=1, **cell)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_numbers_of_other_libraries_work_in_a_grid_and_among_the_fixed(tmp_path):
    grid = {"alpha": np.array([1.0, 2.0]), "seed": range(2), "sigma": [Fraction(1, 2)]}
    fixed = without("alpha") | {"P": np.int64(25), "epsilon": sympy.Rational(2, 5)}
    found = simulate.sweep(grid, folder=tmp_path, jobs=1, **fixed)
    plain = {"alpha": [1.0, 2.0], "seed": [0, 1], "sigma": [0.5]}
    again = simulate.sweep(plain, folder=tmp_path, jobs=1, **without("alpha"))
    assert again.identical(found)
    assert len(finished_files(tmp_path)) == 4


def test_what_a_sweep_returns_can_be_written_and_loaded(tmp_path, reference):
    reference.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    assert simulate.load(tmp_path / "sweep.nc").identical(reference)


def test_a_cell_is_a_run_that_can_be_loaded(two_cells):
    folder, found = two_cells
    losses = {float(simulate.load(path).history.train_loss[-1]) for path in folder.rglob("*.nc")}
    assert losses == set(found.train_loss.isel(step=-1).values.tolist())


@pytest.mark.parametrize(("jobs", "started"), [(12, [2]), (2, [2]), (1, [])])
def test_there_are_no_more_processes_than_batches(tmp_path, monkeypatch, jobs, started):
    count = []

    def here(_pool, number, function, calls):
        count.append(number)
        return ((name, function(*arguments)) for name, arguments in calls)

    monkeypatch.setattr(workers.Processes, "_in_processes", here)
    grid = {"seed": [0, 1]}
    simulate.sweep(grid, folder=tmp_path, jobs=jobs, engine="linearised", **CELL)
    assert count == started


# A sweep with workers, each batch of which takes a while: killed in the midst of it, by a signal.
SWEEP = """
import sys
from lazyrich import cli
cli.main(["sweep", sys.argv[1], "--jobs", "2"])
"""
# The same command line and workers on tasks that take no time of a core.
SLEEP = """
import time
from lazyrich import cli
from lazyrich.simulate.workers import run, workers
tasks, costs = dict.fromkeys(range(2), (600,)), dict.fromkeys(range(2), 1.0)
cli.command.main = lambda *_, **__: run(workers(2), time.sleep, tasks, costs)
cli.main(["sweep"])
"""
LONG = """
[grid]
seed = [0, 1, 2, 3]
[fixed]
D = 60
P = 400
alpha = 1.0
epsilon = 0.4
width = 200
steps = 3000000
engine = "neurons"
alignment = "test"
"""


def processes_of(session: int) -> list[int]:
    """Return the workers that a driver has started: by the environment that they inherit."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"LAZYRICH_TEST={session}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "script"),
    [(signal.SIGINT, 130, SLEEP), (signal.SIGKILL, -signal.SIGKILL, SWEEP)],
    ids=["INT", "KILL"],
)
def test_no_worker_outlives_its_driver(tmp_path, number, code, script):
    """SIGTERM, and the workers of a real sweep: tests/test_cli_environment.py."""
    (tmp_path / "long.toml").write_text(LONG)
    mark = time.monotonic_ns()
    driver = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "long.toml")],
        env={**os.environ, "LAZYRICH_TEST": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(processes_of(mark)) == 3, "two workers")
    time.sleep(3 if script == SWEEP else 0.5)  # so that they are at work
    driver.send_signal(number)
    _, errors = driver.communicate(timeout=30)  # its pipes close when the last process has ended
    assert driver.returncode == code
    wait_for(lambda: not processes_of(mark), "the end of the workers", seconds=10)
    assert "Traceback" not in errors
    assert len(errors.split("\n")) <= 3  # one line, after the one that the terminal was in


@pytest.mark.slow
def test_one_process_and_two_give_the_same_bits_whatever_the_threads(tmp_path, monkeypatch):
    """Without a limit from outside, torch and BLAS would share a large product among threads."""
    grid = {"engine": ["moments", "neurons", "flow", "linearised"]}
    fixed = {"D": 40, "P": 600, "width": 60, "n_test": 200, "steps": 8, "alpha": 1.0}
    for name in [name for name in os.environ if name.endswith("_NUM_THREADS")]:
        monkeypatch.delenv(name)
    found = []
    for jobs, threads in ((1, 1), (1, 2), (2, 2)):
        with threads_of(threads):
            folder = tmp_path / f"{jobs}-{threads}"
            found.append(simulate.sweep(grid, folder=folder, jobs=jobs, epsilon=0.4, **fixed))
    assert found[1].identical(found[0])
    assert found[2].identical(found[0])


@contextmanager
def threads_of(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)


def test_a_worker_with_other_code_is_refused(tmp_path):
    """Its results would be stored under the address of this code."""
    cell = cells.complete(CELL)
    key = address(cell, cells.NETWORK.code(cell))
    assert list(completing._contents(cells.NETWORK, [cell], {0: key}, tmp_path / "c.pt")) == [key]
    with pytest.raises(ValueError, match="a worker has other code"):
        completing._contents(cells.NETWORK, [cell], {0: address(cell, "other")}, tmp_path / "c.pt")
