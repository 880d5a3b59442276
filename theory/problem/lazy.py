"""The lazy learning curve of a described problem: regression with its initial kernel.

The equations are those of kernel regression on Gaussian features of the same spectrum (Bordelon,
Canatar and Pehlevan 2020; Simon et al. 2021); the spectrum and its multiplicities are exact.
"""

from typing import TYPE_CHECKING

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.spectrum import initial_rank, ntk_eigenvalues
from lazyrich.theory.problem.target_power import target_decomposition

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

kappa = sp.Symbol("kappa", positive=True)  # the effective ridge


def mixes(problem: "Problem") -> bool:
    """Whether several radial functions of one harmonic degree mix, so that roots would appear."""
    return any(len(radial.reached(k)) > 1 for k in problem.coefficient_matrices.values())


def lazy_learning_curve(problem: "Problem") -> ClosedForm:
    """Return the mean test loss of fully lazy training, in the effective ridge kappa.

    ``terms``: ``samples``, the P at which kappa is the effective ridge; harmonics_l, the loss on
    each eigenspace; ``null``, the target's power outside of them; ``exact_from``, the P from which
    the eigenspaces are learned exactly.
    """
    spectrum = ntk_eigenvalues(problem).terms
    powers = dict(target_decomposition(problem).terms)
    null = sp.sympify(powers.pop("null"))
    learned = {k: value / (value + kappa) for k, (value, _) in spectrum.items()}
    missed = {k: kappa / (value + kappa) for k, (value, _) in spectrum.items()}
    counts = {k: count for k, (_, count) in spectrum.items()}
    samples = sp.Add(*(counts[k] * learned[k] for k in spectrum))
    # P less sum m L^2, without cancellation.
    rest = sp.Add(*(counts[k] * learned[k] * missed[k] for k in spectrum))
    bias = sp.Add(*(powers[k] * missed[k] ** 2 for k in spectrum)) + null
    loss = bias * samples / rest
    parts = {
        k: powers[k] * missed[k] ** 2 + bias / rest * counts[k] * learned[k] ** 2 for k in spectrum
    }
    # Then samples = rest + sum m L^2, so that the parts add up to the loss.
    if any(sp.cancel(learned[k] * (missed[k] + learned[k] - 1)) != 0 for k in spectrum):
        raise AssertionError("what is learned and what is missed do not add up to 1")
    return ClosedForm(
        name="lazy-learning-curve",
        title="Mean test loss of kernel regression with the initial kernel, at effective ridge "
        "kappa",
        expr=loss,
        terms={
            "samples": samples,
            **parts,
            "null": null,
            "exact_from": initial_rank(problem),
        },
        steps=[
            (
                "Eigenvalue, multiplicity and power of the target, by harmonic degree.",
                tuple(item for k, pair in spectrum.items() for item in (*pair, powers[k])),
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
            f"Infinite width, {problem.initial_law}, centred predictor, trained to its end, labels "
            "without noise, P < exact_from. An approximation: the kernel's functions stand in as "
            "Gaussian features, and the target's power outside of them acts as noise."
        ),
        source=f"{problem.source}; equations by Bordelon et al. 2020, Simon et al. 2021",
    )
