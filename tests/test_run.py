"""Runs: the recorded grid, progress, files that round-trip whole, and every bad argument."""

import html
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.cli import main
from lazyrich.simulate.netcdf import encoded
from lazyrich.simulate.record import DESCRIPTIONS, checked_grid, default_grid

TASK = simulate.PolynomialTask(3, 6, n_test=5, seed=0)
OPTIONS = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 30, "learning_rate": 0.2}
OPTIONS |= {"engine": "moments", "centred": False}
MOMENTS = (np.zeros(3), np.eye(3))


def saved(path, **options):
    run = simulate.train(TASK, **OPTIONS | options)
    run.save(path)
    return run


@given(steps=st.integers(1, 10**12))
def test_the_default_grid_is_log_spaced_from_0_to_the_end(steps):
    grid = default_grid(steps)
    assert grid[:2] == (0, 1)
    assert grid[-1] == steps
    assert list(grid) == sorted(set(grid))
    ratios = [b / a for a, b in itertools.pairwise(grid) if a >= 50]
    assert all(1 < ratio <= 10 ** (1 / 20) * 1.03 for ratio in ratios)


@given(record=st.lists(st.integers(0, 30), min_size=1))
def test_exactly_the_steps_asked_for_are_recorded_and_the_state_is_the_last(record):
    assert checked_grid(record, 30) == tuple(sorted(set(record)))
    run = simulate.train(TASK, **OPTIONS, record=record)
    assert run.history.step.values.tolist() == sorted(set(record))
    assert np.array_equal(run.history.tau, 0.2 * run.history.step)
    whole = simulate.train(TASK, **OPTIONS)
    assert torch.equal(run.state[1], whole.state[1])


def test_step_0_is_before_the_first_update():
    first = simulate.train(TASK, **OPTIONS, record=[0]).history
    untouched = simulate.train(TASK, **OPTIONS | {"learning_rate": 1e-300}).history
    assert float(first.train_loss[0]) == float(untouched.train_loss[-1])
    assert float(first.parameter_change[0]) == 0


def test_every_variable_says_what_it_is_and_the_history_what_its_conventions_are():
    history = simulate.train(TASK, **OPTIONS).history
    measured = {name for name in history.data_vars if not name.startswith("kernel_regression")}
    assert measured >= {"train_loss", "test_loss", "population_loss", "weight_norm", "alignment"}
    assert measured >= {"variance", "misalignment", "linear", "parameter_change"}
    assert measured <= set(DESCRIPTIONS)
    for variable in (*history.data_vars.values(), *history.coords.values()):
        assert variable.attrs["units"]
        assert len(variable.attrs.get("long_name", "")) <= 40  # on an axis
    assert "alpha/N" in history.attrs["conventions"]
    assert history.attrs["predictor"] == "f(x;w)"


@pytest.mark.parametrize("engine", ["moments", "neurons", "linearised"])
def test_progress_is_reported_up_to_the_end(engine):
    seen = []
    options = OPTIONS | {"steps": 1000, "engine": engine}
    simulate.train(TASK, progress=lambda done, steps: seen.append((done, steps)), **options)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (1000, 1000)
    assert {steps for _, steps in seen} == {1000}


@pytest.mark.parametrize(
    "options", [{}, {"engine": "neurons"}, {"engine": "linearised"}, {"width": math.inf}]
)
def test_a_file_gives_back_the_run_bit_for_bit(tmp_path, options):
    run = saved(tmp_path / "run.nc", **options)
    again = simulate.load(tmp_path / "run.nc")
    assert again.history.identical(run.history)
    assert again.config == run.config == json.loads(json.dumps(run.config))
    pairs = [(run.state, again.state)] if isinstance(run.state, torch.Tensor) else []
    pairs += [] if pairs else list(zip(run.state, again.state, strict=True))
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"]


