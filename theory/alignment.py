"""Kernel-task alignment of the NTK with the target (Kumar et al. 2024, Sec. 5, App. 11.2).

The alignment is <y K y'>/(sqrt(<K^2>) <y^2>), means over independent x, x' ~ N(0, I/D), eq. (19).
Centred means that K has mean zero in each argument and y has mean zero.
"""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.network import ntk, ntk_at_init
from lazyrich.theory.symbols import P, epsilon, isotropic, x, x_prime
from lazyrich.theory.target import target
from lazyrich.theory.wick import canonical, equal, expectation

_BOTH = (isotropic(x), isotropic(x_prime))


def centred_kernel(kernel: sp.Expr) -> sp.Expr:
    """K(x, x') - <K>_x - <K>_x' + <<K>>: mean zero in each argument.

    >>> expectation(centred_kernel(ntk_at_init().expr), isotropic(x))
    0
    """
    over_x, over_x_prime = (expectation(kernel, law) for law in _BOTH)
    return canonical(kernel - over_x - over_x_prime + expectation(kernel, *_BOTH))


def centred_target() -> sp.Expr:
    """y(x) - <y>."""
    return canonical(target() - expectation(target(), isotropic(x)))


def moments(kernel: sp.Expr, y: sp.Expr) -> dict[str, sp.Expr]:
    """<y K y'>, <K^2> and <y^2> of a kernel K(x, x') and a function y(x)."""
    return {
        "numerator": expectation(y * kernel * y.subs(x, x_prime), *_BOTH),
        "kernel_square": expectation(kernel**2, *_BOTH),
        "target_square": expectation(y**2, isotropic(x)),
    }


def ratio(terms: dict[str, sp.Expr]) -> sp.Expr:
    """The alignment of these moments, eq. (19); a common power of |beta| is cancelled."""
    share = sp.factor(sp.cancel(terms["numerator"] / terms["target_square"]))
    return share / sp.sqrt(terms["kernel_square"])


def _moment_steps(kernel: sp.Expr, y: sp.Expr, terms: dict[str, sp.Expr]) -> list[Step]:
    image = expectation(kernel * y, isotropic(x))
    if not equal(expectation(image * y.subs(x, x_prime), isotropic(x_prime)), terms["numerator"]):
        raise AssertionError("integrating x, then x', does not give <y K y'>")
    return [
        ("The kernel.", kernel),
        ("The target.", y),
        ("Integrate x out of y(x) K(x, x').", image),
        ("Times y(x'), integrate x' out: <y K y'>.", terms["numerator"]),
        ("<K^2>, x and x' independent; odd powers of epsilon drop out.", terms["kernel_square"]),
        ("<y^2>.", terms["target_square"]),
    ]


def kernel_alignment() -> ClosedForm:
    """The alignment at any weights [Kumar et al. 2024, App. 11.2, eqs. 19, 20].

    ``terms``: numerator <y K y'>, kernel_square <K^2>, target_square <y^2>.
    """
    kernel, y = ntk().terms["ntk_normalised"], canonical(target())
    terms = moments(kernel, y)
    return ClosedForm(
        name="kernel-alignment",
        title="Kernel-task alignment <y K y'>/(sqrt(<K^2>) <y^2>), uncentred",
        expr=ratio(terms),
        terms=terms,
        steps=_moment_steps(kernel, y, terms),
        assumptions=(
            "x, x' independent, N(0, I/D): the limit of infinitely many test points. Any width, "
            "any weights, beta != 0; independent of |beta| at a given direction. At fixed wbar, "
            "Tr M and |M|_F it increases with beta^T M beta; otherwise it need not."
        ),
        source="Kumar et al. 2024, App. 11.2, eqs. (19), (20)",
    )


