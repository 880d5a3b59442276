"""What a sweep costs in addition to the training: files, opening, resuming."""

import itertools

import pytest

from lazyrich import simulate

FIXED = {"D": 10, "P": 50, "n_test": 50, "width": 100, "epsilon": 0.25, "steps": 1000}
FIXED |= {"learning_rate": 0.5, "alignment": None, "engine": "moments", "centred": False}


def grid(count):
    return {"alpha": [0.5, 1.0, 2.0, 4.0], "seed": list(range(count // 4))}


@pytest.mark.parametrize("count", [8, 32, 128])
def test_new_cells(measure, tmp_path, count):
    """New cells of engine moments, D = 10, P = 50, 1,000 steps of which 61 are recorded, one
    process: training, measuring, writing and opening. Time for all."""
    folders = (tmp_path / str(number) for number in itertools.count())

    def run():
        return simulate.sweep(grid(count), folder=next(folders), jobs=1, **FIXED)

    name = f"{count} cells"
    notes = {}
    found = measure("A sweep against its cells", name, run, at=count, rounds=1, notes=notes)
    assert bool((found.status == "finished").all())
    files = list((tmp_path / "0").rglob("*.nc"))
    assert len(files) == count
    notes["KiB a file"] = round(sum(file.stat().st_size for file in files) / count / 1024, 1)
    notes["KiB a cell on disk"] = round(
        sum(file.stat().st_blocks for file in files) * 512 / count / 1024, 1
    )
    notes["KiB a cell open"] = round(found.nbytes / count / 1024, 1)


@pytest.mark.parametrize("count", [8, 32, 128])
def test_finished_cells(measure, tmp_path, count):
    """The same sweep called again: every cell is found and opened, none is trained."""
    simulate.sweep(grid(count), folder=tmp_path, jobs=1, **FIXED)
    run = lambda: simulate.sweep(grid(count), folder=tmp_path, jobs=1, **FIXED)  # noqa: E731
    measure("Opening a finished sweep", f"{count} cells", run, at=count, rounds=1)


TINY = {"D": 4, "P": 10, "width": 20, "epsilon": 0.25, "steps": 20, "learning_rate": 0.5}
LEAN = {"n_test": 10, "alignment": None, "engine": "moments", "centred": False}


@pytest.mark.parametrize(("name", "options"), [("nothing but losses", LEAN), ("as it comes", {})])
def test_tiny_cells(measure, tmp_path, name, options):
    """New cells of D = 4, P = 10, width 20 and 20 steps, one process: nearly all of the time is not
    the training. *Nothing but losses*: engine moments, 10 test samples, no alignments. *As it
    comes*: engine flow, 1,000 test samples and alignments on them. Time for one cell of 300."""
    folders = (tmp_path / str(number) for number in itertools.count())

    def run():
        return simulate.sweep(grid(300), folder=next(folders), jobs=1, **TINY, **options)

    measure("Tiny cells", name, run, calls=300, rounds=2)
