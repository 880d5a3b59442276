"""The ledger's small networks: their written-out gradient is autograd's, their scales are right."""

import numpy as np
import pytest
import torch

from lazyrich.verify.small_networks import addition, pairs, student_and_teacher


@pytest.mark.parametrize("alpha", [0.5, 3.0])
def test_a_step_on_addition_is_a_step_of_autograd(alpha):
    p, width, sigma, rate = 5, 6, 0.7, 11.0
    settings = {"width": width, "alpha": alpha, "sigma": sigma, "learning_rate": rate}
    run = addition(p, steps=1, every=1, seeds=2, first_seed=3, **settings)
    for k in range(2):
        split, first, second = np.random.default_rng(3 + k).spawn(3)
        rows = split.permutation(p * p)[: round(0.9 * p * p)]
        X, Y = (part[rows] for part in pairs(p))
        W = torch.from_numpy(sigma * first.normal(size=(width, 2 * p))).requires_grad_()
        V = torch.from_numpy(sigma * second.normal(size=(p, width))).requires_grad_()
        losses = []
        for _ in range(2):
            f = alpha / width * (X @ W.T) ** 2 @ V.T
            losses.append((f - Y).square().mean())
            with torch.no_grad():
                for part, slope in zip(
                    (W, V), torch.autograd.grad(losses[-1], (W, V)), strict=True
                ):
                    part -= rate / alpha**2 * slope
        expected = [p * loss.item() for loss in losses]
        # It computes in float32: a hundred roundings.
        assert run.train[k] == pytest.approx(expected, rel=100 * 2.0**-23)


def test_accuracy_is_the_share_of_pairs_whose_largest_output_is_the_sum():
    run = addition(p=13, steps=600, seeds=2)
    assert (run.train_accuracy[:, -1] == 1).all()
    assert (run.test_accuracy <= 1).all()
    # 17 pairs are left for the test: shares are whole numbers of them.
    counts = 17 * run.test_accuracy
    assert np.allclose(counts, counts.round())


def test_students_with_one_seed_do_not_depend_on_who_trains_beside_them():
    alone = student_and_teacher(((1.0, 2.0),), width=4, steps=20, seeds=1)
    beside = student_and_teacher(((4.0, 1.0), (1.0, 2.0)), width=4, steps=20, seeds=2)
    assert alone.test[0, 0] == pytest.approx(beside.test[1, 0], rel=1e-12)
    assert alone.train[0, 0, 0] == pytest.approx(1, rel=1e-14)  # centred: f = 0 at first


def test_students_are_trained_as_torch_trains_them():
    settings = {"width": 4, "samples": 7, "learning_rate": 0.01, "weight_decay": 0.3}
    found = student_and_teacher(
        ((2.0, 1.5),), steps=12, seeds=1, every=4, centred=False, **settings
    )
    streams = np.random.default_rng(0).spawn(4)
    sizes = ((5, 4), (4, 4), (4, 5))

    def weights(stream):
        return [torch.from_numpy(stream.uniform(-1, 1, (a + 1, b)) / a**0.5) for a, b in sizes]

    def network(layers, X):
        for layer in layers[:-1]:
            X = torch.tanh(X @ layer[:-1] + layer[-1])
        return X @ layers[-1][:-1] + layers[-1][-1]

    teacher = weights(streams[0])
    student = [(1.5 * layer).requires_grad_() for layer in weights(streams[1])]
    X = torch.from_numpy(streams[2].normal(size=(7, 5)))
    y = network(teacher, X)
    optimiser = torch.optim.AdamW(student, lr=0.01, weight_decay=0.3)
    losses = []
    for _ in range(13):
        loss = (2 * network(student, X) - y).square().mean()
        losses.append(float(loss.detach() / y.square().mean()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert found.train[0, 0] == pytest.approx(losses[::4], rel=1e-9)
