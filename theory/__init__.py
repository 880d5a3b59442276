"""What does the theory say? Closed forms, derived by SymPy for symbolic dimension.

``names()`` lists them, ``closed_form(name)`` derives one. Nothing here imports torch.
"""

import re
from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from lazyrich.support.arguments import one_of, shown
from lazyrich.theory.closed_form import ClosedForm

if TYPE_CHECKING:
    from lazyrich.theory.activation import Activation
    from lazyrich.theory.calculator import expectation
    from lazyrich.theory.checking import Check, check
    from lazyrich.theory.inputs import Inputs
    from lazyrich.theory.problem import Problem
    from lazyrich.theory.target_function import Target

__all__ = [
    "Activation",
    "Check",
    "ClosedForm",
    "Inputs",
    "Problem",
    "Target",
    "check",
    "closed_form",
    "expectation",
    "groups",
    "names",
]

_NOUNS = {
    "Activation": "activation",
    "Inputs": "inputs",
    "Problem": "problem",
    "Target": "target_function",
    "Check": "checking",
    "check": "checking",
    "expectation": "calculator",
}


def __getattr__(name: str):
    """Load the nouns of a problem and the calculator where they are asked for."""
    if name in _NOUNS:
        return getattr(import_module(f"lazyrich.theory.{_NOUNS[name]}"), name)
    if name == "grammar":
        return import_module("lazyrich.theory.grammar")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Group -> {name: (module, one line)}; each module has a function named after the closed form.
_CATALOGUE: dict[str, dict[str, tuple[str, str]]] = {
    "The network": {
        "network-function": ("network", "f in terms of the moments (wbar, M)"),
        "ntk": ("network", "the neural tangent kernel at any weights"),
        "ntk-at-init": ("network", "the kernel at infinite-width initialisation"),
    },
    "The spectrum": {
        "ntk-eigenvalues": ("mercer", "eigenvalues and multiplicities of the initial kernel"),
        "target-decomposition": ("target", "the target on the kernel's eigenspaces"),
    },
    "The loss": {
        "test-loss": ("test_loss", "population loss: variance, misalignment, linear power"),
        "test-loss-centred": ("test_loss", "the same for the centred predictor f(w) - f(w0)"),
        "test-loss-minimiser": ("test_loss", "the weights that minimise it, and when they exist"),
    },
    "The kernel and the task": {
        "kernel-alignment": ("alignment", "kernel-task alignment at any weights, uncentred"),
        "centred-kernel-alignment": ("alignment", "the same, kernel and target centred (CKA)"),
        "kernel-alignment-at-init": ("alignment", "both at initialisation, and their saturation"),
        "gram-alignment": ("alignment", "what a Gram matrix of P samples measures on average"),
        "most-aligned-moment": ("most_aligned", "the M that maximises the alignment"),
        "eigenvector-label-alignment": (
            "eigenvector_labels",
            "alignment with labels from the j-th eigenvector of the kernel",
        ),
        "ntk-rank": ("rank", "rank of the kernel at n neurons and at infinite width"),
        "lazy-movement": ("difficulty", "|w - w0|^2 of lazy training and y^T K^-1 y"),
        "target-difficulty": ("difficulty", "y^T K^-1 y of the target for all large P"),
        "lazy-sample-size": ("lazy_sample_size", "samples from which lazy training is exact"),
        "linearisation-error": ("difficulty", "what the linearised network leaves out"),
    },
    "General quadratic problems": {
        "general-test-loss": (
            "general_quadratic",
            "population loss for covariance Sigma, target c + b.x + x^T B x/2, noisy labels",
        ),
        "general-test-loss-minimiser": ("general_quadratic", "where it is least, and how small"),
        "general-target-decomposition": (
            "general_quadratic",
            "the target's power on what the kernel can and cannot learn",
        ),
        "general-ntk-operator": ("general_spectrum", "the initial kernel's operator, inputs Sigma"),
        "general-ntk-spectrum": ("general_spectrum", "its eigenvalues, in those of Sigma"),
    },
    # Any degree may stand in place of 3 and 4: closed_form passes it on.
    "Higher degrees (hermite-K-... for any K)": {
        "hermite-3-ntk-at-init": ("hermite", "the initial kernel for h + (epsilon/2) He_3(h)"),
        "hermite-4-ntk-at-init": ("hermite", "the same with He_4"),
        "hermite-3-ntk-eigenvalues": ("hermite", "its spectrum by degree of harmonics"),
        "hermite-4-ntk-eigenvalues": ("hermite", "the same with He_4"),
        "hermite-3-target-power": ("hermite", "power of He_3(beta.x) by degree, any beta"),
        "hermite-4-target-power": ("hermite", "the same of He_4(beta.x)"),
    },
    "Both layers trained": {
        "readout-network-function": ("readout", "f in readout-weighted moments"),
        "readout-ntk-at-init": ("readout", "the kernel of both layers at initialisation"),
        "readout-ntk-eigenvalues": ("readout", "its eigenvalues and multiplicities"),
        "readout-moment-flow": ("readout", "the flow of (wbar, M), which does not close"),
    },
    "Finite width at initialisation": {
        "moments-at-init": ("finite_width", "mean and variance of wbar and M, by functionals"),
        "loss-at-init": ("finite_width", "mean of the plain population loss, by terms"),
        "loss-variance-at-init": ("finite_width", "its variance, by terms"),
        "ntk-at-finite-width": ("finite_width", "mean and variance of the kernel"),
    },
    "The dynamics": {
        "moment-step": ("moment_dynamics", "one step of gradient descent on (wbar, M)"),
        "moment-step-decay": ("moment_dynamics", "the same with weight decay of both kinds"),
        "moment-step-momentum": ("momentum", "with heavy-ball momentum: five moments close"),
        "momentum-modes": ("momentum", "linear modes under momentum: speed, oscillation"),
        "moment-flow": ("moment_dynamics", "the gradient-flow limit of the step"),
        "moment-flow-decay": ("moment_dynamics", "the flow with weight decay"),
        "population-step": ("population_dynamics", "the step with infinitely many samples"),
        "population-flow": ("population_dynamics", "its gradient-flow limit"),
        "population-flow-scalar": ("population_scalars", "three numbers: features that compete"),
    },
    "Laws beyond the papers": {
        "population-time": (
            "laws.population_time",
            "feature learning with infinitely many samples",
        ),
        "lazy-learning-curve": ("laws.learning_curve", "mean test loss of fully lazy training"),
        "lazy-curve-limit": ("laws.high_dimension", "it as D -> infinity; the critical epsilon"),
        "lazy-rate": ("laws.lazy_rate", "the gap to kernel regression, of order epsilon/alpha"),
        "slaved-flow": ("laws.slaved", "epsilon/alpha -> 0: one number is left of the scales"),
        "spike-growth": ("laws.spike", "how a feature grows from the data set"),
        "early-plateau": ("laws.plateau", "least squares of y on x, its exact mean test loss"),
    },
    "Scales and laziness": {
        "early-dynamics": ("scaling", "what alpha, N and eta do to the first moves of f"),
        "scale-equivalence": ("scaling", "scales of output, weights, labels that train alike"),
        "lazy-coordinates": ("scaling", "the centred network in delta = alpha (w - w0)"),
    },
    "Early and late implicit biases": {
        "homogeneous-scaling": ("lyu.homogeneous", "an L-homogeneous model at c theta"),
        "homogeneous-flow": ("lyu.homogeneous", "its flow with decay, freed of alpha"),
        "kernel-predictor": ("lyu.homogeneous", "the early predictor and its ridge"),
        "early-margin": ("lyu.early_margin", "how far its margins have grown"),
        "late-stationarity": ("lyu.homogeneous", "how near a KKT point of the norm it ends"),
        "transition-time": ("lyu.homogeneous", "lambda t* = log(alpha) + C for every L"),
        "diagonal-net-invariant": ("lyu.diagonal_net", "what the flow with decay keeps"),
        "diagonal-net-weights": ("lyu.mirror_map", "w in the dual variable, depth L"),
        "diagonal-net-dual-flow": ("lyu.dual_flow", "n numbers in place of 2 d weights"),
        "diagonal-net-potential": ("lyu.potential", "what w(t) minimises; the whole path"),
        "diagonal-net-norm": ("lyu.potential", "|theta|^2 along the path"),
        "regularised-oracles": ("lyu.oracles", "the early ridge and the late lasso"),
        "matrix-model-invariants": ("lyu.matrix_model", "U^T V for W = U U^T - V V^T"),
        "matrix-model-oracles": ("lyu.matrix_model", "zero-fill, nuclear norm, certificate"),
        "start-scale": (
            "lyu.start_scale",
            "from alpha s (1, 1); |thetabar| = 1 in d dimensions",
        ),
        "sparse-transition": ("lyu.sparse_transition", "when sparse labels are learnt"),
        "sparse-margin-bound": ("lyu.sparse_bounds", "test error of L1 and L2 max-margin"),
    },
}