def centred_kernel_alignment() -> ClosedForm:
    """The alignment of the kernel centred in both arguments with the centred target.

    ``terms`` as in ``kernel_alignment``; the paper names this quantity (Sec. 5), and its formulas
    are those of the uncentred one.
    """
    plain = ntk().terms["ntk_normalised"]
    kernel, y = centred_kernel(plain), centred_target()
    terms = moments(kernel, y)
    one_side = expectation(y * plain * y.subs(x, x_prime), *_BOTH)
    if not equal(one_side, terms["numerator"]):
        raise AssertionError("centring the target alone does not give the centred numerator")
    return ClosedForm(
        name="centred-kernel-alignment",
        title="Centred kernel-task alignment (CKA)",
        expr=ratio(terms),
        terms=terms,
        steps=[
            ("The kernel before centring.", plain),
            *_moment_steps(kernel, y, terms),
            ("A centred target alone gives the same numerator.", one_side),
        ],
        assumptions="As kernel-alignment. The numerator holds M only in beta^T M beta.",
        source="named in Kumar et al. 2024, Sec. 5; Cortes et al. 2012; derived here",
    )


def kernel_alignment_at_init() -> ClosedForm:
    """The alignments at infinite-width initialisation as functions of epsilon, sigma and D.

    ``terms``: uncentred and centred, and their limits for |epsilon| -> infinity.
    """
    kernel = ntk_at_init().expr
    steps: list[Step] = [("The kernel at initialisation.", kernel)]
    terms: dict[str, sp.Expr] = {}
    for name, k, y in (
        ("uncentred", kernel, target()),
        ("centred", centred_kernel(kernel), centred_target()),
    ):
        parts = moments(k, y)
        terms[name] = value = ratio(parts)
        terms[f"{name}_limit"] = limit = sp.factor(sp.limit(value, epsilon, sp.oo))
        steps += [
            (f"{name}: <y K y'>.", parts["numerator"]),
            (f"{name}: <K^2>.", parts["kernel_square"]),
            (f"{name}: <y^2>.", parts["target_square"]),
            (f"{name}: the alignment; |beta| cancels.", value),
            (
                f"{name}: its derivative in epsilon has the sign of epsilon: it grows with "
                "|epsilon|.",
                sp.factor(sp.diff(value, epsilon)),
            ),
            (f"{name}: the value it saturates at for |epsilon| -> infinity.", limit),
        ]
    return ClosedForm(
        name="kernel-alignment-at-init",
        title="Kernel-task alignment at initialisation",
        expr=terms["uncentred"],
        terms=terms,
        steps=steps,
        assumptions="Infinite width, w_i ~ N(0, sigma^2 I); any beta != 0, which drops out.",
        source="derived here; Kumar et al. 2024, Sec. 5, App. 11.2",
    )


def gram_alignment() -> ClosedForm:
    """What the Gram matrix of P samples measures, on average: the diagonal is in it.

    ``terms``: the means of y^T K y/P^2, |K|_F^2/P^2 and |y|^2/P over the samples; ``expr`` is
    their ratio as in eq. (19); ``components``: the share of the diagonal in the first two.
    """
    kernel, y = ntk().terms["ntk_normalised"], target()
    pairs = moments(kernel, y)
    on_diagonal = kernel.subs(x_prime, x)
    diagonal = {
        "numerator": expectation(y**2 * on_diagonal, isotropic(x)),
        "kernel_square": expectation(on_diagonal**2, isotropic(x)),
    }
    terms = {k: (1 - 1 / P) * pairs[k] + diagonal[k] / P for k in diagonal}
    terms["target_square"] = pairs["target_square"]
    return ClosedForm(
        name="gram-alignment",
        title="The alignment of a Gram matrix of P samples: ratio of the means",
        expr=ratio(terms),
        terms=terms,
        components={k: part / P for k, part in diagonal.items()},
        steps=[
            ("Of the P^2 entries P (P - 1) have independent x, x': <y K y'>,", pairs["numerator"]),
            ("and <K^2>.", pairs["kernel_square"]),
            ("The other P have x = x': <y^2 K(x, x)>,", diagonal["numerator"]),
            ("and <K(x, x)^2>.", diagonal["kernel_square"]),
            ("Together: the mean of y^T K y/P^2,", terms["numerator"]),
            ("and of |K|_F^2/P^2.", terms["kernel_square"]),
        ],
        assumptions=(
            "P independent samples, x ~ N(0, I/D). Without the diagonal, and with P (P - 1) for "
            "P^2, both means are those of kernel-alignment. The mean of the ratio differs from "
            "the ratio of the means by O(1/P)."
        ),
        source="derived here, for Kumar et al. 2024, Sec. 5 (y^T K_0 y/(|K|_F |y|^2))",
    )