@pytest.mark.parametrize("options", [{}, {"engine": "neurons", "readouts": "gaussian"}])
def test_xarray_reads_the_file_as_one_that_it_has_written(tmp_path, options):
    run = saved(tmp_path / "run.nc", **options)
    named = {"W": ("neuron", "input"), "wbar": ("input",), "M": ("input", "input_")}
    named["readouts"] = ("neuron",)
    tensors = (run.state, run.readouts) if options else run.state
    names = ("W", "readouts") if options else ("wbar", "M")
    state = xarray.Dataset(
        {name: (named[name], part.numpy()) for name, part in zip(names, tensors, strict=True)}
    )
    for group, wanted in (("history", run.history), ("state", state)):
        wanted.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
        with (
            xarray.open_dataset(tmp_path / "run.nc", group=group, engine="h5netcdf") as ours,
            xarray.open_dataset(tmp_path / "own.nc", engine="h5netcdf") as own,
        ):
            assert ours.identical(own)
            assert ours.identical(wanted)
    with xarray.open_datatree(tmp_path / "run.nc", engine="h5netcdf") as tree:
        assert tree.attrs["lazyrich_format"] == 1
        # Spaces at its end give many runs one layout (simulate.layout).
        assert tree.attrs["config"].rstrip() == json.dumps(run.config)
        assert set(tree.attrs) == {"lazyrich_format", "config"}


def test_a_dataset_of_other_than_numbers_is_refused():
    with pytest.raises(ValueError, match=r"label: dtype = <U1: must be of integers or floats"):
        encoded({"history": xarray.Dataset({"label": ("step", ["a"])})}, {})


def test_a_file_is_replaced_whole_or_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "run.nc"
    first = saved(path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match=r"run.nc: can't be written: No space left on device"):
        saved(path, steps=5)
    monkeypatch.undo()
    assert [found.name for found in tmp_path.iterdir()] == ["run.nc"]
    assert simulate.load(path).history.identical(first.history)
    second = saved(path, steps=5)
    assert simulate.load(path).history.identical(second.history)


