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

import torch
from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import Rule
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import NumericalError, OutOfRangeError

# The state is held to a quarter of rtol: with all of it, runs from weights of order 1e-3, which
# grow a thousandfold on the way, end at 25 rtol.
STATE_WEIGHT = 4.0
# Where alpha epsilon < 0 all neurons become one, and how fast stops to matter.
FADED = 1e-6
# Rounding errors of the sum of a dozen terms, in units of the last place of their absolute sum.
ROUNDING = 10.0
# Keeps 0/0 out of relative errors.
TINY = 1e-300
# Up to here, and down to its inverse, products of four numbers are within float32.
MODERATE = 1e8


class GradientFlow:
    """The right-hand side of the gradient flow of pseudo-neurons.

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
        self.X, self._XT = X, X.mT
        self.epsilon, self.decay = epsilon, decay
        # By what a change of the state changes V, and V's change changes f.
        self.size, self.gain = (1 / alpha, 1.0) if lazy else (1.0, alpha)
        self.rate = -Rule(speed).push(self.gain, X.shape[0])
        self.quadratic = self.gain * epsilon / 2 * start.signs
        self._V0 = start.columns if lazy else None
        self._H0 = start.columns.mT @ self._XT if lazy else None
        self._pull = decay * alpha * start.columns if lazy and decay else None
        self._target = torch.zeros_like(y)
        self._spread = rkc.norm(start.columns[:, 1:])
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
            H = self._H0 + G * self.size
            squares = (self._H0 + H) * G
        f = torch.addmv(G[0] * self.gain, squares.mT, self.quadratic)
        self._state, self._G, self.point = state, G, (H, f.sub_(self._target))
        self._sizes: float | None = None

    @property
    def is_moderate(self) -> bool:
        """Whether products of several of its numbers at the start are well within float32."""
        tensors = (self.X, self.start, self.point[0], self.point[1])
        largest = [float(one.abs().max()) for one in tensors]
        scales = map(abs, (self.epsilon, self.decay, self.size, self.gain, self.rate))
        return all(1 / MODERATE < one < MODERATE for one in (*largest, *scales) if one)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.X.shape[0]

    def residual(self, state: Float[Tensor, "D K"]) -> Float[Tensor, " P"]:
        """Return f - y on X at this state, and keep the state's ``point``."""
        self._evaluate(state)
        return self.point[1]

    def velocity(self, state: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return the derivative of the state in tau, and keep the state's ``point``."""
        self.evaluations += 1
        self._evaluate(state)
        H, residual = self.point
        r = residual * self.rate
        T = H * (r * self.epsilon)
        T[0].add_(r)
        slope = self._decayed((T @ self.X).mT, state)
        return slope if self._pull is None else slope.sub_(self._pull)

    def _change(self, G: Tensor) -> Tensor:
        """Return the first-order change of f(X) when (X times the state)^T changes by G."""
        return torch.addmv(G[0] * self.gain, (G * self.point[0]).mT, 2 * self.quadratic)

    def _decayed(self, slope: Tensor, state: Tensor) -> Tensor:
        return slope.sub_(state, alpha=self.decay) if self.decay else slope

    def _terms(self) -> Tensor:
        """Return the sums of the terms, all taken positive, that make up r."""
        G, (H, _) = self._G, self.point
        both = H.square() if self._H0 is None else (self._H0.abs() + H.abs()) * G.abs()
        terms = torch.addmv(self._target.abs(), both.mT, self.quadratic.abs())
        return terms.add_(G[0].abs(), alpha=abs(self.gain))

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
        predictions = rkc.norm(self._change(estimate.mT @ self._XT))
        predictions /= self.allowance(step, rtol, floor)
        V = step.after if self._V0 is None else self._V0 + step.after * self.size
        scaled = estimate * self.size if self._V0 is not None else estimate
        whole = rkc.norm(scaled) / (rtol * rkc.norm(V) + TINY)
        size = max(rkc.norm(V[:, 1:]), FADED * self._spread)
        spread = rkc.norm(scaled[:, 1:]) / (rtol * size + TINY)
        return max(predictions, STATE_WEIGHT * whole, STATE_WEIGHT * spread)

    def allowance(self, step: rkc.Step, rtol: float, floor: float = 0.0) -> float:
        """Return how much predictions may be off after ``step``; see ``error``."""
        h_rho = (step.end - step.time) * step.radius
        eps = torch.finfo(step.after.dtype).eps
        if self._sizes is None:
            self._sizes = rkc.norm(self._terms())
        rounding = ROUNDING * eps * (1 + h_rho) * self._sizes
        return rtol * max(rkc.norm(self.point[1]), floor) + rounding + TINY

    def rests(self, slope: Float[Tensor, "D K"], radius: float) -> bool:
        """Return whether this slope, of the last state, is nothing but rounding.

        It is where it comes to the last place of its terms and no longer falls: all that an
        integrator would follow from there on is noise.
        """
        del radius
        eps, size = torch.finfo(slope.dtype).eps, rkc.norm(slope)
        self._fastest = max(self._fastest, size)
        if not self._stall(size) or size > eps**0.5 * self._fastest:  # what follows takes time
            return False
        r = self._terms() * abs(self.rate)
        T = self.point[0].abs() * (r * abs(self.epsilon))
        T[0] += r
        terms = (T @ self.X.abs()).mT + (self._state * self.decay).abs()
        if self._pull is not None:
            terms = terms + self._pull.abs()
        return size <= ROUNDING * eps * rkc.norm(terms)


class Nearby:
    """A flow near one of its points: how its velocity changes, with rounding in ``dtype``.

    The change of the velocity from the point V to V + U is computed from U, not as a difference of
    two velocities: in float32 it keeps seven digits *of the change*, and so does a step that is a
    sum of changes. ``place`` names the point; until then it is that of the last state of ``flow``.

    >>> X, y = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([0.5, 2.0]).double()
    >>> start = PseudoNeurons.from_weights(torch.tensor([[1.0], [0.0]]).double())
    >>> flow = GradientFlow(start, X, y, alpha=2.0, epsilon=0.5)
    >>> V, U = start.columns, torch.full_like(start.columns, 1e-3)
    >>> near = Nearby(flow, torch.float32)
    >>> found = near.change(U.float())
    >>> difference = flow.velocity(V + U) - flow.velocity(V)
    >>> bool(torch.allclose(found.double(), difference, rtol=1e-6))
    True
    """

    def __init__(self, flow: GradientFlow, dtype: torch.dtype) -> None:
        self._flow, self.dtype = flow, dtype
        self._X = flow.X.to(dtype)
        self._XT = self._X.mT
        self._quadratic = flow.quadratic.to(dtype)
        rows = len(self._quadratic), flow.samples
        # Reused: to allocate them takes as long as to fill them.
        self._G, self._work = (self._X.new_empty(rows) for _ in range(2))
        self._mean, self._first = self._G[0], self._work[0]  # in small systems [0] costs as a sum
        self.place(*flow.point)

    def place(self, H: Float[Tensor, "K P"], residual: Float[Tensor, " P"]) -> None:
        """Go to the point at which (X V)^T and the residual are these."""
        self._H = H.to(self.dtype)
        self._twice = self._H * 2
        self._force = residual.to(self.dtype) * self._flow.rate

    def change(self, U: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return how the velocity changes when the state does by U."""
        self._flow.evaluations += 1
        return self._image(U, self._flow.size)

    def tangent(self, U: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return the same to first order: the derivative of the velocity in direction U."""
        return self._image(U, 0.0)

    def _image(self, U: Tensor, curvature: float) -> Tensor:
        flow, G, work = self._flow, self._G, self._work
        U = U.to(self.dtype)
        torch.matmul(U.mT, self._XT, out=G)
        if curvature:  # f(V + U) - f(V) has (2 H + G size) G in place of 2 H G
            torch.add(self._twice, G, alpha=curvature, out=work).mul_(G)
        else:
            torch.mul(self._twice, G, out=work)
        push = torch.addmv(self._mean, work.mT, self._quadratic, beta=flow.gain).mul_(flow.rate)
        force = torch.add(self._force, push) if curvature else self._force
        torch.mul(self._H, push * flow.epsilon, out=work)
        work.addcmul_(G, force * (flow.epsilon * flow.size))
        self._first.add_(push)
        image = (work @ self._X).mT
        return image.sub_(U, alpha=flow.decay) if flow.decay else image

    def rounding(self, U: Float[Tensor, "D K"]) -> float:
        """Return the last place of f(V + U) - f(V): of the sums of its terms, as norm over X."""
        G, work = self._G, self._work
        torch.matmul(U.to(self.dtype).mT, self._XT, out=G)
        torch.add(self._twice, G, alpha=self._flow.size, out=work).mul_(G).abs_()
        first = self._mean.abs() * abs(self._flow.gain)
        terms = torch.addmv(first, work.mT, self._quadratic.abs())
        return torch.finfo(self.dtype).eps * rkc.norm(terms)


def blown_up(error: rkc.StepSizeError, start: PseudoNeurons) -> NumericalError:
    """Return why a flow from these pseudo-neurons could not be followed further."""
    at = f"at tau = {error.time:.4g}"
    if bool((start.signs < 0).any()):
        reason = "M - wbar wbar^T has negative eigenvalues and the flow of these moments blows up"
        return NumericalError(f"init = (wbar, M): {reason} {at}")
    return OutOfRangeError(f"gradient flow {at}")
