"""What linear least squares and fully lazy training reach on one data set."""

import math

import torch
from torch import Tensor

from lazyrich.simulate.laws.lazy import exact_from
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.metrics import mean_square, population_terms
from lazyrich.simulate.network import Network, ntk_normalised, predictions
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.task import PolynomialTask

# The lazy loss of one data set is not computed for more samples: it takes P^3/3 multiplications.
MOST_SAMPLES = 2500
# Of the diagonal of Cholesky's factor of a kernel, the least over the largest: below it digits go.
FULL_RANK = 1e-4
_BLOCK = 1024


def loss_of(task: PolynomialTask, wbar: Tensor, M: Tensor) -> float:
    """Return the population loss of wbar.x + x^T M x/2, the test loss where it is not known.

    >>> task = PolynomialTask(3, 5)
    >>> loss_of(task, torch.zeros(3).double(), torch.outer(task.beta, task.beta)) < 1e-12
    True
    """
    terms = population_terms(task, wbar, M, alpha=1.0, epsilon=1.0)
    if terms:
        return float(sum(terms.values()))
    f = predictions(task.X_test, wbar, M, alpha=1.0, epsilon=1.0)
    return float(mean_square(f, task.y_test))


def plateau_loss(task: PolynomialTask) -> float:
    """Return the loss, as ``loss_of``, of least squares of y on x: the early plateau."""
    u = torch.linalg.pinv(task.X) @ task.y
    return loss_of(task, u, task.X.new_zeros(task.D, task.D))


def lazy_loss(task: PolynomialTask, network: Network) -> float:
    """Return the loss, as ``loss_of``, of fully lazy training; NaN where it takes too long.

    By the kernel on the samples; from ``MOST_SAMPLES`` on by its features where these are fewer:
    linear functions x and products epsilon x_i x_j.
    """
    spans = network.start.columns.shape[1] > task.D
    if exact_from(task.D) < task.P and spans and network.centred:
        found = _by_features(task, network.epsilon)
        if found is not None:
            return found
    if task.P > MOST_SAMPLES:
        return math.nan
    if network.centred:
        moved = _interpolation(task, network)
        if moved is not None:
            wbar, M = network.start.moved(moved, math.inf)  # to first order
            return loss_of(task, wbar, network.epsilon * M)
    lazy = LinearisedDescent(
        network.start,
        task.X,
        task.y,
        alpha=network.alpha,
        epsilon=network.epsilon,
        learning_rate=1.0,
        centred=network.centred,
    )
    wbar, M = (lazy.moved_moments if network.centred else lazy.moments)(math.inf)
    scale = 1.0 if network.centred else network.alpha
    return loss_of(task, scale * wbar, scale * network.epsilon * M)


def _interpolation(task: PolynomialTask, network: Network) -> PseudoNeurons | None:
    """Return alpha times the change of the weights of the lazy limit, for a kernel of full rank.

    By Cholesky's factor, at a tenth of the cost of eigenvectors; None where it is singular.
    """
    start, epsilon = network.start, network.epsilon
    K = ntk_normalised(task.X, task.X, start.wbar, start.M, epsilon=epsilon)
    factor, failed = torch.linalg.cholesky_ex(K)
    if int(failed) or float(factor.diagonal().min()) < FULL_RANK * float(factor.diagonal().max()):
        return None
    weights = torch.cholesky_solve(task.y[:, None], factor)
    slopes = epsilon * (task.X @ start.columns)
    slopes[:, 0] += 1
    return PseudoNeurons(task.X.T @ (weights * slopes), start.signs)


def _by_features(task: PolynomialTask, epsilon: float) -> float | None:
    """Return the loss of least squares on the features, None where the samples don't tell them.

    It is 0 where the target is one of them and has no noise. That is a matter of rank and not of
    the number of samples.
    """
    D = task.D
    if exact_from(D) > MOST_SAMPLES:
        return None
    rows, columns = torch.triu_indices(D, D)
    weight = torch.where(rows == columns, 1.0, math.sqrt(2.0)).to(task.X.dtype) * epsilon
    gram, moment = 0.0, 0.0
    for X, y in zip(task.X.split(_BLOCK), task.y.split(_BLOCK), strict=True):
        features = torch.cat([X, X[:, rows] * X[:, columns] * weight], 1)
        gram, moment = gram + features.T @ features, moment + features.T @ y
    values, vectors = torch.linalg.eigh(torch.as_tensor(gram))
    if not bool((values > len(values) * torch.finfo(values.dtype).eps * values[-1]).all()):
        return None
    found = vectors @ (vectors.T @ moment / values)
    M = found.new_zeros(D, D)
    M[rows, columns] = M[columns, rows] = (
        found[D:] * weight * torch.where(rows == columns, 2.0, 1.0)
    )
    loss = loss_of(task, found[:D], M)
    return loss if loss > torch.finfo(found.dtype).eps * float(task.y.square().mean()) else 0.0
