"""Sets of runs, one after another: in order, each run once, nothing lost."""

import pytest

from lazyrich.simulate import completing
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.runs import Runs, run_all, run_each

FIXED = {"D": 3, "P": 6, "width": 2, "steps": 3, "epsilon": 0.5, "n_test": 4}
FIXED |= {"learning_rate": 0.01, "engine": "neurons"}


def some(*alphas):
    return {"runs": Runs(NETWORK, {"alpha": list(alphas)}, FIXED)}


@pytest.fixture
def done(monkeypatch):
    """The alphas of the runs, in the order in which they are made."""
    found, contents = [], completing._contents

    def seen(experiment, batch, missing, checkpoint):
        found.extend(each["alpha"] for each in batch)
        return contents(experiment, batch, missing, checkpoint)

    monkeypatch.setattr(completing, "_contents", seen)
    return found


def test_a_set_is_yielded_before_the_next_is_begun_and_a_shared_run_is_done_once(done, tmp_path):
    reports, wanted = [], {"a": some(1.0, 2.0), "b": some(2.0, 3.0), "c": some(1.0)}
    each = run_each(wanted, tmp_path, progress=lambda *given: reports.append(given))
    made = {"a": {1.0, 2.0}, "b": {1.0, 2.0, 3.0}, "c": {1.0, 2.0, 3.0}}
    for (name, found), (expected, so_far) in zip(each, made.items(), strict=True):
        assert name == expected
        assert set(done) == so_far
        assert found["runs"].identical(run_all(wanted[name], tmp_path / "alone")["runs"])
        del done[len(so_far) :]  # those of the runs alone
    assert [spent / total for spent, total in reports] == pytest.approx([0.5, 1.0, 1.0])


def test_of_a_set_the_most_expensive_run_is_first(done, tmp_path):
    steps = [{**FIXED, "alpha": float(n), "steps": n} for n in (3, 30, 10)]
    sets = {
        "a": {"runs": Runs(NETWORK, listed=steps[:1])},
        "b": {"runs": Runs(NETWORK, listed=steps)},
    }
    assert [name for name, _ in run_each(sets, tmp_path)] == ["a", "b"]
    assert done == [3.0, 30.0, 10.0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_stops_after_the_first_set_keeps_it(jobs, tmp_path):
    each = run_each({"a": some(1.0, 2.0), "b": some(3.0, 4.0)}, tmp_path, jobs)
    name, found = next(each)
    each.close()
    assert name == "a"
    assert found["runs"].sizes["alpha"] == 2
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")}
    assert len(kept) >= 2
    again = run_all(some(1.0, 2.0), tmp_path)["runs"]
    assert again.identical(found["runs"])
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_nothing_to_do_asks_for_no_folder_that_can_be_written_to(tmp_path, monkeypatch):
    before = run_all(some(1.0), tmp_path)["runs"]
    monkeypatch.setattr(completing, "check_writable", lambda *_: pytest.fail("asked"))
    assert run_all(some(1.0), tmp_path)["runs"].identical(before)
