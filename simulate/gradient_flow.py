"""Gradient flow of pseudo-neurons: its right-hand side, derivative and measure of errors.

In the pseudo-neurons V = [wbar | F] with signs s = (1, J) (see ``pseudo_neurons``), H = X V,
c = 2/(alpha P) and tau = eta0 * step, a step of full-batch gradient descent is one Euler step of
length eta0 of

    dV/dtau = -c X^T (r (e + epsilon H)),      r = alpha (H e + (epsilon/2) H^2 s) - y,

with e = (1, 0, ..., 0), r times rows, H^2 entry by entry, and less r + y at the start in r where
centred.

In lazy coordinates the state is U = alpha (V - V(0)), which stays as large as it is however large
alpha is. With G = X U and H = X V(0) + G/alpha,

    dU/dtau = -(2/P) X^T (r (e + epsilon H)),
    r = G e + (epsilon/2) ((X V(0) + H) G) s - y,

which is the centred predictor, without the cancellation.
"""

from copy import copy

import torch
from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import Rule
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import NumericalError, out_of_range

# The state is held to a quarter of rtol: with all of it, runs from weights of order 1e-3, which
# grow a thousandfold on the way, end at 25 rtol.
STATE_WEIGHT = 4.0
# Where alpha epsilon < 0 all neurons become one, and how fast stops to matter.
FADED = 1e-6
# Rounding errors of the sum of a dozen terms, in units of the last place of their absolute sum.
ROUNDING = 10.0
# Keeps 0/0 out of relative errors.
TINY = 1e-300


