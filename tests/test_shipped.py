"""Runs that come with lazyrich: used for what they are runs of, and nothing else."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
import xarray

from lazyrich.paper_figures import make, module, names, plan, seconds, shipped
from lazyrich.paper_figures.experiments import modular_perceptron
from lazyrich.paper_figures.runs import of_fit
from lazyrich.simulate.experiment import Function
from lazyrich.simulate.runs import Runs, run_all

EXPERIMENT = of_fit(modular_perceptron)
FIXED = {"p": 5, "width": 4, "fraction": 0.6, "alpha": 1.0, "learning_rate": 1.0, "steps": 3}
FIXED |= {"device": "cpu"}
STEPS = 12


class Figure:
    """A figure whose one sweep has these runs."""

    @staticmethod
    def sweeps(p):
        return {"runs": Runs(EXPERIMENT, {}, FIXED | {"steps": p.steps}, p.seeds)}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A run that comes with lazyrich, told from a true one by a loss of 7."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "finished")
    history = modular_perceptron.train(**FIXED, seed=0, checkpoint=None)
    history["train_loss"] = 0 * history.train_loss + 7
    return shipped.keep(EXPERIMENT, FIXED | {"seed": 0}, history, {"torch": "x"})


def losses(p, folder):
    chosen = plan.available(Figure, p, folder)
    return run_all(chosen.runs, folder, given=chosen.given)["runs"].train_loss.values


def parameters(**changes):
    p = replace(module("2").PRESETS["tiny"], seeds=1, **{"steps": FIXED["steps"]})
    return replace(p, **changes)


def test_a_run_that_comes_with_lazyrich_is_used_on_any_device(kept, tmp_path):
    assert kept.exists()
    assert (losses(parameters(), tmp_path) == 7).all()
    assert not list(tmp_path.rglob("*.nc"))  # nothing was run
    assert shipped.find(EXPERIMENT, FIXED | {"seed": 0, "device": "cuda"}) is not None


@pytest.mark.parametrize("changed", [{"steps": 4}, {"seeds": 2}])
def test_a_run_of_other_settings_is_done(changed, kept, tmp_path):
    assert kept.exists()
    found = losses(parameters(**changed), tmp_path)
    assert (found[-1] != 7).all()


def test_a_flipped_byte_is_noticed_and_the_run_done(kept, tmp_path):
    content = bytearray(gzip.decompress(kept.read_bytes()))
    content[len(content) // 2] ^= 1
    kept.write_bytes(gzip.compress(bytes(content)))
    with pytest.warns(UserWarning, match="was changed or cut off: this run is done again"):
        assert (losses(parameters(), tmp_path) != 7).all()
    kept.write_bytes(kept.read_bytes()[:-50])
    with pytest.warns(UserWarning, match="can't be read"):
        assert shipped.find(EXPERIMENT, FIXED | {"seed": 0}) is None


def all_shipped():
    """Every file that comes with lazyrich, with its experiment and settings."""
    found = {}
    for name in names():
        figure = module(name)
        for runs in figure.sweeps(figure.PRESETS["paper"]).values():
            if isinstance(runs.experiment, Function):
                for one in (one for group in runs.settings() for one in group):
                    path = shipped.FOLDER / f"{shipped.name_of(runs.experiment, one)}.nc.gz"
                    if path.exists():
                        found[path] = (runs.experiment, one)
    return found


def test_the_files_are_small_and_sound_and_each_is_of_a_paper_preset():
    found = all_shipped()
    assert set(found) == set(shipped.FOLDER.iterdir())
    assert sum(path.stat().st_size for path in found) < 30 * 2**20
    assert all(shipped.find(*run) is not None for run in found.values())


def test_the_code_of_today_begins_every_kind_of_run_as_it_was_run(tmp_path):
    """By the first run of each experiment; a change of the code that changes them is noticed."""
    kinds = dict(all_shipped().values())
    for kind, (experiment, settings) in enumerate(kinds.items()):
        content = shipped.find(experiment, settings)
        file = tmp_path / "run.nc"
        file.write_bytes(content)
        then = xarray.load_dataset(file, group="history", engine="h5netcdf")
        short = settings | {"steps": STEPS, "device": "cpu"}
        (now,) = experiment.outcomes([short], tmp_path / f"{kind}.pt")
        steps = np.intersect1d(then.step, now.step)
        assert len(steps) > 5
        for name in then:
            old, new = (runs[name] for runs in (then, now))
            if "step" in old.dims:
                old, new = old.sel(step=steps), new.sel(step=steps)
            np.testing.assert_allclose(old, new, rtol=1e-4, err_msg=name)


def test_what_takes_days_is_not_run_and_the_figure_says_what_it_costs(tmp_path):
    made = make("12", "paper", out=tmp_path)
    assert made.checks == ()
    assert made.not_run.startswith("Not run at the paper's size: the figure (28 h of one core)")
    assert made.not_run in (tmp_path / "figure-12.md").read_text()
    assert seconds("12", "paper") == 0 < seconds("12", "paper", fresh=True)
