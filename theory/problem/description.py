"""A problem that a user describes: activation, target, readouts and inputs, and its theory."""

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import finite, not_negative, one_of, shown
from lazyrich.theory import gaussian_pair as pair
from lazyrich.theory import generate
from lazyrich.theory.activation import DEFAULT as DEFAULT_ACTIVATION
from lazyrich.theory.activation import Activation, h
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.inputs import Inputs
from lazyrich.theory.printing import latex
from lazyrich.theory.problem import instances, lazy, plateau, radial
from lazyrich.theory.problem.clashes import clash
from lazyrich.theory.problem.form import ProblemForm
from lazyrich.theory.target_function import DEFAULT as DEFAULT_TARGET
from lazyrich.theory.target_function import Target
from lazyrich.theory.wick import expectation

if TYPE_CHECKING:
    from lazyrich.theory.problem.eigenspaces import Spectrum
    from lazyrich.theory.problem.neurons import Formula

READOUTS = ("fixed", "trained")
# name -> (module, one line); each module has a function named after the closed form.
_FORMS = {
    "ntk": ("kernel", "the neural tangent kernel at given weights"),
    "neuron-flow": ("neuron_flow", "how one neuron moves, and which moments close"),
    "ntk-at-init": ("kernel", "the kernel at infinite-width initialisation"),
    "ntk-eigenvalues": ("spectrum", "its spectrum by harmonic degree, with multiplicities"),
    "ntk-rank": ("spectrum", "its rank: how many functions lazy training combines"),
    "target-power": ("target_power", "the target's power by Hermite degree"),
    "target-decomposition": ("target_power", "the target on the kernel's functions, and outside"),
    "population-loss": ("loss", "the population loss of given neurons, in their overlaps"),
    "loss-at-init": ("loss", "mean population loss at initialisation, at width N"),
    "lazy-sample-size": ("spectrum", "samples from which lazy training is exact"),
    "lazy-learning-curve": ("lazy", "mean test loss of fully lazy training on P samples"),
    "early-plateau": ("plateau", "least squares of y on x, its exact mean test loss"),
    "test-loss": ("loss", "the population loss in the moments (wbar, M)"),
}
_KERNEL_FORMS = {
    "ntk-eigenvalues",
    "ntk-rank",
    "lazy-sample-size",
    "lazy-learning-curve",
    "target-decomposition",
}
RELU_ON_A_LINE = (
    "the kernel of relu has two functions on a line, x above 0 and x below 0, and all samples may "
    "lie on one side"
)
MAX_DEGREE = 24  # of the activation; above it the spectrum takes minutes


