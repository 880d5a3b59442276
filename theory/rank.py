"""The rank of the neural tangent kernel: how many functions of x lazy training can combine."""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.symbols import D

n = sp.Symbol("n", integer=True, positive=True)  # neurons in general position, at most D + 1


def ntk_rank() -> ClosedForm:
    """The rank of the NTK of n neurons, and with it that of a large Gram matrix.

    ``expr`` for n neurons in general position, n <= D + 1; ``terms``: neurons, the same; init, at
    infinite width, which n = D + 1 reaches. The j-th eigenvector of a Gram matrix on P inputs is
    defined by the kernel only for j <= min(P, rank).

    >>> ntk_rank().evaluate(n=2, D=40)
    80
    """
    tangent = n * D
    antisymmetric = n * (n - 1) / 2
    relations = antisymmetric - (n - 1)
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
        steps=[
            ("The functions (1 + epsilon w_i.x) a_i.x, i = 1..n, a_i any vector.", tangent),
            (
                "Their sum vanishes if sum a_i = 0 and sum w_i a_i^T is antisymmetric: for "
                "independent w_i, a_i = sum_j S_ij w_j with S antisymmetric,",
                antisymmetric,
            ),
            ("and sum_i S_ij = 0 for all j, of which n - 1 conditions are independent.", n - 1),
            ("So many relations.", relations),
            ("The rank for n <= D.", rank),
            ("At initialisation: the multiplicities of the spectrum, summed.", tuple(sizes)),
            ("It is the count at n = D + 1, beyond which neurons add nothing.", init),
        ],
        assumptions=(
            "epsilon != 0, neurons in general position, n = min(N, D + 1). A Gram matrix on P "
            "inputs has at most this rank, and at most P."
        ),
        source="derived here, for Kumar et al. 2024, Sec. 6.1 and App. 10",
    )
