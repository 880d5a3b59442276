"""fit is the loop that anyone would write, to the bit, however often it is interrupted."""

import gc
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lazyrich.simulate import Data, FitDivergenceError, Scaled, fit
from lazyrich.simulate.arrays import generator, standard_normal
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.modules.trainer import Trainer

LOSS = nn.functional.mse_loss
OPTIMISERS = {
    "descent": lambda weights: torch.optim.SGD(weights, lr=0.05),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.02, momentum=0.9),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1),
}


def problem(seed=0, n=11):
    X, X_test = standard_normal(seed, "train inputs", (n, 3)), standard_normal(5, "beta", (4, 3))
    data = Data(X, X.prod(1, keepdim=True), X_test, X_test.prod(1, keepdim=True))
    return Scaled(mlp((3, 6, 1), nn.Tanh, seed=seed), 2.0), data


def by_hand(name, batch_size, steps, seed):
    """The weights after each step, by a loop of its own."""
    model, data = problem()
    optimiser, found = OPTIMISERS[name](list(model.model.parameters())), []
    n = len(data.X)
    size = n if batch_size is None else min(batch_size, n)
    batches = []
    epoch = 0
    while len(batches) < steps:
        order = torch.from_numpy(generator(seed, "batches", epoch).permutation(n))
        batches += [torch.arange(n)] if size == n else list(order.split(size))
        epoch += 1
    for indices in batches[:steps]:
        model.zero_grad()
        LOSS(model(data.X[indices]), data.y[indices]).backward()
        optimiser.step()
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    return found


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@given(
    name=st.sampled_from(list(OPTIMISERS)),
    batch_size=st.one_of(st.none(), st.integers(1, 12)),
    steps=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_it_is_the_plain_loop_to_the_bit(name, batch_size, steps, seed):
    model, data = problem()
    weights = []
    fit(
        model,
        data,
        loss=LOSS,
        optimiser=OPTIMISERS[name],
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        record=range(1, steps + 1),
        measures={"look": lambda m: weights.append(flat(m)) or 0.0},
    )
    for found, expected in zip(weights, by_hand(name, batch_size, steps, seed), strict=True):
        assert torch.equal(found, expected)


def test_every_sample_is_used_once_an_epoch_and_seeds_differ():
    orders = []
    for seed in (0, 1):
        model, data = problem()
        seen = []

        def spying(f, y, seen=seen):
            seen.append(y.detach().flatten())
            return LOSS(f, y)

        fit(
            model,
            data,
            loss=spying,
            optimiser=OPTIMISERS["descent"],
            steps=8,
            batch_size=3,
            seed=seed,
            record=[8],
        )
        batches = [y for y in seen if len(y) in (2, 3)]
        assert [len(y) for y in batches] == [3, 3, 3, 2, 3, 3, 3, 2]
        for epoch in (batches[:4], batches[4:]):
            assert sorted(torch.cat(epoch).tolist()) == sorted(data.y.flatten().tolist())
        orders.append(torch.cat(batches))
    assert not torch.equal(*orders)
    assert not torch.equal(orders[0][:11], orders[0][11:])


class Interrupted(Exception):
    pass


def arguments(path, name="AdamW", **changes):
    def accuracy(f, y):
        return ((f - y).abs() < 0.1).double().mean()

    return {
        "loss": LOSS,
        "optimiser": OPTIMISERS[name],
        "steps": 60,
        "record": range(0, 61, 7),
        "batch_size": 4,
        "schedule": lambda step: min((step + 1) / 20, 1.0),
        "metrics": {"accuracy": accuracy},
        "measures": {"first": lambda m: m.model[0].bias[0].item()},
        "checkpoint": path,
        "checkpoint_seconds": 0.0,
        **changes,
    }


@pytest.mark.parametrize("name", list(OPTIMISERS))
@pytest.mark.parametrize("last", [0, 1, 13, 59])
def test_a_resumed_run_ends_with_the_same_bits(name, last, tmp_path, monkeypatch):
    model, data = problem()
    whole = fit(model, data, **arguments(tmp_path / "whole.pt", name)).history
    expected = flat(model)
    options = arguments(tmp_path / "part.pt", name)
    steady = options["schedule"]

    def breaks(step):
        if step == last:
            raise Interrupted
        return steady(step)

    model, data = problem()
    with pytest.raises(Interrupted):
        fit(model, data, **{**options, "schedule": breaks})
    updates, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda run: updates.append(run.done) or step(run))
    model, data = problem()
    resumed = fit(model, data, **options).history
    assert updates == list(range(last, 60))  # nothing done twice
    assert resumed.identical(whole)
    assert torch.equal(flat(model), expected)
    updates.clear()
    again, data = problem()
    assert fit(again, data, **options).history.identical(whole)
    assert updates == []  # nothing left to do
    assert torch.equal(flat(again), expected)


