"""The Mercer problem of the kernels with He_k, reduced by O(D) symmetry to small radial blocks.

The kernel is invariant under rotations of x and x' together. So its operator maps the functions
|x|^(2j) Y(x), Y a harmonic polynomial of degree l, to sums of such functions with the same Y: one
matrix in j for each l, whose eigenvalues have the dimension of the harmonics as multiplicity.
"""

import sympy as sp

from lazyrich.support.arguments import positive_integer
from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.hermite import hermite_ntk_at_init
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.radial import harmonics
from lazyrich.theory.problem.spectrum import pair_of_eigenvalues, rows, trace_of
from lazyrich.theory.symbols import isotropic, x, x_prime
from lazyrich.theory.wick import dot, equal, expectation

__all__ = ["harmonics", "hermite_ntk_eigenvalues"]

LARGEST = 12  # a higher degree takes minutes


def _radial_kernel(kernel: sp.Expr) -> sp.Expr:
    """The kernel in the scalars |x|^2, |x'|^2 and x.x'. Raises ``AssertionError`` for any other."""
    scalars = {
        dot(x, x): radial.q,
        dot(x_prime, x_prime): radial.q_prime,
        dot(x, x_prime): radial.r,
    }
    found = kernel.xreplace(scalars)
    if found.has(sp.Trace):
        raise AssertionError(f"the kernel is not invariant under rotations: {found}")
    return sp.expand(found)


def hermite_ntk_eigenvalues(k: int) -> ClosedForm:
    """The spectrum of the kernel with He_k, block by block, in D, epsilon and sigma.

    ``terms``: harmonics_l to (eigenvalue, multiplicity), or where several radial functions mix to
    (matrix as a tuple of rows, multiplicity of each of its eigenvalues); ``components``: the two
    eigenvalues of the blocks of size 2. Raises ``ValueError`` if ``k`` is no integer from 1 to 12.

    >>> hermite_ntk_eigenvalues(2).terms["harmonics_2"]
    (2*epsilon**2*sigma**2/D**2, (D - 1)*(D + 2)/2)
    """
    k = positive_integer("k", k)
    if k > LARGEST:
        raise ValueError(
            f"k = {k}: must be at most {LARGEST}; the spectrum of a higher degree takes minutes"
        )
    kernel = hermite_ntk_at_init(k).expr
    terms, components, steps = {}, {}, [("The kernel.", kernel)]
    for l, kappa in radial.coefficient_matrices(_radial_kernel(kernel)).items():
        reached, block = radial.reached(kappa), radial.block(l, kappa)
        name, count = f"harmonics_{l}", harmonics(l)
        terms[name] = (block[0] if len(reached) == 1 else rows(block), count)
        if len(reached) == 2:
            components[name] = pair_of_eigenvalues(block)
        steps += _steps(l, reached, terms[name])
    trace = sp.Add(*(trace_of(value) * count for value, count in terms.values()))
    whole = expectation(kernel.subs(x_prime, x), isotropic(x))
    if not equal(trace, whole):
        raise AssertionError(f"the blocks have the trace {trace}, not <K(x, x)> = {whole}")
    steps.append(
        (
            "Multiplicities times traces of the blocks add up to <K(x, x)>; no eigenvalue is "
            "negative, so none is missing.",
            sp.factor(whole),
        )
    )
    return ClosedForm(
        name=f"hermite-{k}-ntk-eigenvalues",
        title=f"(eigenvalue or block, multiplicity) of the kernel with He_{k}, by harmonic degree",
        expr=sp.Tuple(*(sp.Tuple(*pair) for pair in terms.values())),
        terms=terms,
        components=components,
        steps=steps,
        assumptions=(
            "Infinite width, w_i ~ N(0, sigma^2 I), inputs x ~ N(0, I/D). The blocks act on the "
            "functions |x|^(2j) Y and are not symmetric, as these are not normalised."
        ),
        source="derived here, for Kumar et al. 2024, Sec. 15.2; generalises App. 11.1",
    )


def _steps(l: int, reached: list[int], term: tuple) -> list[Step]:
    functions = ", ".join("Y" if j == 0 else f"|x|^{2 * j} Y" for j in reached)
    return [(f"T on {functions}, Y harmonic of degree {l}; the dimension of the Y.", term)]
