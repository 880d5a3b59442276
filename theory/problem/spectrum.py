"""The spectrum of the initial kernel of a described network, and what follows from its rank."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.problem import kernel, radial
from lazyrich.theory.symbols import D, P

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem


def initial_kernel(problem: "Problem") -> sp.Expr:
    """Return the normalised initial kernel, a polynomial in the scalars of ``radial``."""
    return sp.expand(sp.Add(*kernel.initial_parts(problem).values()))


def ntk_eigenvalues(problem: "Problem") -> ClosedForm:
    """Return the Mercer spectrum under x ~ N(0, I/D), by harmonic degree.

    ``terms``: harmonics_l to (eigenvalue, multiplicity), or where several radial functions mix to
    (matrix as a tuple of rows, multiplicity of each of its eigenvalues); ``components``: the two
    eigenvalues of the blocks of size 2.
    """
    whole = initial_kernel(problem)
    terms, components = {}, {}
    steps: list[Step] = [("The kernel.", kernel.in_vectors(problem, whole))]
    for l, kappa in problem.coefficient_matrices.items():
        found, block = radial.reached(kappa), radial.block(l, kappa)
        name, count = f"harmonics_{l}", radial.harmonics(l)
        terms[name] = (block[0] if len(found) == 1 else rows(block), count)
        if len(found) == 2:
            components[name] = pair_of_eigenvalues(block)
        functions = ", ".join("Y" if j == 0 else f"|x|^{2 * j} Y" for j in found)
        sentence = f"T on {functions}, Y harmonic of degree {l}; the dimension of the Y."
        steps.append((sentence, terms[name]))
        if len(found) == 2:
            steps.append(("The two eigenvalues of this block.", components[name]))
    steps.append(_trace_step(whole, terms))
    return ClosedForm(
        name="ntk-eigenvalues",
        title="(eigenvalue or block, multiplicity) of the initial kernel, by harmonic degree",
        expr=sp.Tuple(*(sp.Tuple(*pair) for pair in terms.values())),
        terms=terms,
        components=components,
        steps=steps,
        assumptions=(
            f"Infinite width, {problem.initial_law}, inputs x ~ N(0, I/D). The blocks act on the "
            "functions |x|^(2j) Y and are not symmetric, as these are not normalised."
        ),
        source=problem.source,
    )


def _trace_step(whole: sp.Expr, terms: dict[str, tuple]) -> Step:
    total = sp.Add(*(trace_of(value) * count for value, count in terms.values()))
    expected = radial.trace(whole)
    if sp.cancel(total - expected) != 0:
        raise AssertionError(f"the blocks have the trace {total}, not <K(x, x)> = {expected}")
    return (
        "Multiplicities times traces of the blocks add up to <K(x, x)>; no eigenvalue is "
        "negative, so none is missing.",
        sp.factor(expected),
    )


def rows(block: sp.Matrix) -> sp.Tuple:
    """Return a matrix as a tuple of its rows."""
    return sp.Tuple(*(sp.Tuple(*block.row(i)) for i in range(block.rows)))


def trace_of(value: sp.Expr | sp.Tuple) -> sp.Expr:
    """Return the trace of a matrix as a tuple of rows, or an eigenvalue as it is."""
    return sp.Add(*(row[i] for i, row in enumerate(value))) if value.func is sp.Tuple else value


def pair_of_eigenvalues(block: sp.Matrix) -> sp.Tuple:
    """Return the larger and the smaller eigenvalue of a block of size 2."""
    half, gap = block.trace() / 2, (block[0, 0] - block[1, 1]) / 2
    root = sp.sqrt(sp.factor(sp.expand(gap**2 + block[0, 1] * block[1, 0])))
    return sp.Tuple(sp.factor(half) + root, sp.factor(half) - root)


def initial_rank(problem: "Problem", point: Mapping[sp.Symbol, Any] | None = None) -> sp.Expr:
    """Return how many functions the initial kernel combines at infinite width.

    At generic values of the symbols, or at those of ``point``: a coefficient of 0 leaves fewer.
    """
    matrices = {l: k.subs(point or {}) for l, k in problem.coefficient_matrices.items()}
    counts = (radial.rank(k) * radial.harmonics(l) for l, k in matrices.items())
    return sp.factor(sp.Add(*counts).subs(point or {}))


def ntk_rank(problem: "Problem") -> ClosedForm:
    """Return the rank of the initial kernel at infinite width: how many functions it combines."""
    parts = {l: radial.rank(kappa) for l, kappa in problem.coefficient_matrices.items()}
    terms = {f"harmonics_{l}": n * radial.harmonics(l) for l, n in parts.items()}
    init = initial_rank(problem)
    key, at_width, sentence = _rank_of_neurons(problem, init)
    return ClosedForm(
        name="ntk-rank",
        title="The rank of the initial kernel at infinite width",
        expr=init,
        terms={"init": init, **terms},
        components={key: at_width},
        steps=[
            (
                f"Harmonic degree {l}: rank of the coefficients of |x|^(2i) |x'|^(2j) Z_l (= {n}) "
                "times the dimension of the harmonics.",
                terms[f"harmonics_{l}"],
            )
            for l, n in parts.items()
        ]
        + [("Together.", init), (sentence, at_width)],
        assumptions=(
            f"Infinite width, {problem.initial_law}; generic values of the symbols: special ones, "
            "such as a coefficient that is 0, may have a lower rank. A Gram matrix on P inputs has "
            "at most this rank, and at most P."
        ),
        source=problem.source,
    )


def _rank_of_neurons(problem: "Problem", init: sp.Expr) -> tuple[str, sp.Expr, str]:
    """The rank at n generic neurons: its name, what it is, and how that is known."""
    from lazyrich.theory import rank

    activation, trained = problem.activation, problem.readouts == "trained"
    degree = activation.degree or 0
    if degree <= 1:
        return "neurons", init, "One neuron has all of them: the rank at every width."
    if degree == 2 and not trained and activation.polynomial_coefficients()[1] != 0:
        found = rank.ntk_rank().terms["neurons"]
        return "neurons", found, "At n <= D + 1 neurons, as for the paper's activation."
    parameters = rank.n * (D + 1 if trained else D)
    return (
        "neurons_at_most",
        sp.Min(parameters, init),
        "At n neurons at most this; the exact number is Problem.rank(D=..., N=...).",
    )


def lazy_sample_size(problem: "Problem") -> ClosedForm:
    """Return the number of samples from which on ridgeless regression with the kernel is exact."""
    from lazyrich.theory.problem.target_power import target_decomposition

    exact = initial_rank(problem)
    null = target_decomposition(problem).terms["null"]
    learnable = sp.cancel(sp.sympify(null)) == 0
    verdict = (
        "All of this target lies in the span of the kernel's functions."
        if learnable
        else "This target has a part outside the span of the kernel's functions, of the power "
        "below: it is never learned, and lazy training is exact at no sample size."
    )
    return ClosedForm(
        name="lazy-sample-size",
        title="The sample size from which on lazy training learns all that the kernel can learn",
        expr=exact,
        terms={"exact": exact, "null": null},
        steps=[
            ("K(x, x') is a scalar product of this many independent functions of x.", exact),
            (
                "With so many samples the K(x_mu, .) span all of them, with probability 1: the "
                "determinant of the functions at the samples is a polynomial that is not 0.",
                sp.Ge(P, exact),
            ),
            (
                "With fewer, a generic one of them is learned with an error.",
                sp.Lt(P, exact),
            ),
            (verdict, null),
        ],
        assumptions=(
            f"Infinite width, {problem.initial_law}, generic values of the symbols, inputs with a "
            "density, labels without noise, gradient flow on the linearised network run to its "
            "end. `null` is the power of the target outside the kernel's functions, which has to "
            "be 0 for the test loss to vanish."
        ),
        source=problem.source,
    )