class Problem:
    """A network f(x) = (alpha/N) sum_i v_i phi(w_i.x) and a target y(x), described by the user.

    ``activation`` and ``target`` are text or SymPy expressions, ``readouts`` is "fixed" (v_i = 1)
    or "trained", ``inputs`` the covariance of x (by default I/D). Raises ``ValueError`` for a
    description that it cannot read.

    >>> problem = Problem(activation="h + c*h**3")
    >>> problem.closed_form("ntk-eigenvalues").terms["harmonics_3"]
    (108*c**2*sigma**4/D**3, D*(D - 1)*(D + 4)/6)
    """

    def __init__(
        self,
        activation: Any = DEFAULT_ACTIVATION,
        target: Any = DEFAULT_TARGET,
        readouts: str = "fixed",
        inputs: Any = None,
    ):
        self.activation = Activation(activation)
        if (degree := self.activation.degree or 0) > MAX_DEGREE:
            raise ValueError(
                f"activation: degree {degree} in h: must be at most {MAX_DEGREE}, for the spectrum"
            )
        self.target = Target(target)
        self.readouts = one_of("readouts", readouts, READOUTS)
        self.inputs = inputs if isinstance(inputs, Inputs) else Inputs(inputs)
        self._derived: dict[str, ClosedForm] = {}
        self._formulas: dict[tuple[str, str], Formula] = {}
        both = set(self.activation.symbols) & set(self.target.symbols)
        for name in both:
            if self.activation.symbols[name] != self.target.symbols[name]:
                raise ValueError(f"{name} stands for two things, in activation and target")

    def __repr__(self) -> str:
        inputs = "" if self.inputs.isotropic else f", inputs={self.inputs.covariance!r}"
        return (
            f"Problem(activation={self.activation.text!r}, target={self.target.text!r}, "
            f"readouts={self.readouts!r}{inputs})"
        )

    def _repr_latex_(self) -> str:
        readout, covariance = ("", "v_i ")[self.readouts == "trained"], self.inputs.law.covariance
        rows = (
            rf"f(x) = \frac{{\alpha}}{{N}} \sum_{{i=1}}^{{N}} {readout}\phi(w_i \cdot x)",
            rf"\phi(h) = {latex(self.activation.expr)}",
            rf"y(x) = {latex(self.target.expr)}",
            rf"x \sim \mathcal{{N}}\left(0, {latex(covariance)}\right)",
        )
        body = " \\\\[6pt]\n".join(rf"\displaystyle {row}" for row in rows)
        return f"$\\begin{{array}}{{l}}\n{body}\n\\end{{array}}$"

    @property
    def symbols(self) -> dict[str, sp.Symbol | MatrixSymbol]:
        """The symbols of the activation and the target, by name."""
        return self.activation.symbols | self.target.symbols

    @property
    def source(self) -> str:
        """What the closed forms give as their source."""
        return f"derived here, for {self!r}"

    @property
    def initial_law(self) -> str:
        """The law of the initial weights, as words."""
        if self.readouts == "fixed":
            return "w_i ~ N(0, sigma^2 I)"
        return "w_i ~ N(0, sigma_w^2 I), v_i ~ N(0, sigma_v^2)"

    @property
    def moments_close(self) -> bool:
        """Whether (wbar, M) determine the function and the kernel, and descent acts on them."""
        return self.activation.moments_close and self.readouts == "fixed"

    def why_open(self) -> str:
        """Say why the moments (wbar, M) of the weights do not close."""
        degree = self.activation.degree
        if self.readouts == "trained" and degree is not None and degree <= 1:
            return "(wbar, M) don't close with trained readouts; use moment-flow"
        from lazyrich.theory.problem.neuron_flow import why_open

        return why_open(self)

    # What is derived

    def names(self) -> dict[str, str]:
        """Return what can be derived for this problem: {name: one line}."""
        return {n: line for n, line in self._lines().items() if self._obstacle(n) is None}

    def not_available(self) -> dict[str, str]:
        """Return what cannot be derived for this problem: {name: why, and what to use instead}."""
        obstacles = {name: self._obstacle(name) for name in self._lines()}
        return {name: why for name, why in obstacles.items() if why is not None}

    def _lines(self) -> dict[str, str]:
        from lazyrich import theory

        lines = {name: line for name, (_, line) in _FORMS.items()}
        known = theory.names()
        return lines | {n: known[n] for n in instances.NAMES}

    def _obstacle(self, name: str) -> str | None:
        """Why a closed form is not available, or None."""
        return self._not_derived(name) or clash(name, self.symbols)

    def _not_derived(self, name: str) -> str | None:
        if name not in _FORMS:
            return instances.obstacle(self, name)
        if name == "early-plateau":
            return plateau.obstacle(self)
        if name in _KERNEL_FORMS:
            if self.activation.degree is None:
                return (
                    f"{self.activation.kind} has harmonics of every degree: use "
                    "Problem.spectrum(D=..., ...), which integrates numerically"
                )
            if not self.inputs.isotropic:
                return "harmonic degrees need inputs N(0, I/D)"
        if name == "lazy-learning-curve" and lazy.mixes(self):
            return "its eigenvalues mix radial functions: use Problem.learning_curve(P=..., D=...)"
        if name == "test-loss" and not self.moments_close:
            return f"{self.why_open()}; use population-loss"
        if name == "loss-at-init" and self.activation.degree is None:
            if self.activation.kind == "erf":
                return "the mean of erf^2 over |x| has no closed form"
            if not self.inputs.isotropic:
                return "the mean of |x| has no closed form for inputs N(0, Sigma)"
        return None

    def closed_form(self, name: str) -> ClosedForm:
        """Derive the closed form ``name`` (one of ``names()``); derived once for each problem.

        Raises ``ValueError`` for an unknown name, or one that this problem has not, with the
        reason.
        """
        one_of("name", name, self._lines())
        if (why := self._obstacle(name)) is not None:
            raise ValueError(f"name = {shown(name)}: not available for this problem: {why}")
        if name not in self._derived:
            inputs = ("x", "x_prime") if name in ("ntk", "ntk-at-init") else ()
            vanishes = name == "ntk-at-init" and self.activation.kind == "relu"
            link = self.target.link
            self._derived[name] = ProblemForm.of(
                self._derive(name),
                self._accepted.union(inputs),
                inputs if vanishes else (),
                link and generate.python_name(link[0]),
            )
        return self._derived[name]

    def _derive(self, name: str) -> ClosedForm:
        if name not in _FORMS:
            return instances.closed_form(self, name)
        module = import_module(f"lazyrich.theory.problem.{_FORMS[name][0]}")
        derive: Callable[[Problem], ClosedForm] = getattr(module, name.replace("-", "_"))
        return derive(self)

    @property
    def _accepted(self) -> frozenset[str]:
        """The names that every closed form of this problem takes, needed or not."""
        deviations = {"sigma"} if self.readouts == "fixed" else {"sigma_w", "sigma_v"}
        return frozenset({"D", "N", "alpha", *deviations, *self.symbols, *self.inputs.symbols})

    # Numbers

    def population_loss(
        self,
        *,
        W: Any,
        alpha: float = 1.0,
        v: Any = None,
        W0: Any = None,
        v0: Any = None,
        W_moved: Any = None,
        v_moved: Any = None,
        noise: float = 0.0,
        by_degree: bool = False,
        **symbols: Any,
    ) -> Any:
        """Return the exact population loss <(y + noise - f)^2> of given neurons W (N, D).

        ``v`` (N,) are the readouts where they are trained; with ``W0`` (and ``v0``) it is that of
        the centred predictor f(w) - f(w0). Where alpha is large W and W0 agree to most digits: give
        ``W_moved`` = alpha (W - W0) too (and ``v_moved``), and nothing cancels; relu has no such
        form, and no value (nan) beyond alpha = 10^7. ``noise`` is the standard deviation of the
        labels' noise, ``symbols`` are the values of the symbols of activation and target. NumPy and
        torch arrays keep their kind. ``by_degree`` gives the parts of each Hermite degree instead,
        for a polynomial activation. Raises ``ValueError`` for missing values and wrong shapes.

        >>> problem = Problem("h + c*h**3", "beta.x")
        >>> round(float(problem.population_loss(W=[[1.0, 0.0]], beta=[1.0, 0.0], c=0.0)), 12)
        0.0
        """
        from lazyrich.theory.problem.neurons import population_loss

        alpha, noise = finite("alpha", alpha), not_negative("noise", noise)
        if by_degree and self.activation.degree is None:
            raise ValueError(f"by_degree: {self.activation.kind} has all Hermite degrees")
        parts = population_loss(self, W, alpha, v, W0, v0, (W_moved, v_moved), symbols)
        if by_degree:
            return parts | {"noise": noise**2}
        return sum(parts.values()) + noise**2

    def spectrum(self, *, D: int, highest: int = 12, **symbols: Any) -> "Spectrum":
        """Return the initial kernel's spectrum in numbers, under inputs N(0, I/D).

        ``symbols`` are sigma (sigma_w and sigma_v where the readouts are trained) and the symbols
        of the activation; with those of the target too, each eigenspace has the target's power.
        Exact for polynomials; erf and relu are integrated, up to harmonic degree ``highest``.

        >>> [round(s.value, 4) for s in Problem().spectrum(D=2, epsilon=1.0, sigma=1.0).spaces]
        [1.0, 0.5, 0.5]
        """
        from lazyrich.theory.problem.eigenspaces import spectrum

        return spectrum(self, D, highest, symbols)

    def learning_curve(
        self,
        *,
        P: Any,
        D: int,
        ridge: float = 0.0,
        noise: float = 0.0,
        highest: int = 12,
        **symbols: Any,
    ) -> Any:
        """Return the mean test loss of fully lazy training on P samples (a number or a list).

        The loss includes the noise; ``symbols`` are those of ``spectrum`` and of the target. An
        approximation: the kernel's functions stand in as Gaussian features, and the target's power
        outside the kernel's functions acts as noise.

        >>> round(float(Problem().learning_curve(P=1, D=1, epsilon=1.0, sigma=1.0, beta=[1.0])), 3)
        0.217
        """
        from lazyrich.theory.problem.eigenspaces import highest_for, learning_curve, spectrum

        found = spectrum(self, D, highest_for(self, highest), symbols)
        if D == 1 and self.activation.kind == "relu":
            raise ValueError(f"D = 1: {RELU_ON_A_LINE}; they are no Gaussian features")
        return learning_curve(found, P, finite("ridge", ridge), not_negative("noise", noise))

    def rank(self, *, D: int, N: int, **symbols: Any) -> int:
        """Return the rank of the kernel of N generic neurons in D dimensions.

        It is the number of functions of x that lazy training combines at width N. ``symbols`` are
        those of the activation, a polynomial. By exact arithmetic at random weights: never too
        large, and too small with a probability below 10^-5.

        >>> Problem("h^2").rank(D=5, N=2), Problem("h^2").rank(D=5, N=100)
        (9, 15)
        """
        from lazyrich.theory.problem.neuron_rank import rank

        return rank(self, D, N, symbols)

    # What several closed forms need

    @cached_property
    def slope_pair(self) -> sp.Expr:
        """<phi'(u) phi'(u')> of a Gaussian pair, in the symbols of ``gaussian_pair``."""
        return pair.mean_of_slopes(self.activation.expr, h)

    @cached_property
    def value_pair(self) -> sp.Expr:
        """<phi(u) phi(u')> of a Gaussian pair, in the symbols of ``gaussian_pair``."""
        return pair.mean_of_values(self.activation.expr, h)

    @cached_property
    def coefficient_matrices(self) -> dict[int, sp.Matrix]:
        """The initial kernel by harmonic degree (see ``radial``)."""
        from lazyrich.theory.problem.spectrum import initial_kernel

        return radial.coefficient_matrices(initial_kernel(self))

    @cached_property
    def hermite_parts(self) -> dict[int, sp.Expr]:
        """The target by Hermite degree."""
        from lazyrich.theory.problem.target_power import hermite_parts

        return hermite_parts(self.target.expr, self.inputs.law)

    @cached_property
    def powers(self) -> dict[int, sp.Expr]:
        """<y^2> by Hermite degree."""
        terms = self.closed_form("target-power").terms
        return {int(name.removeprefix("degree_")): power for name, power in terms.items()}

    @cached_property
    def target_overlaps(self) -> dict[int, sp.Expr]:
        """<phi(w.x) y(x)> by Hermite degree of the target."""
        from lazyrich.theory.problem.loss import target_overlaps

        return target_overlaps(self)

    def formula(self, key: str, expr: sp.Expr, backend: str) -> "Formula":
        """Return an expression as an array function, generated once."""
        from lazyrich.theory.problem.neurons import Formula

        if (key, backend) not in self._formulas:
            self._formulas[key, backend] = Formula(expr, backend)
        return self._formulas[key, backend]

    @cached_property
    def power(self) -> sp.Expr:
        """<y^2> of the target."""
        return expectation(self.target.expr**2, self.inputs.law)
