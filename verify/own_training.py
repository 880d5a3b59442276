"""Attacks on how a user's network moves: one neuron, its moments, and what they determine.

The other side is autograd's gradient of the mean square error on a few samples.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from lazyrich.verify.own_attacks import ALPHA, mean_loss
from lazyrich.verify.own_setting import (
    PLANTED,
    Array,
    Finding,
    Setting,
    relative,
)

_SAMPLES, _NEURONS = 4, 3
_RATE, _DECAY, _DECOUPLED, _MOMENTUM = 0.3, 0.2, 0.4, 0.7  # eta_0, kappa, kappa_d, mu


class Motion(NamedTuple):
    """Neurons on a few samples: residuals, and the velocities of w and v in tau = eta_0 step."""

    X: Array
    residuals: Array
    W: Array
    v: Array
    dW: Array
    dv: Array
    alpha: float
    trained: bool


def _motion(setting: Setting) -> Motion:
    random = setting.generator(13)
    X = random.normal(size=(_SAMPLES, setting.D)) / np.sqrt(setting.D) @ setting.root
    W, v = setting.network(_NEURONS, 14)
    alpha, inputs = ALPHA * setting.scale, torch.tensor(X)
    y = torch.tensor(setting.sizes[0] * random.normal(size=_SAMPLES))
    for part in (W, v):
        part.requires_grad_(True)
    residuals = alpha * setting.function(W, v, inputs) - y
    slopes = torch.autograd.grad(residuals.square().mean(), (W, v), materialize_grads=True)
    dW, dv = (-_NEURONS / alpha**2 * slope.numpy() for slope in slopes)
    rest, weights, readouts = (part.detach().numpy() for part in (residuals, W, v))
    return Motion(X, rest, weights, readouts, dW, dv, alpha, setting.trained)


def neuron_flow(setting: Setting) -> Finding:
    """A neuron's derived velocity, summed over samples, is autograd's."""
    at = _motion(setting)
    form = setting.problem.closed_form("neuron-flow")
    functions = form.functions("numpy")
    values = {**setting.of(setting.problem.activation.symbols), "alpha": at.alpha, "P": _SAMPLES}
    expected = {"w": at.dW} | ({"v": at.dv} if setting.trained else {})
    found = {name: np.zeros_like(part) for name, part in expected.items()}
    for x, rho in zip(at.X, at.residuals, strict=True):
        for i in range(_NEURONS):
            one = values | {"w": at.W[i], "v": at.v[i], "x": x, "rho": rho, "D": setting.D}
            for name, total in found.items():
                total[i] += _called(functions[name], form, one).reshape(total[i].shape)
    detail = f"{_NEURONS} neurons, {_SAMPLES} samples"
    return _compared(found, expected, detail)


def moments(name: str) -> Any:
    """The attack on one closed form of how the moments of the neurons move."""

    def attack(setting: Setting) -> Finding:
        at = _motion(setting)
        expected = _trained_flow(at) if setting.trained else _moved(at, name)
        form = setting.problem.closed_form(name)
        functions = form.functions("numpy")
        values = {
            **setting.of(setting.problem.activation.symbols),
            **_moments(at),
            "alpha": at.alpha,
            "P": _SAMPLES,
            "D": setting.D,
            "X": at.X,
            "r": at.residuals,
            "eta_0": _RATE,
            "kappa": _DECAY * at.alpha**2,
            "kappa_d": _DECOUPLED,
            "mu": _MOMENTUM,
        }
        found = {}
        for part, right in expected.items():
            total = np.zeros_like(right)
            samples = zip(at.X, at.residuals, strict=True) if setting.trained else [(None, None)]
            for x, rho in samples:
                one = _called(functions[part], form, values | {"x": x, "rho": rho})
                total = total + one.reshape(right.shape)
            found[part] = total
        detail = f"{', '.join(expected)} of {_NEURONS} neurons, {_SAMPLES} samples"
        return _compared(found, expected, detail)

    return attack


def _moments(at: Motion) -> dict[str, Any]:
    """The means that determine the motion; without trained readouts, those of momentum too."""
    speeds = _speeds(at)
    return {
        "wbar": at.W.mean(0),
        "M": _mean(at.W, at.W),
        "v_squared": np.mean(at.v**2),
        "vw": at.v @ at.W / _NEURONS,
        "C": _mean(at.W, speeds),
        "V": _mean(speeds, speeds),
        "vbar": np.mean(at.v) if at.trained else speeds.mean(0),
    }


def _speeds(at: Motion) -> Array:
    """Speeds of the neurons that momentum starts from, of the size of a step."""
    random = np.random.default_rng(15)
    return np.abs(at.dW).mean() * random.normal(size=at.W.shape)


def _mean(A: Array, B: Array) -> Array:
    return A.T @ B / len(A)


def _moved(at: Motion, name: str) -> dict[str, Array]:
    """Moments of the neurons after a step of each, or their rate of change."""
    decays = "decay" in name or "momentum" in name
    decay, decoupled = (_DECAY, _DECOUPLED) if decays else (0.0, 0.0)
    if "flow" in name:
        speed = at.dW - (decay + decoupled) * at.W
        return {"wbar": speed.mean(0), "M": _mean(speed, at.W) + _mean(at.W, speed)}
    speed = _RATE * (decay * at.W - at.dW)
    if "momentum" in name:
        speed = speed + _MOMENTUM * _speeds(at)
    W = (1 - _RATE * decoupled) * at.W - speed
    moved = {"wbar": W.mean(0), "M": _mean(W, W)}
    if "momentum" in name:
        moved |= {"vbar": speed.mean(0), "C": _mean(W, speed), "V": _mean(speed, speed)}
    return moved


def _trained_flow(at: Motion) -> dict[str, Array]:
    """The rates of the moments of (v, w), both of which move."""
    return {
        "vbar": np.array(at.dv.mean()),
        "wbar": at.dW.mean(0),
        "v_squared": np.array(2 * np.mean(at.v * at.dv)),
        "vw": (at.v @ at.dW + at.dv @ at.W) / _NEURONS,
        "M": _mean(at.dW, at.W) + _mean(at.W, at.dW),
    }


def network_function(setting: Setting) -> Finding:
    """The function of the moments is the network's own."""
    at = _motion(setting)
    form, values = setting.problem.closed_form("network-function"), _moments(at)
    values |= {**setting.of(setting.problem.activation.symbols), "alpha": at.alpha, "D": setting.D}
    function = form.function("numpy")
    found = np.array([_called(function, form, values | {"x": x}) for x in at.X]).ravel()
    W, v = torch.tensor(at.W), torch.tensor(at.v)
    expected = at.alpha * setting.function(W, v, torch.tensor(at.X)).numpy()
    return _compared({"f": found}, {"f": expected}, f"{_SAMPLES} inputs, {_NEURONS} neurons")