class GradientFlow:
    """The right-hand side of the gradient flow of pseudo-neurons, and its derivative.

    ``columns`` of the start, of every state and of every direction have shape (D, 1 + k). ``speed``
    is 1/(1 - mu) with heavy-ball momentum mu. ``decay`` is the rate at which weights decay besides,
    in tau: speed weight_decay/alpha^2 of that in the loss, plus decoupled_weight_decay. ``lazy``:
    centred, in lazy coordinates, from U = 0. ``point`` holds (X V)^T, (1 + k, P), and the residual
    r, (P,), of the last state: new tensors every time.

    >>> X, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0.5, 2.0])
    >>> W = torch.tensor([[1.0], [0.0]], requires_grad=True)           # two neurons, by autograd
    >>> neurons = PseudoNeurons.from_weights(W.detach())
    >>> flow = GradientFlow(neurons, X, y, alpha=2.0, epsilon=0.5)
    >>> H = X @ W.T
    >>> loss = (2.0 * (H + 0.25 * H**2).mean(1) - y).square().mean()
    >>> velocity = -(2 / 2.0**2) * torch.autograd.grad(loss, W)[0]     # eta = eta0 N/alpha^2
    >>> bool(torch.allclose(flow.velocity(neurons.columns)[:, 0], velocity.mean(0)))
    True
    """

    def __init__(
        self,
        start: PseudoNeurons,
        X: Float[Tensor, "P D"],
        y: Float[Tensor, " P"],
        *,
        alpha: float,
        epsilon: float,
        centred: bool = False,
        lazy: bool = False,
        decay: float = 0.0,
        speed: float = 1.0,
    ) -> None:
        self._X, self._XT = X, X.mT
        self._epsilon, self._decay = epsilon, decay
        # By what a change of the state changes V, and V's change changes f.
        self._size, self._gain = (1 / alpha, 1.0) if lazy else (1.0, alpha)
        self._rate = -Rule(speed).push(self._gain, X.shape[0])
        self._quadratic = self._gain * epsilon / 2 * start.signs
        self._V0 = start.columns if lazy else None
        self._H0 = start.columns.mT @ self._XT if lazy else None
        self._pull = decay * alpha * start.columns if lazy and decay else None
        self._target = torch.zeros_like(y)
        self._spread = float(start.columns[:, 1:].norm())
        self.evaluations, self._fastest, self._stall = 0, 0.0, rkc.Stall()
        self.start = torch.zeros_like(start.columns) if lazy else start.columns
        self._evaluate(self.start)
        if centred and not lazy:
            self._target = self.point[1]
        self._target = self._target + y
        self._evaluate(self.start)

    def _evaluate(self, state: Tensor) -> None:
        """Put (X V)^T, the faster one, and the residual r into ``point``."""
        G = state.mT @ self._XT
        if self._H0 is None:
            H, squares = G, G.square()
        else:
            H = self._H0 + G * self._size
            squares = (self._H0 + H) * G
        f = torch.addmv(G[0] * self._gain, squares.mT, self._quadratic)
        self._state, self._G, self.point = state, G, (H, f.sub_(self._target))

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self._X.shape[0]

    def residual(self, state: Float[Tensor, "D K"]) -> Float[Tensor, " P"]:
        """Return f - y on X at this state, and keep the state's ``point``."""
        self._evaluate(state)
        return self.point[1]

    def in_float32(self) -> "GradientFlow":
        """Return the same flow in float32, at the same point."""
        twin = copy(self)
        for name in ("_X", "_quadratic", "_target", "_H0", "_pull", "_G"):
            value = getattr(self, name)
            setattr(twin, name, None if value is None else value.float())
        twin._XT = twin._X.mT
        twin.point = (self.point[0].float(), self.point[1].float())
        return twin

    def velocity(self, state: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return the derivative of the state in tau, and keep the state's ``point``."""
        self.evaluations += 1
        self._evaluate(state)
        H, residual = self.point
        r = residual * self._rate
        T = H * (r * self._epsilon)
        T[0] += r
        slope = self._decayed((T @ self._X).mT, state)
        return slope if self._pull is None else slope.sub_(self._pull)

    def tangent(self, U: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return the derivative of the velocity, at ``point``, in direction U."""
        H, residual = self.point
        G = U.mT @ self._XT
        change = self._change(G) * self._rate
        T = H * (change * self._epsilon)
        T.addcmul_(G, residual * (self._rate * self._epsilon * self._size))
        T[0] += change
        return self._decayed((T @ self._X).mT, U)

    def _change(self, G: Tensor) -> Tensor:
        """Return the first-order change of f(X) when (X times the state)^T changes by G."""
        return torch.addmv(G[0] * self._gain, (G * self.point[0]).mT, 2 * self._quadratic)

    def _decayed(self, slope: Tensor, state: Tensor) -> Tensor:
        return slope.sub_(state, alpha=self._decay) if self._decay else slope

    def _terms(self) -> Tensor:
        """Return the sums of the terms, all taken positive, that make up r."""
        G, (H, _) = self._G, self.point
        both = H.square() if self._H0 is None else (self._H0.abs() + H.abs()) * G.abs()
        terms = torch.addmv(self._target.abs(), both.mT, self._quadratic.abs())
        return terms.add_(G[0].abs(), alpha=abs(self._gain))

    def error(
        self, estimate: Float[Tensor, "D K"], step: rkc.Step, rtol: float, floor: float = 0.0
    ) -> float:
        """Return the size of an estimated error at ``step.after``, of which 1 is rtol.

        It is the largest of three. First, the change of the predictions on X relative to the
        residual there, both as norms over X: this keeps the losses' relative accuracy however
        small they get, down to the rounding of r = f - y, or to ``floor`` where the residual is
        smaller. Then, STATE_WEIGHT times, those
        of F relative to F and that of V relative to V: these matter near the saddles at V = 0
        and at F = 0, where f has yet to change and errors grow along with the weights.
        """
        h_rho = (step.end - step.time) * step.radius
        rounding = (
            ROUNDING * torch.finfo(estimate.dtype).eps * (1 + h_rho) * float(self._terms().norm())
        )
        predictions = float(self._change(estimate.mT @ self._XT).norm())
        residual = max(float(self.point[1].norm()), floor)
        predictions /= rtol * residual + rounding + TINY
        V = step.after if self._V0 is None else self._V0 + step.after * self._size
        scaled = estimate * self._size if self._V0 is not None else estimate
        whole = float(scaled.norm()) / (rtol * float(V.norm()) + TINY)
        size = max(float(V[:, 1:].norm()), FADED * self._spread)
        spread = float(scaled[:, 1:].norm()) / (rtol * size + TINY)
        return max(predictions, STATE_WEIGHT * whole, STATE_WEIGHT * spread)

    def rests(self, slope: Float[Tensor, "D K"], radius: float) -> bool:
        """Return whether this slope, of the last state, is nothing but rounding.

        It is where it comes to the last place of its terms and no longer falls: all that an
        integrator would follow from there on is noise.
        """
        del radius
        eps, size = torch.finfo(slope.dtype).eps, float(slope.norm())
        self._fastest = max(self._fastest, size)
        if not self._stall(size) or size > eps**0.5 * self._fastest:  # what follows takes time
            return False
        r = self._terms() * abs(self._rate)
        T = self.point[0].abs() * (r * abs(self._epsilon))
        T[0] += r
        terms = (T @ self._X.abs()).mT + (self._state * self._decay).abs()
        if self._pull is not None:
            terms = terms + self._pull.abs()
        return size <= ROUNDING * eps * float(terms.norm())


def blown_up(error: rkc.StepSizeError, start: PseudoNeurons) -> NumericalError:
    """Return why a flow from these pseudo-neurons could not be followed further."""
    at = f"at tau = {error.time:.4g}"
    if bool((start.signs < 0).any()):
        reason = "M - wbar wbar^T has negative eigenvalues and the flow of these moments blows up"
        return NumericalError(f"init = (wbar, M): {reason} {at}")
    return out_of_range(f"gradient flow {at}")