def test_a_missing_folder_or_file_is_one_line(tmp_path):
    with pytest.raises(OSError, match=r"none/run.nc: can't be written: No such file or directory"):
        saved(tmp_path / "none" / "run.nc")
    with pytest.raises(FileNotFoundError, match=r"run.nc: no such result file"):
        simulate.load(tmp_path / "run.nc")
    with pytest.raises(FileNotFoundError, match="no such result file"):
        simulate.load(tmp_path)


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    path = tmp_path / "run.nc"
    saved(path)
    whole = path.read_bytes()
    message = r"run.nc: (truncated|was changed or cut off)"
    for length in {0, 1, 7, 8, 9, 100, *range(0, len(whole), len(whole) // 40), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=message) as caught:
            simulate.load(path)
        assert "\n" not in str(caught.value)


def test_files_of_something_else_or_of_another_version_are_refused(tmp_path):
    path = tmp_path / "run.nc"
    path.write_text("step,loss\n0,1\n")
    with pytest.raises(ValueError, match=r"run.nc: truncated or not a netCDF file"):
        simulate.load(path)
    simulate.train(TASK, **OPTIONS).history.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"run.nc: not a result of lazyrich"):
        simulate.load(path)
    path.write_bytes(encoded({}, {"lazyrich_format": 99}))
    with pytest.raises(ValueError, match=r"run.nc: result of format 99: this version reads"):
        simulate.load(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": 0}, "alpha = 0: must be a finite number other than 0"),
        ({"alpha": math.inf}, "alpha = inf: must be a finite number other than 0"),
        ({"alpha": "1"}, "alpha = '1': must be a finite number"),
        ({"alpha": 1j}, r"alpha = 1j: must be a finite number"),
        ({"epsilon": math.nan}, "epsilon = nan: must be a finite number"),
        ({"epsilon": None}, "epsilon = None: must be a finite number"),
        ({"learning_rate": 0}, "learning_rate = 0: must be a finite number above 0"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: must be a finite number above 0"),
        ({"learning_rate": math.inf}, "learning_rate = inf: must be a finite number above 0"),
        ({"steps": 0}, "steps = 0: must be a positive integer"),
        ({"steps": 1e5}, "steps = 100000.0: must be a positive integer"),
        ({"width": 0}, "width = 0: must be a positive integer"),
        ({"width": 2.5}, "width = 2.5: must be a positive integer"),
        ({"width": math.nan}, "width = nan: must be a positive integer"),
        ({"engine": "momemts"}, "engine = 'momemts': did you mean 'moments'"),
        ({"engine": None}, "engine = None: Allowed: neurons, moments"),
        ({"width": math.inf, "engine": "neurons"}, "needs a finite width, or init = W"),
        ({"seed": 1.5}, "seed = 1.5: must be an integer of at least 0"),
        ({"sigma": math.nan}, "sigma = nan: must be a finite number"),
        ({"centred": 1}, "centred = 1: must be True or False"),
        ({"momentum": 1.0}, "momentum = 1.0: must be at least 0 and below 1"),
        ({"momentum": math.nan}, "momentum = nan: must be"),
        ({"weight_decay": -0.1}, "weight_decay = -0.1: must be at least 0"),
        ({"decoupled_weight_decay": math.inf}, "decoupled_weight_decay = inf: must be"),
        (
            {"engine": "linearised", "momentum": 0.5},
            "momentum = 0.5: engine = 'linearised' doesn't support it; use engine",
        ),
        ({"optimiser": torch.optim.Adam}, "optimiser = Adam: engine = 'moments' doesn't"),
        ({"alignment": "trian"}, "alignment = 'trian': did you mean 'train'"),
        ({"dtype": "float16"}, "dtype = 'float16': .*Allowed: float64, float32"),
        ({"device": "gpu"}, "device = 'gpu': must be a torch device that this machine has"),
        ({"device": "meta"}, "device = 'meta': must be a torch device that this machine has"),
        ({"device": None}, "device = None: must be a torch device that this machine has"),
        ({"engine": "neurons", "optimiser": 3}, "optimiser = 3: must be called with the param"),
        (
            {"engine": "neurons", "optimiser": lambda _: 3},
            "optimiser returned 3: must return a torch.optim.Optimizer",
        ),
        ({"record": [31]}, "record = 31: must be at most steps = 30"),
        ({"record": [-1]}, "record = -1: must be an integer of at least 0"),
        ({"record": [1.5]}, "record = 1.5: must be an integer"),
        ({"record": []}, "record is empty"),
        ({"record": 5}, "record = 5: must be a list of steps, or None"),
        ({"task": "task"}, "task = 'task': must be a PolynomialTask"),
        ({"init": np.ones((4, 2))}, r"init W has shape \(4, 2\): must be \(N, D\) with D = 3"),
        ({"init": np.ones((5, 3))}, "width = 4: must be 5, the rows of init, or left out"),
        ({"init": [[1, 2, math.nan]]}, "init W has 1 NaN or infinite entries"),
        ({"init": "W"}, "init W is str: must be an array of real numbers"),
        ({"init": MOMENTS}, r"width = 4: must be left out where init = \(wbar, M\)"),
        ({"init": MOMENTS, "width": None, "engine": "neurons"}, "needs a finite width, or init"),
        ({"init": (np.zeros(3),), "width": None}, "init is a tuple of 1: must be W or the pair"),
        ({"init": (np.zeros(2), np.eye(3)), "width": None}, r"init wbar has shape \(2,\)"),
        ({"init": (np.zeros(3), np.eye(2)), "width": None}, r"init M has shape \(2, 2\)"),
        (
            {"init": (np.zeros(3), np.tri(3)), "width": None},
            "init M differs from its transpose by up to 1: must be symmetric",
        ),
        (
            {"init": (np.zeros(3), np.full((3, 3), math.inf)), "width": None},
            "init M has 9 NaN or infinite entries: must be finite",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line_before_any_work(given, message):
    worked = []
    options = {"task": TASK, **OPTIONS, "progress": lambda *_: worked.append(1), **given}
    with pytest.raises(ValueError, match=message) as caught:
        simulate.train(options.pop("task"), **options)
    assert "\n" not in str(caught.value)
    assert not worked


def test_numbers_of_other_libraries_in_a_configuration_are_saved(tmp_path):
    run = saved(
        tmp_path / "run.nc",
        seed=np.int64(3),
        alpha=np.float32(0.5),
        epsilon=Fraction(1, 3),
        sigma=Fraction(3, 2),
    )
    again = simulate.load(tmp_path / "run.nc")
    assert again.config == run.config
    assert (again.config["seed"], again.config["sigma"]) == (3, 1.5)
    odd = {"a": np.arange(2), "b": Fraction(1, 4), "c": torch.tensor(2.0), "d": range(2)}
    simulate.Run(run.history, run.state, odd).save(tmp_path / "odd.nc")
    found = simulate.load(tmp_path / "odd.nc").config
    assert found == {"a": [0, 1], "b": 0.25, "c": 2.0, "d": [0, 1]}


def test_weights_by_name_come_back_by_name_whatever_the_names(tmp_path):
    history = simulate.train(TASK, **OPTIONS).history
    state = {
        "W": torch.ones(2, 3),
        "layer.0.bias": torch.zeros(3, dtype=torch.bfloat16),
        "count": np.array(7),
    }
    simulate.Run(history, state, {}).save(tmp_path / "run.nc")
    again = simulate.load(tmp_path / "run.nc").state
    assert {name: tuple(part.shape) for name, part in again.items()} == {
        "W": (2, 3),
        "layer.0.bias": (3,),
        "count": (),
    }
    assert again["layer.0.bias"].dtype == torch.float32
    assert int(again["count"]) == 7


def test_a_run_says_what_it_is_and_what_it_came_to():
    run = simulate.train(TASK, **OPTIONS)
    assert "engine = moments, D = 3, P = 6, width = 4, alpha = 1, epsilon = 0.5" in repr(run)
    assert str(run.outcome()) in repr(run)
    assert repr(run).splitlines()[-1].strip(" >") in html.unescape(run._repr_html_())
    bare = simulate.Run(xarray.Dataset(), {}, {"name": "<b>"})
    assert (repr(bare), bare._repr_html_()) == ("<Run: >", "<p><b>Run</b>: </p><ul></ul>")


def test_the_plot_marks_both_times_and_calls_each_loss_by_its_name():
    run = simulate.train(TASK, **OPTIONS | {"steps": 3000})
    found = run.outcome()
    axes = run.plot().axes[0]
    at = [float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == ":"]
    assert at == [t for t in (found.train_fall, found.test_fall) if math.isfinite(t)]
    assert axes.get_title(loc="left") == found.phase
    assert {"train loss", "population loss"} <= {t.get_text() for t in axes.get_legend().texts}
    labels = simulate.train(
        simulate.PolynomialTask.from_arrays(TASK.X, y=TASK.y, X_test=TASK.X, y_test=TASK.y),
        **OPTIONS,
    )
    assert "test loss" in {t.get_text() for t in labels.plot().axes[0].get_legend().texts}
    assert run.plot(axes) is axes.figure


def test_without_options_it_is_what_the_command_line_runs(tmp_path):
    """One set of defaults: in Python, in a sweep, and from the command line."""
    task = simulate.PolynomialTask(D=4, P=10, seed=0)
    here = simulate.train(task)
    main(["simulate", "--D", "4", "--P", "10", "--out", str(tmp_path / "run.nc"), "--quiet"])
    there = simulate.load(tmp_path / "run.nc")
    found = simulate.sweep({"seed": [0]}, folder=tmp_path / "cells", jobs=1, D=4, P=10)
    steps = here.history.step
    for name in ("train_loss", "population_loss", "alignment"):
        assert here.history[name].equals(there.history[name].sel(step=steps))
        assert np.array_equal(here.history[name], found[name].sel(seed=0, step=steps))
    assert here.config == there.config
    assert (here.config["width"], here.config["steps"]) == (500, 100_000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"record": itertools.count()}, "record = 31: must be at most steps = 30"),
        ({"record": itertools.repeat(3)}, "record has over .* entries: must be a list of steps"),
        ({"engine": "flow", "learning_rate": 1e300}, "the time of the flow, must be at most 1e"),
        ({"width": 10**12}, "width = 1000000000000, D = 3: the weights would take"),
    ],
)
def test_what_would_never_end_is_refused_in_one_line(given, message):
    with pytest.raises(ValueError, match=message):
        simulate.train(TASK, **OPTIONS | given)
