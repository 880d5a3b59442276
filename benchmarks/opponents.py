"""Gradient descent on the network of Figure 1, in other ways than lazyrich's own.

D = 100, P = 550, alpha = 1, epsilon = 0.02, centred, learning rate N/alpha^2, from the same N
Gaussian neurons; nothing is measured on the way. Each function here does its preparations and
returns ``step(count)``, which trains on and returns (wbar, M).
"""

import inspect

import torch

from lazyrich import simulate
from lazyrich.simulate import neurons
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.train import plan

D, P, ALPHA, EPSILON, RATE = 100, 550, 1.0, 0.02, 1.0
NUMBERS = {"alpha": ALPHA, "epsilon": EPSILON, "learning_rate": RATE, "centred": True}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def task(n_test=1):
    return simulate.PolynomialTask(D, P, n_test=n_test, seed=0)


def data(dtype):
    return task().X.to(dtype), task().y.to(dtype)


def weights(dtype, N):
    return standard_normal(0, "weights", (N, D)).to(dtype)


def moments(dtype, N):
    """The engine itself."""
    start = PseudoNeurons.from_weights(weights(torch.float64, N)).to(dtype=dtype, device="cpu")
    descent = Descent(start, *data(dtype), **NUMBERS)

    def step(count):
        descent.step(count)
        return descent.neurons.wbar, descent.neurons.M

    return step


def products(dtype, N):
    """The two matrix products of a moments step alone, as it takes them. Trains nothing."""
    X, _ = data(dtype)
    V = torch.randn(min(N - 1, D) + 1, D, dtype=dtype)
    XT = X.mT
    H, gradient = V @ XT, torch.empty_like(V)

    def step(count):
        for _ in range(count):
            torch.matmul(V, XT, out=H)
            torch.matmul(H, X, out=gradient)

    return step


def neurons_engine(dtype, N, steps=20):
    """The reference engine, whole: every call trains anew, for ``steps`` steps."""
    defaults = {name: p.default for name, p in inspect.signature(simulate.train).parameters.items()}
    asked = NUMBERS | {"engine": "neurons", "init": weights(torch.float64, N)}
    asked |= {"steps": steps, "record": [steps], "task": task()}
    problem = plan(**defaults | asked | {"dtype": str(dtype).removeprefix("torch.")}).training
    assert problem.loss_scale > 0  # computed once, here

    def step(count):
        assert count == steps
        (last,) = neurons.descend(problem)
        return last.wbar, last.M

    return step


def autograd(dtype, N):
    """A plain torch loop, as lean as autograd allows: no optimiser, the update in place."""
    X, y = data(dtype)
    W = weights(dtype, N).requires_grad_()

    def network():
        H = X @ W.T
        return ALPHA * (H + EPSILON / 2 * H.square()).mean(1)

    target = y + network().detach()

    def step(count):
        for _ in range(count):
            loss = (network() - target).square().mean()
            (gradient,) = torch.autograd.grad(loss, W)
            with torch.no_grad():
                W.sub_(gradient, alpha=RATE * N / ALPHA**2)
        with torch.no_grad():
            return W.mean(0), W.T @ W / N

    return step


def by_hand(dtype, N):
    """The gradient written out: two matrix products, three passes, every buffer reused.

    Of the layouts and orders tried, the fastest.
    """
    X, y = data(dtype)
    W, XT = weights(dtype, N), X.mT
    ones = torch.full((N,), ALPHA / N, dtype=dtype)
    H, T = torch.empty(N, P, dtype=dtype), torch.empty(N, P, dtype=dtype)
    TT, f = T.mT, torch.empty(P, dtype=dtype)
    constant = -2 * RATE / (ALPHA * P)

    def evaluate():
        torch.matmul(W, XT, out=H)
        torch.addcmul(H, H, H, value=EPSILON / 2, out=T)  # phi
        torch.mv(TT, ones, out=f)

    evaluate()
    target = y + f

    def step(count):
        for _ in range(count):
            evaluate()
            f.sub_(target)
            torch.addcmul(f, H, f * EPSILON, out=H)  # r phi'
            W.addmm_(H, X, alpha=constant)
        return W.mean(0), W.T @ W / N

    return step


def recording(dtype, N):
    """``autograd`` that keeps train and test losses every step, and the NTK every hundred.

    The losses are on the P training and 1,000 test samples, centred; the NTK is that of the
    training samples, (P, P), in closed form by three matrix products, and its alignment with y.
    """
    X, y = data(dtype)
    X_test, y_test = task(1000).X_test.to(dtype), task(1000).y_test.to(dtype)
    W = weights(dtype, N).requires_grad_()
    train_losses, test_losses, alignments = [], [], []

    def network(inputs):
        H = inputs @ W.T
        return ALPHA * (H + EPSILON / 2 * H.square()).mean(1)

    target = y + network(X).detach()
    test_target = y_test + network(X_test).detach()

    def step(count):
        for number in range(count):
            loss = (network(X) - target).square().mean()
            (gradient,) = torch.autograd.grad(loss, W)
            with torch.no_grad():
                train_losses.append(float(loss))
                test_losses.append(float((network(X_test) - test_target).square().mean()))
                if number % 100 == 0:
                    slopes = 1 + EPSILON * (X @ W.T)
                    K = (X @ X.T) * (slopes @ slopes.T) / N
                    alignments.append(float(y @ K @ y / (K.norm() * (y @ y))))
                W.sub_(gradient, alpha=RATE * N / ALPHA**2)
        with torch.no_grad():
            return W.mean(0), W.T @ W / N

    return step


TRAINERS = {
    "moments": moments,
    "neurons": neurons_engine,
    "autograd": autograd,
    "by hand": by_hand,
    "recording": recording,
}