SCRIPT = """
import sys
import torch
from torch import nn
from lazyrich.simulate import Data, Scaled, fit
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.modules.mlp import mlp
X = standard_normal(0, "train inputs", (11, 3))

def run(path):
    data, model = Data(X, X, X, X), Scaled(mlp((3, 6, 3), nn.Tanh), 2.0)
    history = fit(model, data, loss=nn.functional.mse_loss, steps=1500, batch_size=4,
        optimiser=lambda w: torch.optim.AdamW(w, lr=1e-3), checkpoint=path,
        checkpoint_seconds=0.02).history
    return history.to_dict(), [p.tolist() for p in model.parameters()]

if __name__ == "__main__":
    torch.set_num_threads(1)
    run(sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_process_loses_nothing_and_ends_with_the_same_bits(tmp_path):
    kept = tmp_path / "run.pt"
    command = [sys.executable, "-c", SCRIPT, str(kept)]
    process = subprocess.Popen(command)
    while not kept.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < torch.load(kept, weights_only=True)["step"] < 1500
    here: dict = {}
    exec(SCRIPT, here)
    assert here["run"](kept) == here["run"](None)
    assert torch.load(kept, weights_only=True)["step"] == 1500


def changed(**parts):
    model, data = problem()
    return model, Data(**{**vars(data), **parts})


@pytest.mark.parametrize(
    "other",
    [
        lambda path: (*problem(), arguments(path, "descent")),
        lambda path: (*problem(), arguments(path, loss=nn.functional.l1_loss)),
        lambda path: (*problem(), arguments(path, loss=lambda f, y: 2 * LOSS(f, y))),
        lambda path: (*problem(), arguments(path, schedule=None)),
        lambda path: (*problem(), arguments(path, schedule=lambda s: min((s + 1) / 30, 1.0))),
        lambda path: (*problem(), arguments(path, schedule=lambda s: min((s + 1) / 20, 60.5 - s))),
        lambda path: (*problem(), arguments(path, metrics={"accuracy": LOSS})),
        lambda path: (*problem(), arguments(path, batch_size=5)),
        lambda path: (*problem(), arguments(path, seed=1)),
        lambda path: (*problem(), arguments(path, metrics={})),
        lambda path: (*problem(seed=1), arguments(path)),
        lambda path: (problem(seed=1)[0], problem()[1], arguments(path)),
        lambda path: (Scaled(mlp((3, 6, 1), nn.Tanh), 3.0), problem()[1], arguments(path)),
        lambda path: (*changed(y_test=torch.zeros(4, 1).double()), arguments(path)),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(other, tmp_path):
    path = tmp_path / "run.pt"
    fit(*problem(), **arguments(path))
    before = path.read_bytes()
    model, data, options = other(path)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        fit(model, data, **options)
    assert path.read_bytes() == before


def test_a_checkpoint_without_a_schedule_is_none_of_a_run_with_one(tmp_path):
    options = arguments(tmp_path / "run.pt", schedule=None)
    fit(*problem(), **options)
    fit(*problem(), **options | {"schedule": lambda step: 1.0 if step < 60 else 0.5})  # the same
    with pytest.raises(ValueError, match="another run: schedule gives other values"):
        fit(*problem(), **options | {"schedule": lambda step: 1.0 if step < 59 else 0.5})


def test_a_checkpoint_can_be_prolonged(tmp_path):
    """A run of 30 steps, prolonged to 60, is the run of 60 to the bit."""
    model, data = problem()
    whole = fit(model, data, **arguments(None, record=range(0, 61, 10))).history
    part, data = problem()
    options = arguments(tmp_path / "run.pt", record=range(0, 31, 10), steps=30)
    fit(part, data, **options)
    part, data = problem()
    longer = fit(part, data, **options | {"steps": 60, "record": range(0, 61, 10)}).history
    assert longer.identical(whole)
    assert torch.equal(flat(part), flat(model))
    with pytest.raises(ValueError, match=r"record = 5: the checkpoint is at step 60"):
        fit(*problem(), **options | {"steps": 70, "record": [5, 70]})
    with pytest.raises(ValueError, match=r"steps = 30: the checkpoint is at step 60 already"):
        fit(*problem(), **options)


def test_the_folder_of_a_checkpoint_is_tried_before_training(tmp_path):
    used = []
    options = arguments(tmp_path / "none" / "run.pt", schedule=lambda s: used.append(s) or 1.0)
    with pytest.raises(ValueError, match=r"checkpoint = .*none/run\.pt: the folder .* not exist"):
        fit(*problem(), **options)
    with pytest.raises(ValueError, match=r"is a folder; must be a file"):
        fit(*problem(), **options | {"checkpoint": tmp_path})
    assert used == []


def test_the_history_is_kept_where_the_last_write_fails(tmp_path, monkeypatch):
    def full(path, _):
        raise OSError(f"{path}: can't be written: No space left on device")

    monkeypatch.setattr("lazyrich.simulate.modules.checkpoint.write_whole", full)
    options = arguments(tmp_path / "run.pt", checkpoint_seconds=1e9)
    with pytest.warns(UserWarning, match=r"No space left on device; the run is not kept"):
        found = fit(*problem(), **options).history
    assert found.identical(fit(*problem(), **options | {"checkpoint": None}).history)


def test_a_spoilt_checkpoint_is_one_line(tmp_path):
    path = tmp_path / "run.pt"
    fit(*problem(), **arguments(path))
    whole = path.read_bytes()
    flipped = [
        whole[:i] + bytes([whole[i] ^ 32]) + whole[i + 1 :] for i in range(0, len(whole), 500)
    ]
    line = r"run\.pt: truncated, changed or not a checkpoint$"
    for content in (whole[:200], b"", b"no checkpoint", *flipped):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=line):
            fit(*problem(), **arguments(path))


def test_a_pipe_in_the_place_of_a_checkpoint_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"checkpoint = .*run\.pt: not a regular file$"):
        fit(*problem(), **arguments(tmp_path / "run.pt"))


def test_a_schedule_multiplies_the_rate():
    """At rates 0, 0, then the rate itself, two steps do nothing."""
    model, data = problem()
    options = {"loss": LOSS, "optimiser": OPTIMISERS["AdamW"], "record": range(5)}
    late = fit(model, data, steps=4, schedule=lambda step: float(step >= 2), **options).history
    assert late.parameter_change.values[:3].tolist() == [0, 0, 0]
    assert late.parameter_change.values[3] > 0


def test_what_is_recorded_is_what_it_says():
    model, data = problem()
    first = flat(model)
    history = fit(
        model,
        data,
        loss=LOSS,
        optimiser=OPTIMISERS["descent"],
        steps=9,
        record=[0, 9],
        metrics={"worst": lambda f, y: (f - y).abs().max()},
        measures={"norm1": lambda m: flat(m).abs().sum().item()},
    ).history
    assert history.step.values.tolist() == [0, 9]
    f, f_test = model(data.X).detach(), model(data.X_test).detach()
    end = history.isel(step=-1)
    assert float(end.train_loss) == float(LOSS(f, data.y))
    assert float(end.test_loss) == float(LOSS(f_test, data.y_test))
    assert float(end.test_worst) == float((f_test - data.y_test).abs().max())
    assert float(history.train_worst[0]) == float(data.y.abs().max())  # centred: f = 0
    assert float(end.norm1) == float(flat(model).abs().sum())
    assert float(end.weight_norm) == pytest.approx(float(flat(model).norm()), rel=1e-13)
    change = float((flat(model) - first).norm() / first.norm())
    assert float(end.parameter_change) == pytest.approx(change, rel=1e-12)


def test_no_test_set_is_nan_and_no_start_is_no_error():
    model, data = problem()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    empty = Data(data.X, data.y, data.X[:0], data.y[:0])
    history = fit(
        Scaled(model, 1.0), empty, loss=LOSS, optimiser=OPTIMISERS["descent"], steps=3
    ).history
    assert np.isnan(history.test_loss).all()
    assert np.isnan(history.parameter_change).all()
    assert np.isfinite(history.train_loss).all()


@pytest.mark.parametrize("batch_size", [None, 5])
def test_divergence_is_an_error_that_says_when(batch_size):
    model, data = problem()
    with pytest.raises(FitDivergenceError, match=r"must be below .* diverged by step \d+$") as e:
        fit(
            model,
            data,
            loss=LOSS,
            optimiser=lambda weights: torch.optim.SGD(weights, lr=1e6),
            steps=5000,
            batch_size=batch_size,
        )
    assert 0 < e.value.step <= 256
    assert 0 < e.value.stable_rate < 1e6


def test_optimisers_as_class_instance_and_with_closures(tmp_path):
    """LBFGS evaluates the loss several times a step: it is the loop of its documentation."""
    model, data = problem()
    optimiser = torch.optim.LBFGS(model.parameters(), lr=0.5)
    for _ in range(4):

        def closure():
            optimiser.zero_grad()
            loss = LOSS(model(data.X), data.y)
            loss.backward()
            return loss

        optimiser.step(closure)
    options = {"loss": "mse", "steps": 4, "checkpoint": tmp_path / "c.pt"}
    for _ in range(2):  # the second time from the file
        again, data = problem()
        fit(again, data, optimiser=lambda w: torch.optim.LBFGS(w, lr=0.5), **options)
        assert torch.equal(flat(again), flat(model))
    ends = []
    for kind in (torch.optim.Adam, None):
        model, data = problem()
        given = kind or torch.optim.Adam(model.parameters())
        ends.append((fit(model, data, loss="mse", steps=5, optimiser=given).history, flat(model)))
    assert torch.equal(ends[0][1], ends[1][1])
    with pytest.raises(ValueError, match="holds none of the model's parameters"):
        fit(*problem(), loss="mse", steps=5, optimiser=torch.optim.Adam(model.parameters()))
    with pytest.raises(ValueError, match="optimiser gives int: must give"):
        fit(*problem(), loss="mse", steps=5, optimiser=len)


def test_losses_by_name_are_those_of_torch():
    model, data = problem()
    options = {"optimiser": OPTIMISERS["momentum"], "steps": 6}
    named, given = (fit(*problem(), loss=loss, **options).history for loss in ("mse", LOSS))
    assert named.identical(given)
    X, labels = data.X, torch.tensor([0, 1, 2] * 4)[:11]
    ends = []
    for y in (labels, nn.functional.one_hot(labels, 3)):
        model = mlp((3, 6, 3), nn.Tanh)
        ends.append(
            fit(model, Data(X, y, X, y), loss="cross_entropy", **options).history.train_loss[-1]
        )
    plain = nn.functional.cross_entropy(model(X), labels)
    assert float(ends[0]) == pytest.approx(float(plain), rel=1e-12)
    assert float(ends[1]) == pytest.approx(float(plain), rel=1e-12)
    with pytest.raises(ValueError, match="loss = 'mae': did you mean 'mse'"):
        fit(*problem(), loss="mae", **options)


def test_labels_that_would_be_paired_with_every_output_are_refused():
    model, data = problem()
    wrong = Data(data.X, data.y[:, 0], data.X_test, data.y_test[:, 0])
    options = {"optimiser": OPTIMISERS["descent"], "steps": 2}
    for loss in (lambda f, y: (f - y).square().mean(), "mse", nn.functional.l1_loss):
        with pytest.raises(ValueError, match=r"y has shape \(11,\)"):
            fit(*(problem()[0], wrong), loss=loss, **options)
    model, _ = problem()
    fit(model, wrong, loss=lambda f, y: (f[:, 0] - y).square().mean(), **options)  # it minds them


def test_divergence_between_records_is_seen_at_the_end():
    model, data = problem()
    options = {"loss": LOSS, "optimiser": lambda weights: torch.optim.SGD(weights, lr=1e6)}
    with pytest.raises(FitDivergenceError, match=r"diverged by step 50$"):
        fit(model, data, steps=50, record=[0], **options)


def test_divergence_of_an_adaptive_optimiser_names_no_rate():
    model, data = problem()
    with pytest.raises(FitDivergenceError, match=r"diverged by step \d+$") as error:
        fit(
            model,
            data,
            loss=LOSS,
            optimiser=lambda weights: torch.optim.Adam(weights, lr=1e30),
            steps=5000,
        )
    assert error.value.stable_rate is None


def test_progress_rises_to_the_end():
    model, data = problem()
    reports = []
    options = {"loss": LOSS, "optimiser": OPTIMISERS["descent"], "steps": 1000}
    fit(model, data, **options, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(256, 1000), (512, 1000), (768, 1000), (1000, 1000)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": lambda _: float("nan")}, "schedule(0) = nan: must be a finite number"),
        ({"schedule": lambda step: 1 - step}, "schedule(2) = -1: must be at least 0"),
        ({"schedule": lambda _: None}, "schedule(0) = None: must be a finite number"),
        ({"metrics": {"a": lambda f, _: f}}, "a gives "),
        ({"metrics": {"a": lambda *_: "x"}}, "a gives 'x': must give one real number"),
        ({"measures": {"b": lambda _: 10**400}}, "b gives "),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds = nan: must be a finite number"),
        ({"checkpoint_seconds": -5}, "checkpoint_seconds = -5: must be at least 0"),
        (
            {"optimiser": lambda w: torch.optim.SGD(w, lr=float("nan"))},
            "learning_rate = nan: must be a finite number",
        ),
        ({"optimiser": lambda w: torch.optim.SparseAdam(w)}, "optimiser is SparseAdam: "),
    ],
)
def test_what_functions_of_the_user_give_is_checked(changes, message, tmp_path):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as error:
        fit(*problem(), **arguments(tmp_path / "run.pt") | changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps = 0: must be a positive integer"),
        ({"batch_size": 0}, "batch_size = 0: must be a positive integer"),
        ({"seed": -1}, "seed = -1: must be an integer of at least 0"),
        ({"record": [61]}, "record = 61: must be at most steps = 60"),
        ({"metrics": {"loss": LOSS}}, "train_loss is the name of two records"),
        ({"measures": {"step": len}}, "step is the name of two records"),
        ({"loss": lambda f, y: f.mean() / 0 * y.mean()}, "the loss is "),
        ({"loss": lambda f, y: (f - y) ** 2}, "loss gives a tensor of shape"),
        ({"loss": lambda *_: None}, "loss gives NoneType: must give a tensor"),
        ({"loss": lambda f, y: (f - y).detach().mean()}, "loss does not depend on f(X)"),
    ],
)
def test_bad_input_is_one_line_before_any_work(changes, message, tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(ValueError) as error:
        fit(*problem(), **arguments(path, **changes))
    assert str(error.value).startswith(message)
    assert not Path(path).exists()


def test_data_that_do_not_fit_together_are_refused():
    X = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="y has 2 rows: must be 3, as X has"):
        Data(X, X[:2], X, X)
    with pytest.raises(ValueError, match="X has 0 rows"):
        Data(X[:0], X[:0], X, X)
    with pytest.raises(ValueError, match=r"data is list: must be simulate\.Data"):
        fit(problem()[0], [X], loss=LOSS, optimiser=OPTIMISERS["descent"], steps=1)


def test_five_hundred_trainings_keep_no_memory():
    """What the process holds after 100 trainings and after 500 is the same, but for 2 MiB."""
    X = standard_normal(0, "train inputs", (20, 3))
    data = Data(X, X[:, :1], X, X[:, :1])

    def held():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = 0
    for number in range(500):
        model = nn.Linear(3, 1).double()
        fit(model, data, loss="mse", optimiser=torch.optim.Adam, steps=2, record=[0, 2])
        before = held() if number == 99 else before
    assert held() - before < 2**21
