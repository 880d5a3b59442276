"""The rank of the neural tangent kernel: how many functions of x lazy training can combine."""

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.symbols import D, Gaussian
from lazyrich.theory.wick import canonical, dot, equal, expectation, form

n = sp.Symbol("n", integer=True, positive=True)  # neurons, affinely independent: n <= D + 1

# In the coordinates z_i.X, X = (1, x), z_i = (1, epsilon w_i): y_n of the neurons, y_rest.
_rest = D + 1 - n
_y, _v = MatrixSymbol("y_n", n, 1), MatrixSymbol("y_rest", _rest, 1)
_B, _C = MatrixSymbol("B_n", n, n), MatrixSymbol("B_rest", n, _rest)
_ones = MatrixSymbol("ones", n, 1)
_free = MatrixSymbol("T_n", n, n)
_Pi = MatrixSymbol("Pi", n, n)
_antisymmetric = (_Pi * _free * _Pi - _Pi * _free.T * _Pi) / 2


def dimension(projector: MatrixExpr) -> sp.Expr:
    """The dimension of the matrices T that a linear projector T -> ``projector`` leaves alone.

    Its trace: the mean of <T, projector(T)> over T = g h^T, with g and h independent N(0, I).

    >>> dimension((_free - _free.T) / 2)
    n*(n - 1)/2
    """
    g, h = MatrixSymbol("g_n", n, 1), MatrixSymbol("h_n", n, 1)
    image = projector.subs(_free, g * h.T)
    laws = (Gaussian(vector, sp.Identity(n)) for vector in (g, h))
    trace = expectation(form(g, image, h), *laws)
    return sp.factor(trace.subs(dot(_ones, _ones), n))


def _squares() -> tuple[sp.Expr, sp.Expr]:
    """y_n^T B_n y_n + y_n^T B_rest y_rest, and its mean square over standard normals.

    Raises ``AssertionError`` if this is not the sum of squares.
    """
    function = form(_y, _B, _y) + form(_y, _C, _v)
    laws = Gaussian(_y, sp.Identity(n)), Gaussian(_v, sp.Identity(_rest))
    power = expectation(function**2, *laws)
    S = (_B + _B.T) / 2
    squares = Trace(_B) ** 2 + 2 * Trace(S * S) + Trace(_C.T * _C)
    if not equal(power, squares):
        raise AssertionError(f"the mean square {power} is not {squares}")
    return function, squares


def _relations() -> sp.Expr:
    """The dimension of the antisymmetric n x n matrices that send the ones to 0.

    Raises ``AssertionError`` if Pi = I - ones ones^T/n is no projector that sends the ones to 0.
    """
    a, b = MatrixSymbol("a_n", n, 1), MatrixSymbol("b_n", n, 1)
    Pi = sp.Identity(n) - _ones * _ones.T / n
    for zero in (form(a, Pi * Pi - Pi, b), form(a, Pi - Pi.T, b), form(a, Pi, _ones)):
        if sp.expand(canonical(zero).subs(dot(_ones, _ones), n)) != 0:
            raise AssertionError(f"Pi is not the projector off the ones: {zero} is not 0")
    return dimension(_antisymmetric.subs(_Pi, Pi))


def ntk_rank() -> ClosedForm:
    """The rank of the NTK of n neurons, and with it that of a large Gram matrix.

    ``expr`` for n affinely independent neurons, n <= D + 1; ``terms``: neurons, the same; init, at
    infinite width, which n = D + 1 reaches. ``components``: tangent, the number of directions in
    weight space, and relations, of those among them that don't move f. The j-th eigenvector of a
    Gram matrix on P inputs is defined by the kernel only for j <= min(P, rank).

    >>> ntk_rank().evaluate(n=2, D=40)
    80
    """
    tangent = n * D
    relations = _relations()
    rank = sp.expand(tangent - relations)
    sizes = [multiplicity for _, multiplicity in ntk_eigenvalues().terms.values()]
    init = sp.factor(sp.Add(*sizes))
    if sp.expand(rank.subs(n, D + 1) - init) != 0:
        raise AssertionError("n = D + 1 neurons don't hold all functions of the kernel")
    return ClosedForm(
        name="ntk-rank",
        title="The rank of the neural tangent kernel",
        expr=rank,
        terms={"neurons": rank, "init": init},
        components={"tangent": sp.sympify(tangent), "relations": relations},
        steps=_steps(tangent, relations, rank, tuple(sizes), init),
        assumptions=(
            "epsilon != 0; n neurons whose vectors (1, w_i) are independent, as those of random "
            "ones are: n = min(N, D + 1). A Gram matrix on P inputs has at most this rank, and at "
            "most P."
        ),
        source="derived here, for Kumar et al. 2024, Sec. 6.1 and App. 10",
    )


def _steps(
    tangent: sp.Expr, relations: sp.Expr, rank: sp.Expr, sizes: tuple, init: sp.Expr
) -> list[Step]:
    function, squares = _squares()
    return [
        (
            "The kernel's functions are sum_i (1 + epsilon w_i.x) a_i.x, i = 1..n, the a_i any "
            "vectors: so many parameters.",
            tangent,
        ),
        (
            "With X = (1, x) they are quadratic forms, sum_i (z_i.X) (a_i.x), z_i = (1, epsilon "
            "w_i). The z_i are independent: take y_n, the z_i.X, as coordinates of X, with "
            "others, y_rest, that are 0 at x = 0, where y_n is the ones. So they are the functions",
            function,
        ),
        (
            "where a_i.x = (B_n y_n + B_rest y_rest)_i vanishes at x = 0: B_n sends the ones to 0.",
            _B * _ones,
        ),
        (
            "The rank is the same under every law of y_n and y_rest with a density. For standard "
            "normals the mean square of such a function is a sum of squares, S = (B_n + B_n^T)/2:",
            squares,
        ),
        (
            "It vanishes, and with it the function, only if B_rest = 0 and B_n is antisymmetric. "
            "With Pi = I - ones ones^T/n the projector on the antisymmetric T_n that send ones to "
            "0,",
            _antisymmetric,
        ),
        ("has this trace: so many directions in weight space don't move f.", relations),
        ("The rank is the difference.", rank),
        ("At infinite width: the multiplicities of the spectrum, summed.", sizes),
        ("It is the rank at n = D + 1, beyond which neurons add nothing.", init),
    ]
