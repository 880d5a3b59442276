"""The lazy learning curve: mean test loss of kernel regression with the initial kernel.

The equations are those of kernel regression on Gaussian features of the same spectrum (Bordelon,
Canatar and Pehlevan 2020; Simon et al. 2021); the spectrum and its multiplicities are exact.
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.lazy_sample_size import lazy_sample_size
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.symbols import b, beta
from lazyrich.theory.target import target_decomposition
from lazyrich.theory.wick import dot

kappa = sp.Symbol("kappa", positive=True)  # the effective ridge


@cache
def spectrum() -> dict[str, tuple[sp.Expr, sp.Expr, sp.Expr]]:
    """{eigenspace: (eigenvalue, multiplicity, power of the target)}, in D, epsilon, sigma, b."""
    powers = target_decomposition().terms
    return {
        name: (value, size, sp.sympify(powers[name]).subs(dot(beta, beta), b))
        for name, (value, size) in ntk_eigenvalues().terms.items()
    }


def lazy_learning_curve() -> ClosedForm:
    """The mean test loss of fully lazy training, in the effective ridge kappa.

    ``terms``: ``samples``, the P at which kappa is the effective ridge; ``linear``, ``radial``,
    ``traceless``, the loss on each eigenspace; ``exact_from``, the P from which on the loss is 0.
    b stands for |beta|^2. ``simulate.laws.lazy`` solves for kappa.
    """
    spaces = spectrum()
    learned = {k: value / (value + kappa) for k, (value, _, _) in spaces.items()}
    missed = {k: kappa / (value + kappa) for k, (value, _, _) in spaces.items()}
    samples = sp.Add(*(size * learned[k] for k, (_, size, _) in spaces.items()))
    # P less sum m L^2, without cancellation
    rest = sp.Add(*(size * learned[k] * missed[k] for k, (_, size, _) in spaces.items()))
    bias = sp.Add(*(power * missed[k] ** 2 for k, (_, _, power) in spaces.items()))
    loss = bias * samples / rest
    parts = {
        k: power * missed[k] ** 2 + loss / samples * size * learned[k] ** 2
        for k, (_, size, power) in spaces.items()
    }
    if sp.simplify(sp.Add(*parts.values()) - loss) != 0:
        raise AssertionError("the losses on the eigenspaces do not add up")
    return ClosedForm(
        name="lazy-learning-curve",
        title="Mean test loss of kernel regression with the initial kernel, at effective ridge "
        "kappa",
        expr=loss,
        terms={"samples": samples, **parts, "exact_from": lazy_sample_size().expr},
        steps=[
            (
                "Eigenvalue, multiplicity and power of the target on linear, radial and traceless "
                "functions.",
                tuple(item for space in spaces.values() for item in space),
            ),
            ("The share of them that is learned.", tuple(learned.values())),
            ("Without a ridge these add up to P: an equation for kappa.", samples),
            ("The bias, what is not learned of the target.", bias),
            (
                "Times P/(P - sum m L^2), where P - sum m L^2 is a sum of positive terms:",
                rest,
            ),
            ("the test loss.", loss),
            ("On each eigenspace: its bias, and its share m L^2 of loss/P.", tuple(parts.values())),
        ],
        assumptions=(
            "Infinite width, centred predictor, trained to its end, epsilon != 0, P < "
            "lazy-sample-size. An approximation: the kernel's functions stand in as Gaussian "
            "features; docs/laws.md has its measured error."
        ),
        source="spectrum derived here; equations by Bordelon et al. 2020, Simon et al. 2021",
    )
