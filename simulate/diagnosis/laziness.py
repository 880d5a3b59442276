"""How lazy a network is: the network itself at the weights of the lazy solution."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.modules.jacobian import Weights
from lazyrich.simulate.modules.measures import kernel_change
from lazyrich.simulate.modules.ntk import ntk
from lazyrich.simulate.modules.slopes import NotFiniteError
from lazyrich.simulate.modules.trees import Tree, call, flat, mapped, rows, taken
from lazyrich.simulate.modules.untouched import differentiable

# Samples on which outputs and kernels are compared.
SAMPLES, KERNEL_SAMPLES = 128, 32
# Points of the lazy path that are looked at.
POINTS = 6
# Features matter from where the linearisation is this wrong, relative to the labels.
NOTICEABLE = 0.1
# The step of the central difference in float64 that gives the drift, over |w0|: so short that it
# crosses no kink of ReLU.
_STEP = 1e-8


@dataclass(frozen=True)
class Laziness:
    """The network along the lazy path, at ``times`` up to where the train loss has fallen.

    ``errors``: |f - f_lin| over |y| on training samples, as losses are over that of f = 0.
    ``kernel_changes``: |K - K0|/|K0|. ``drifts``: the same to first order, |K'[w - w0]|/|K0|, with
    K' the derivative of the kernel at w0, without kinks, as those of ReLU, that are crossed on the
    way; NaN for networks that do not work in float64. ``features_from``: the time from which error
    or change is above ``NOTICEABLE``, ``inf`` for none. (One alone does not tell: by symmetry the
    error can vanish while the kernel changes, and so can the first-order drift.)

    ``power``: weights times c, as weight decay makes them, are as lazy as an output times c^power
    (see ``shrinking``); 1 where that was not measured.
    """

    times: list[float]
    errors: list[float]
    kernel_changes: list[float]
    drifts: list[float]
    features_from: float
    power: float = 1.0

    @staticmethod
    def unknown() -> "Laziness":
        """Return what is known where nothing was measured."""
        none = [math.nan]
        return Laziness(none, none, none, none, math.nan)

    @property
    def error(self) -> float:
        """Return the error of the linearisation at the lazy solution."""
        return self.errors[-1]

    @property
    def kernel_change(self) -> float:
        """Return the change of the kernel at the lazy solution."""
        return self.kernel_changes[-1]

    @property
    def drift(self) -> float:
        """Return the first-order change of the kernel at the lazy solution."""
        return self.drifts[-1]

    @property
    def drift_from(self) -> float:
        """Return the time at which the first-order drift of the kernel reaches ``NOTICEABLE``."""
        return _first_above(self.times, self.drifts)

    @property
    def departure(self) -> float:
        """Return how far from lazy the network is: the larger of the two."""
        return max(self.error, self.kernel_change)


def along_the_path(
    expansion: Expansion, path: list[tuple[float, Tensor, float]], end: float
) -> Laziness:
    """Measure the network at weights of the lazy path, which gives (time, a, b), up to ``end``."""
    points = [point for point in path if 0 < point[0] <= end] or path[-1:]
    step = max(1, len(points) // POINTS)
    points = points[::-step][:POINTS][::-1]
    model = copied(expansion.model)
    few = min(SAMPLES, expansion.n)
    X = taken(expansion.data.X, slice(0, few))
    f0 = expansion.f0[:few]
    wanted = _scale(expansion, few)
    drift = torch.zeros_like(f0).flatten()
    if any(b for _, _, b in points):
        drift = expansion.drifts()[0][: f0.numel()]
    some = taken(expansion.data.X, slice(0, min(KERNEL_SAMPLES, expansion.n)))
    K0 = ntk(expansion.model, some, outputs="trace").double()
    size = max(float(K0.norm()), 1e-300)
    precise, some_precise = copied(expansion.model).double(), mapped(_in_float64, some)
    times, errors, changes, drifts = [], [], [], []
    for time, a, b in points:
        along = expansion.direction(a)
        move = {n: w * b + along[n] for n, w in expansion.weights.items()}
        drifts.append(_drift(expansion, precise, some_precise, move) / size)
        _put(model, {n: w + move[n] for n, w in expansion.weights.items()})
        linear = f0 + (expansion.response(along)[0][: f0.numel()] + b * drift).reshape(f0.shape)
        with torch.no_grad(), differentiable(model):
            f = flat(call(model, X)).double()
        times.append(time)
        errors.append(float((f - linear).norm()) / wanted)
        changes.append(kernel_change(kernel_if_finite(model, some), K0))
    either = [max(pair) for pair in zip(errors, changes, strict=True)]
    return Laziness(times, errors, changes, drifts, _first_above(times, either))


def kernel_watch(expansion: Expansion) -> Callable[[nn.Module], float]:
    """Return a function of a module: how far its kernel is from that of the expansion."""
    some = taken(expansion.data.X, slice(0, min(KERNEL_SAMPLES, expansion.n)))
    K0 = ntk(expansion.model, some, outputs="trace").double()
    return lambda model: kernel_change(kernel_if_finite(model, some), K0)


def kernel_if_finite(model: nn.Module, X: Tree) -> Tensor:
    """Return the traced kernel, of NaN where training has made a gradient NaN or infinite."""
    try:
        return ntk(model, X, outputs="trace").double()
    except NotFiniteError:
        n = rows("X", X)
        return torch.full((n, n), math.nan, dtype=torch.float64)


def kernel_change_along(expansion: Expansion, move: Weights) -> Callable[[float], float]:
    """Return how far the kernel at w0 + t move is from that at w0, as a function of t."""
    model, watch = copied(expansion.model), kernel_watch(expansion)

    def change(t: float) -> float:
        _put(model, {name: w + t * move[name] for name, w in expansion.weights.items()})
        return watch(model)

    return change


def _drift(expansion: Expansion, model: nn.Module, X: Tree, move: Weights) -> float:
    """Return the size of the derivative of the kernel along a move: a central difference.

    ``model``, ``X``: copies in float64. NaN where the network does not work with them.
    """
    weights = {name: w.double() for name, w in expansion.weights.items()}
    move = {name: part.double() for name, part in move.items()}
    norm = math.sqrt(sum(float(part.square().sum()) for part in move.values()))
    if not 0 < norm < math.inf:
        return 0.0
    step = _STEP * (math.sqrt(expansion.weight_square) or 1.0) / norm
    kernels = []
    for sign in (1, -1):
        _put(model, {n: w + sign * step * move[n] for n, w in weights.items()})
        try:
            kernels.append(ntk(model, X, outputs="trace"))
        except ValueError:  # it makes tensors in float32 of its own
            return math.nan
    if kernels[0].dtype != torch.float64:
        return math.nan
    return float((kernels[0] - kernels[1]).norm()) / (2 * step)


def _in_float64(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _scale(expansion: Expansion, few: int) -> float:
    y = expansion.data.y
    if isinstance(y, Tensor) and y.shape == expansion.f0.shape:
        gap = y[:few].double().norm()
    else:  # class labels: logits that matter are of order 1
        gap = torch.tensor(expansion.f0[:few].numel()).double().sqrt()
    return max(float(gap), 1e-300)


def _put(model: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        named = dict(model.named_parameters())
        for name, value in weights.items():
            named[name].copy_(value)


def _first_above(times: list[float], errors: list[float]) -> float:
    """Return the time at which the error passes ``NOTICEABLE``, as a power law of the time."""
    for i, error in enumerate(errors):
        if error < NOTICEABLE:
            continue
        if i == 0 or errors[i - 1] <= 0:
            return times[i] * (NOTICEABLE / error if math.isfinite(error) else 0.0)
        ratio = math.log(NOTICEABLE / errors[i - 1]) / math.log(error / errors[i - 1])
        return times[i - 1] * (times[i] / times[i - 1]) ** ratio
    return math.inf
