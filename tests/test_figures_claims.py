"""What the figures' checks and pictures stand on: conventions, orders, rises, tangent planes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import never_falls, ordered
from lazyrich.paper_figures.loss_claims import initial_rise, linear_shares
from lazyrich.paper_figures.weight_space import Setting, TangentPlane, paths
from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.pseudo_neurons import PseudoNeurons


@pytest.mark.parametrize("centred", [True, False])
@given(
    alpha=st.floats(0.1, 10),
    epsilon=st.floats(0.05, 1),
    eta0=st.floats(0.01, 0.2),
    seed=st.integers(0, 1000),
)
def test_the_authors_convention_is_ours_at_half_the_alpha(centred, alpha, epsilon, eta0, seed):
    """Descent written out in convention B, x' ~ N(0, I), y' = (beta.x')^2/D, against ours."""
    D, P, N, steps = 4, 9, 6, 20
    task = PolynomialTask(D=D, P=P, n_test=1, seed=seed)
    W0 = torch.from_numpy(np.random.default_rng(seed).standard_normal((N, D)))
    X, W = task.X * D**0.5, W0.clone().requires_grad_()
    y = (X @ task.beta) ** 2 / D

    def network(weights):
        h = X @ weights.T / D**0.5
        return alpha / N * (h + epsilon / 2 * h**2).sum(1)

    first, losses = network(W0) if centred else torch.zeros(P, dtype=W0.dtype), []
    for _ in range(steps + 1):
        loss = (network(W) - first - y).square().mean()
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, W)
        with torch.no_grad():
            W -= eta0 * N / alpha**2 * gradient
    # Where the loss also rises, rounding grows with it.
    assume(losses == sorted(losses, reverse=True))
    ours = train(
        task,
        engine="moments",
        alpha=alpha / 2,
        epsilon=epsilon,
        init=W0,
        steps=steps,
        learning_rate=eta0,
        centred=centred,
        record=range(steps + 1),
        alignment=None,
    )
    assert losses == pytest.approx((4 * ours.history.train_loss).values, rel=1e-9)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6))
def test_an_order_holds_exactly_for_sorted_values(values):
    array = DataArray([values], coords={"seed": [0], "alpha": range(len(values))})
    rises = values == sorted(values) and values[0] < values[-1]
    assert never_falls(array, "alpha") == rises
    assert ordered("n", "s", array, "alpha", "α").holds == rises
    assert ordered("n", "s", -array, "alpha", "α", falls=True).holds == rises


def test_one_seed_out_of_order_breaks_an_order():
    array = DataArray([[1, 2, 3], [1, 3, 2]], coords={"seed": [0, 1], "alpha": [1, 2, 3]})
    assert ordered("n", "s", array[:1], "alpha", "α").holds
    assert not ordered("n", "s", array, "alpha", "α").holds


def test_the_initial_rise_ends_where_the_train_loss_is_learnt():
    run = Dataset(coords={"step": [0, 1, 2, 3]})
    run["train_loss"] = ("step", [1, 0.5, 0.01, 0.01])
    run["population_loss"] = ("step", [1.0, 1.2, 1.1, 9.0])
    run["linear"] = ("step", [0.0, 0.3, 0.1, 0.0])
    assert initial_rise(run) == (0, 1)
    assert linear_shares(run.expand_dims("seed").assign_coords(seed=[0])) == pytest.approx([1.5])
    falling = run.assign(population_loss=("step", [4.0, 3.0, 2.0, 1.0]))
    assert linear_shares(falling.expand_dims("seed").assign_coords(seed=[0])) == []


@given(
    D=st.integers(1, 5),
    P=st.integers(1, 8),
    N=st.integers(1, 6),
    epsilon=st.just(0.0) | st.floats(0.01, 1) | st.floats(-1, -0.01),
    seed=st.integers(0, 1000),
)
def test_the_tangent_plane_is_spanned_by_the_gradients_of_all_neurons(D, P, N, epsilon, seed):
    """Two steps of the neurons, against the span of their gradients written out, weight by weight.

    The steps are those of the model for some residuals r; the second leaves the plane in general.
    """
    X = PolynomialTask(D=D, P=P, n_test=1, seed=seed).X
    W = torch.from_numpy(np.random.default_rng(seed).standard_normal((N, D)))
    r = torch.linspace(-1, 2, P, dtype=W.dtype)

    def two_steps(weights, slopes):
        """Weights one a row; slopes(weights) is phi' of each, (P, rows)."""
        for _ in range(2):
            weights = weights - (r[:, None] * slopes(weights)).T @ X
        return weights

    moved = two_steps(W, lambda weights: 1 + epsilon * X @ weights.T) - W
    gradients = torch.einsum("pi,pd->pid", 1 + epsilon * X @ W.T, X).reshape(P, -1)
    _, sizes, directions = torch.linalg.svd(gradients, full_matrices=False)
    inside = directions[sizes > 1e-12 * sizes[0]] @ moved.flatten()

    columns = PseudoNeurons.from_weights(W).columns
    constant = torch.zeros(columns.shape[1], dtype=W.dtype)
    constant[0] = 1
    stand_in = two_steps(columns.T, lambda weights: constant + epsilon * X @ weights.T).T - columns
    plane = TangentPlane(X, columns, epsilon=epsilon)
    for theirs, ours in ((moved, stand_in), (inside, plane.part_inside(stand_in))):
        size = pytest.approx(float(theirs.norm()), rel=1e-6, abs=1e-9)
        assert float(ours.norm()) * math.sqrt(N) == size


@pytest.mark.parametrize(("D", "width"), [(3, 1), (1, 3)])
@pytest.mark.parametrize("P", [1, 2, 5])
def test_networks_of_three_weights_never_leave_their_tangent_plane(D, width, P):
    """Why Figure 1(a) projects a larger network: with D N = 3 there is nothing to see."""
    setting = Setting(D, P, width, alpha=1.0, epsilon=0.5)
    found = paths(setting, (0.1, 1.0, 10.0, 100.0))
    inside, outside = found.inside_and_outside(found.network)
    assert float(inside.min()) > 1e-3
    assert float(outside.max()) < 1e-6


def test_a_larger_network_leaves_it_and_its_twin_does_not():
    found = paths(Setting(8, 30, 20, 1.0, 0.5), (0.0, 0.01, 1.0, 1000.0))
    _, outside = found.inside_and_outside(found.network)
    _, twin = found.inside_and_outside(found.linearised)
    assert outside[0] == 0 < outside[1] < outside[2] < outside[3]
    assert float(twin.max()) < 1e-9
