"""The runs of fit behind figures: kept whole, found again, resumed to the same bits."""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
import torch
import xarray

from lazyrich.paper_figures.experiments import modular_perceptron, student_and_teacher
from lazyrich.paper_figures.kumar import figure2, figure8
from lazyrich.paper_figures.runs import of_fit
from lazyrich.paper_figures.studies import modular, student
from lazyrich.simulate import experiment
from lazyrich.simulate.modules.checkpoint import Checkpoint
from lazyrich.simulate.runs import Runs

FIXED = {
    "p": 5,
    "width": 8,
    "fraction": 0.8,
    "learning_rate": 2.0,
    "steps": 300,
    "device": "cpu",
}
FITS = Runs(of_fit(modular_perceptron), {"alpha": [0.5, 1.0]}, FIXED, seeds=2)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return FITS.run(tmp_path_factory.mktemp("reference"))


def test_every_cell_of_the_grid_is_its_own_run(reference):
    assert reference.train_loss.dims == ("seed", "alpha", "step")
    for i, seed in enumerate(reference.seed.values):
        for j, alpha in enumerate(reference.alpha.values):
            alone = modular_perceptron.train(
                **FIXED, alpha=float(alpha), seed=int(seed), checkpoint=None
            )
            for name in alone.data_vars:
                assert np.array_equal(reference[name].values[i, j], alone[name].values)
    ends = reference.train_loss.isel(step=-1).values.ravel()
    assert len(set(ends)) == len(ends)


@pytest.mark.slow
def test_processes_and_folders_change_no_bit(reference, tmp_path):
    assert FITS.run(tmp_path, jobs=2).identical(reference)


def test_a_finished_run_is_found_again_and_another_is_not(tmp_path, monkeypatch):
    first = FITS.run(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")}
    assert len(files) == 4
    assert not list(tmp_path.rglob("*.pt"))  # a checkpoint goes when its run is done
    reports = []
    assert FITS.run(tmp_path, progress=lambda *r: reports.append(r)).identical(first)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")} == files
    assert reports == []
    more = dataclasses.replace(FITS, grid={"alpha": [1.0, 2.0]})
    more.run(tmp_path, progress=lambda *r: reports.append(r))
    assert len(list(tmp_path.rglob("*.nc"))) == 6  # alpha = 1 was there
    assert [done / total for done, total in reports] == [0.5, 1.0]
    monkeypatch.setattr(experiment, "code_of", lambda _: "other code")
    FITS.run(tmp_path)
    assert len(list(tmp_path.rglob("*.nc"))) == 10


class Interrupted(Exception):
    pass


def test_an_interrupted_run_goes_on_from_its_checkpoint(reference, tmp_path, monkeypatch):
    """Stopped in the midst of the third of four runs; the two before it are not done again."""
    updates = []
    trainer = import_module("lazyrich.simulate.modules.fit").Trainer
    step = trainer.step

    def counted(run):
        updates.append(run.done)
        if len(updates) == 2 * 300 + 200:
            raise Interrupted
        step(run)

    monkeypatch.setattr(trainer, "step", counted)
    monkeypatch.setattr(Checkpoint, "is_older_than", lambda *_: True)
    with pytest.raises(Interrupted):
        FITS.run(tmp_path)
    assert len(list(tmp_path.rglob("*.nc"))) == 2
    assert len(list(tmp_path.rglob("*.pt"))) == 1
    updates.clear()
    resumed = FITS.run(tmp_path)
    assert resumed.identical(reference)
    assert updates[0] >= 198  # where it was
    assert len(updates) <= 102 + 300


def test_a_run_that_diverges_is_one_clear_error(tmp_path):
    wild = dataclasses.replace(FITS, fixed={**FIXED, "learning_rate": 1e6}, seeds=1)
    with pytest.raises(
        RuntimeError,
        match=r"'alpha': 0\.5.*diverged: learning_rate = .*: must be .*: training diverged by step",
    ):
        wild.run(tmp_path)


def test_figures_that_share_runs_share_their_files(tmp_path):
    """At alpha = 1 both rules of Figure 8 are one rule; Figure 17 takes the same runs."""
    p = dataclasses.replace(figure8.PRESETS["tiny"], steps=5, seeds=1)
    for sweep in figure8.sweeps(p).values():
        sweep.run(tmp_path)
    assert len(list(tmp_path.rglob("*.nc"))) == 2 * len(p.alphas) - 1


def test_the_twin_is_trained_in_the_place_of_the_student(tmp_path):
    fixed = {**student.settings(student.PRESETS["tiny"]), "steps": 3, "alpha": 1.0}
    fixed |= {"learning_rate": 1e-3, "weight_decay": 0.05}
    both = Runs(of_fit(student_and_teacher), {"linearised": [False, True]}, fixed, seeds=1).run(
        tmp_path
    )
    network, twin = both.train_loss.values[0]
    assert network[0] == pytest.approx(twin[0], rel=1e-5)
    assert network[-1] != twin[-1]
    assert both.train_accuracy.dims == ("seed", "linearised", "threshold", "step")


def test_costs_are_in_proportion_to_the_steps():
    p = figure2.PRESETS["tiny"]
    one, ten = (
        sum(s.cost() for s in figure2.sweeps(dataclasses.replace(p, steps=steps)).values())
        for steps in (10, 100)
    )
    assert ten == pytest.approx(10 * one)


def test_times_are_those_of_a_run_made_up():
    """Accuracies rise at known steps: when, how much later, and what is not within the run."""
    steps = np.arange(0, 101, 10)
    runs = xarray.Dataset(coords={"step": steps, "seed": [0, 1]})
    rises = {"train": (20, 20), "test": (60, 1000)}
    for side, ats in rises.items():
        runs[f"{side}_accuracy"] = (("seed", "step"), [(steps >= at) * 1.0 for at in ats])
    train, test = (modular.accuracy_times(runs, side) for side in ("train", "test"))
    assert ((train > 10) & (train <= 20)).all()
    delay = modular.delays(train, test).values
    assert 39 < delay[0] < 51
    assert delay[1] == np.inf
    late = student.lateness(runs).values
    assert late[0] == pytest.approx(float(test[0] / train[0]), rel=0.3)
    assert late[1] == np.inf


def test_no_gpu_is_asked_for_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    paper = figure2.sweeps(figure2.PRESETS["paper"])["runs"]
    assert paper.fixed["device"] == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    paper = figure2.sweeps(figure2.PRESETS["paper"])["runs"]
    assert paper.fixed["device"] == "cuda"