def loss_of_moments(setting: Setting) -> Finding:
    """The loss of the moments is the mean over a cubature of inputs."""
    plane = setting.plane
    W, v = plane.network(_NEURONS, 16)
    form, weights = plane.problem.closed_form("test-loss"), W.numpy()
    values = {**plane.of([*plane.problem.symbols, *plane.problem.inputs.symbols])}
    values |= {"wbar": weights.mean(0), "M": _mean(weights, weights), "D": 2}
    found = _called(form.function("numpy"), form, values | {"alpha": ALPHA * plane.scale})
    expected = {"loss": np.array(mean_loss(plane, W, v))}
    return _compared({"loss": found}, expected, f"{_NEURONS} neurons, D = 2")


def _called(function: Any, form: Any, values: dict[str, Any]) -> Array:
    used = {k: value for k, value in values.items() if k in form.arguments()}
    return np.asarray(function(**used), dtype=float)


def _compared(found: dict[str, Array], expected: dict[str, Array], detail: str) -> Finding:
    """The largest relative error of the parts, and the least that it is with one part wrong."""
    errors = {name: relative(part, expected[name]) for name, part in found.items()}
    wrong = (
        relative((1 + PLANTED) * part, expected[name])
        for name, part in found.items()
        if np.abs(expected[name]).max() > 0
    )
    return Finding(max(errors.values()), 1e-9, min(wrong, default=0.0), detail)
