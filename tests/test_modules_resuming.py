"""A resumed run is the run itself, or says at its second step that it would not be."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.checkpoint import reread
from lazyrich.simulate.modules.mlp import mlp

X = standard_normal(0, "train inputs", (12, 3))
DATA = simulate.Data(X, X[:, :1] ** 2, X + 0.1, X[:, :1])


def fitted(optimiser, steps=20, instance=False, model=None, **given):
    model = model or simulate.Scaled(mlp((3, 8, 1), nn.Tanh), 2.0)
    made = optimiser(list(model.parameters())) if instance else optimiser
    simulate.fit(model, DATA, optimiser=made, steps=steps, **{"loss": "mse", **given})
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Plain(torch.optim.Optimizer):
    def __init__(self, weights, lr=0.05):
        super().__init__(weights, {"lr": lr})
        self.count, self.velocity = 0, {}

    def each(self):
        for group in self.param_groups:
            yield from enumerate(group["params"])

    def step(self):
        for _, p in self.each():
            p.data.add_(p.grad, alpha=-0.05)


class Momentum(Plain):
    """Keeps its velocity where torch looks for it."""

    def step(self):
        for _, p in self.each():
            v = self.state[p].get("v", 0)
            self.state[p]["v"] = 0.9 * v + p.grad
            p.data.add_(self.state[p]["v"], alpha=-0.05)


class Hidden(Plain):
    """The same in a dict of its own."""

    def step(self):
        for i, p in self.each():
            self.velocity[i] = 0.9 * self.velocity.get(i, 0) + p.grad
            p.data.add_(self.velocity[i], alpha=-0.05)


class Counts(Plain):
    def step(self):
        self.count += 1
        for _, p in self.each():
            p.data.add_(p.grad, alpha=-0.05 / self.count)


class Gathers(Plain):
    """Never empties its gradients."""

    def zero_grad(self, set_to_none=True):
        pass


class OwnNoise(Plain):
    def __init__(self, weights):
        super().__init__(weights)
        self.draws = torch.Generator().manual_seed(0)

    def step(self):
        super().step()
        for _, p in self.each():
            p.data.add_(torch.randn(p.shape, generator=self.draws, dtype=p.dtype), alpha=0.01)


class Langevin(Plain):
    def step(self):
        super().step()
        for _, p in self.each():
            p.data.add_(torch.randn_like(p), alpha=0.01)
            p.data.add_(float(np.random.normal()), alpha=0.01)  # noqa: NPY002
            p.data.add_(random.gauss(0, 1), alpha=0.01)


@pytest.mark.parametrize("kind", [Hidden, Counts, Gathers, OwnNoise])
@pytest.mark.parametrize("instance", [False, True])
def test_what_a_file_would_lose_is_said_at_the_second_step(kind, instance, tmp_path):
    calls, path = [], tmp_path / "c.pt"
    said = rf"^checkpoint: resumed from it, the run would go on otherwise: {kind.__name__} [^\n]*$"
    measures = {"n": lambda _: calls.append(0) or 0.0}
    with pytest.raises(ValueError, match=said):
        fitted(kind, instance=instance, checkpoint=path, measures=measures)
    assert not path.exists()
    assert len(calls) <= 2  # records of steps 0 and 1
    assert torch.isfinite(fitted(kind)).all()  # without a file it trains


def of_generator():
    own = torch.Generator().manual_seed(3)
    return lambda f, y: ((f - y - 0.1 * torch.rand(1, generator=own)) ** 2).mean()


def of_numpy():
    own = np.random.default_rng(3)
    return lambda f, y: ((f - y - 0.1 * own.random()) ** 2).mean()


def of_python():
    own = random.Random(3)
    return lambda f, y: ((f - y) ** 2).mean() * (1 + 0.1 * own.random())


def of_gradient():
    """Its values are those of the mean square; its gradient counts."""
    count = [0]

    def loss(f, y):
        count[0] += f.requires_grad
        off = f - y
        return (off * (off + count[0] * (off - off.detach()))).mean()

    return loss


@pytest.mark.parametrize("made", [of_generator, of_numpy, of_python, of_gradient])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS])
def test_a_loss_that_remembers_is_blamed_and_not_the_optimiser(made, kind, tmp_path):
    what = "gradient of the loss differs" if made is of_gradient else r"loss is [\d.e-]+ and [^\n]*"
    said = rf"^checkpoint: resumed from it, the run would go on otherwise: the {what} at the same"
    for given in ({}, {"batch_size": 5}):
        with pytest.raises(ValueError, match=said) as error:
            fitted(kind, loss=made(), checkpoint=tmp_path / "c.pt", **given)
        assert "\n" not in str(error.value)
    assert torch.isfinite(fitted(kind, loss=made())).all()


@pytest.mark.parametrize("kind", [Plain, Momentum, Langevin])
@pytest.mark.parametrize("steps", [1, 2, 11])
def test_a_resumed_run_has_the_bits_of_the_whole_and_leaves_the_same_random_numbers(
    kind, steps, tmp_path
):
    ends = []
    for path in (None, tmp_path / "c.pt"):
        generators.put(START)
        if path is not None:
            fitted(kind, steps=steps, checkpoint=path)
            if kind is Langevin:
                _draw()  # another process has other random numbers
            else:
                generators.put(START)
        ends.append((fitted(kind, checkpoint=path), *_draw()))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1:] == ends[1][1:]
    fitted(kind, checkpoint=tmp_path / "c.pt")  # nothing is left to do
    assert (_draw() == list(ends[0][1:])) is (kind is Langevin)


def test_the_check_changes_no_bit(tmp_path):
    for kind in (Plain, Momentum, Langevin, torch.optim.Adam, torch.optim.LBFGS):
        generators.put(START)
        plain = fitted(kind)
        generators.put(START)
        assert torch.equal(fitted(kind, checkpoint=tmp_path / f"{kind.__name__}.pt"), plain)


def test_random_numbers_that_a_run_does_not_draw_are_left_alone(tmp_path):
    """Else all that follows a kept run would have the random numbers of its first day."""
    fitted(Plain, checkpoint=tmp_path / "c.pt")
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = generators.states()
        expected = _draw()
        generators.put(before)
        fitted(Plain, checkpoint=tmp_path / "c.pt", steps=25)
        assert _draw() == expected


class Unheld(Plain):
    def step(self):
        super().step()
        for _, p in self.each():
            self.state[p]["rule"] = self.value


@pytest.mark.parametrize("value", [lambda x: x, nn.ReLU(), np.random.default_rng(0)])
def test_a_state_that_no_file_holds_is_one_line(value, tmp_path):
    class Kept(Unheld):
        pass

    Kept.value = staticmethod(value) if callable(value) else value
    for steps in (1, 20):
        with pytest.raises(ValueError, match=r"^checkpoint: a file can't hold the state [^\n]*$"):
            fitted(Kept, steps=steps, checkpoint=tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_what_can_not_be_copied_is_trained_all_the_same(tmp_path):
    class Uncopied(Plain):
        def __init__(self, weights):
            super().__init__(weights)
            self.pipe = (i for i in range(9))  # deepcopy refuses generators

    plain = fitted(Plain)
    assert torch.equal(fitted(Uncopied, checkpoint=tmp_path / "a.pt"), plain)

    def scheduled(weights):  # torch's schedulers patch the step of the optimiser
        made = Plain(weights)
        torch.optim.lr_scheduler.LambdaLR(made, lambda _: 1.0)
        return made

    assert torch.equal(fitted(scheduled, checkpoint=tmp_path / "b.pt"), plain)


DRAWS = {
    "torch": lambda: float(torch.rand(())),
    "numpy": lambda: float(np.random.random()),  # noqa: NPY002
    "python": random.random,
}


def noisy(name):
    """A loss whose labels are moved at random."""
    return lambda f, y: ((f - y - 0.1 * DRAWS[name]()) ** 2).mean()


@pytest.mark.parametrize("name", list(DRAWS))
def test_what_measures_draws_no_random_numbers(name, tmp_path):
    """Neither more records nor a checkpoint changes what is trained."""
    ends = []
    for given in ({}, {"record": range(21)}, {"checkpoint": tmp_path / "c.pt"}):
        generators.put(START)
        measured = {
            "metrics": {"noisy": lambda f, _: f.mean() + DRAWS[name]()},
            "measures": {"random": lambda _: DRAWS[name]()},
        }
        weights = fitted(Plain, **({"record": [0], "loss": noisy(name)} | given | measured))
        ends.append((weights, _draw()))
    for weights, drawn in ends[1:]:
        assert torch.equal(weights, ends[0][0])
        assert drawn == ends[0][1]


@pytest.mark.parametrize("name", list(DRAWS))
def test_random_numbers_of_a_loss_go_on_in_a_resumed_run(name, tmp_path):
    given = {"loss": noisy(name), "record": [0]}
    generators.put(START)
    whole = fitted(Plain, steps=20, **given), _draw()
    generators.put(START)
    fitted(Plain, steps=11, checkpoint=tmp_path / "c.pt", **given)
    _draw()
    resumed = fitted(Plain, steps=20, checkpoint=tmp_path / "c.pt", **given), _draw()
    assert torch.equal(resumed[0], whole[0])
    assert resumed[1][list(DRAWS).index(name)] == whole[1][list(DRAWS).index(name)]


def test_a_global_generator_of_another_kind_is_kept_too():
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.SFC64(3))
        kept, first = generators.states(), np.random.random()  # noqa: NPY002
        with generators.left_alone():
            np.random.random()  # noqa: NPY002
        np.random.random()  # noqa: NPY002
        generators.put(reread(kept))
        assert np.random.random() == first  # noqa: NPY002
    finally:
        np.random.set_bit_generator(before)


def _draw():
    return [draw() for draw in DRAWS.values()]


START = generators.states()