def groups() -> dict[str, dict[str, str]]:
    """The closed forms by group: {group: {name: one line}}."""
    return {
        group: {name: line for name, (_, line) in entries.items()}
        for group, entries in _CATALOGUE.items()
    }


def names() -> dict[str, str]:
    """Every closed form: {name: one line}.

    >>> names()["test-loss"]
    'population loss: variance, misalignment, linear power'
    """
    return {name: line for entries in groups().values() for name, line in entries.items()}


def closed_form(name: str) -> ClosedForm:
    """Derive the closed form ``name`` (one of ``names()``); derived once a process.

    Any degree of the Hermite forms works, for example ``hermite-5-ntk-at-init``.
    Raises ``ValueError`` for an unknown name, with the nearest known one.

    >>> closed_form("ntk-eigenvalues").terms["linear"]
    (1/D, D)
    >>> closed_form("hermite-5-target-power").components["information_exponent"]
    (1, 5)
    """
    if not isinstance(name, str):
        raise ValueError(f"name = {shown(name)}: must be a text, one of theory.names()")
    return _derived(name)


def _of_problems() -> Collection[str]:
    from lazyrich.theory.problem.description import _FORMS  # here: it takes a while

    return _FORMS


@cache
def _derived(name: str) -> ClosedForm:
    modules = {n: module for entries in _CATALOGUE.values() for n, (module, _) in entries.items()}
    family = re.fullmatch(r"hermite-([1-9]\d*)-(.+)", name)
    if family and (module := modules.get(f"hermite-3-{family[2]}")):
        function, arguments = f"hermite-{family[2]}", [int(family[1])]
    else:
        function, arguments = name, []
        if name not in modules and name in _of_problems():
            raise ValueError(
                f"name = {shown(name)}: derived for a problem that is described: give an "
                "activation or a target (--activation, --target; in Python theory.Problem)"
            )
        module = modules[one_of("name", name, modules)]
    derive = getattr(import_module(f"lazyrich.theory.{module}"), function.replace("-", "_"))
    return derive(*arguments)
