"""The checks of a user's problem: what each says, when it applies, and of which closed forms."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lazyrich.verify import own_attacks as attacks
from lazyrich.verify import own_curve as curve
from lazyrich.verify import own_functions as functions
from lazyrich.verify import own_spectra as spectra
from lazyrich.verify import own_training as training
from lazyrich.verify.own_plateau import early_plateau
from lazyrich.verify.own_setting import Finding, Setting

_SMALL = 4  # degree up to which a proof for every D takes about a second
_SPLIT = 6  # degree up to which the learning curve is derived within a second
_MOMENTS = {
    "moment-flow": "the moments of the neurons move as autograd's velocities say",
    "moment-flow-decay": "the same with weight decay, coupled and decoupled",
    "moment-step": "the moments after a step of descent are those of the neurons",
    "moment-step-decay": "the same with weight decay, coupled and decoupled",
    "moment-step-momentum": "the same with momentum",
}


class Attack(NamedTuple):
    """A check: its name, its statement, the attack, and the closed forms that it is on."""

    name: str
    statement: str
    run: Callable[[Setting], Finding]
    of: tuple[str, ...]


def attacks_on(setting: Setting) -> list[Attack]:
    """The checks that apply to a problem."""
    return [*_of_kernel(setting), *_of_target(setting), *_of_training(setting)]


def not_checked(setting: Setting, done: list[Attack]) -> tuple[str, ...]:
    """The closed forms of a problem that no check is on."""
    checked = {name for attack in done for name in attack.of}
    return tuple(name for name in setting.problem.names() if name not in checked)


def _one(name: str, statement: str, run: Callable[[Setting], Finding]) -> Attack:
    return Attack(name, statement, run, (name,))


def _of_kernel(setting: Setting) -> Iterator[Attack]:
    described, degree = setting.problem, setting.problem.activation.degree
    isotropic = described.inputs.isotropic
    yield _one("ntk", "the kernel of given neurons is that of autograd", attacks.kernel_at_weights)
    yield _one(
        "ntk-at-init",
        "the kernel at initialisation is the mean over the weights",
        attacks.kernel_at_init,
    )
    is_small = degree is not None and degree <= _SMALL
    if is_small:
        yield Attack(
            "ntk-at-init: every D",
            "the same in exact arithmetic, as a proof",
            _kernel,
            ("ntk-at-init",),
        )
    if not isotropic:
        return
    if is_small:
        yield Attack(
            "ntk-eigenvalues: every D", "the spectrum likewise", _spectrum, ("ntk-eigenvalues",)
        )
    if degree is None:
        yield Attack("spectrum", "eigenvalues add up, and so do their squares", spectra.traces, ())
        return
    yield Attack(  # on the spectrum in numbers, which does not use the closed form
        "ntk-eigenvalues",
        "the kernel on an exact cubature has this spectrum",
        spectra.spectrum,
        (),
    )
    yield _one("ntk-rank", "the kernel has as many functions", functions.ntk_rank)


def _of_target(setting: Setting) -> Iterator[Attack]:
    described, degree = setting.problem, setting.problem.activation.degree
    isotropic, learns = described.inputs.isotropic, described.target.expr != 0
    names = described.names()
    if isotropic and described.target.degree > 0:
        yield Attack(
            "learning-curve",
            "regression on Gaussian features has this mean loss",
            curve.learning_curve,
            (),
        )
        if degree is not None:
            yield Attack(
                "learning-curve: all learned",
                "the same with more samples than functions",
                curve.all_learned,
                (),
            )
    if isotropic and learns:
        yield Attack(
            "target on the spectrum",
            "<y K y> and <y K^2 y> are sums over eigenspaces",
            spectra.power_on_spectrum,
            (),
        )
        yield Attack("floor", "what infinitely many samples leave", functions.floor, ())
    if learns:
        yield _one(
            "target-power",
            "the target's powers by degree are those on a cubature",
            attacks.target_powers,
        )
    some: Mapping[str, Any] = {
        "target-decomposition": (
            "the target's power outside the kernel's functions",
            spectra.target_decomposition,
        ),
        "lazy-sample-size": (
            "as many samples as functions, and what these leave",
            functions.lazy_sample_size,
        ),
        "lazy-learning-curve": (
            "the curve at one kappa is its equations in numbers",
            functions.lazy_learning_curve,
        ),
        "early-plateau": ("least squares on drawn data has these mean losses", early_plateau),
    }
    for name, (statement, run) in some.items():
        if name in names and learns and (name != "lazy-learning-curve" or _is_derived(degree)):
            yield _one(name, statement, run)


def _is_derived(degree: int | None) -> bool:
    """Whether the closed form of the learning curve takes less than a second to derive."""
    return degree is not None and degree <= _SPLIT


def _of_training(setting: Setting) -> Iterator[Attack]:
    described, degree = setting.problem, setting.problem.activation.degree
    names = described.names()
    if "loss-at-init" in names and (degree is None or degree <= _SMALL):
        run = functions.at_start_on_circles if degree is None else attacks.loss_at_init
        yield _one("loss-at-init", "the mean over initial weights, by quadrature", run)
    yield _one(
        "population-loss",
        "the loss of given neurons is the mean over the inputs",
        attacks.population_loss,
    )
    if "test-loss" in names:
        yield _one("test-loss", "the same in the moments", training.loss_of_moments)
    if "network-function" in names:
        yield _one("network-function", "f in the moments", training.network_function)
    yield _one("neuron-flow", "a neuron moves as autograd says", training.neuron_flow)
    for name, statement in _MOMENTS.items():
        if name in names:
            yield _one(name, statement, training.moments(name))
    yield Attack(
        "simulator",
        "the population loss of a simulated run is the mean over the inputs",
        attacks.simulator,
        (),
    )
    yield Attack(
        "laziness", "descent is kernel regression up to order 1/alpha", attacks.laziness, ()
    )


def _kernel(setting: Setting) -> Finding:
    from lazyrich.theory.symbols import x, x_prime
    from lazyrich.theory.wick import dot
    from lazyrich.verify.certificates import problem as certificates

    form = setting.problem.closed_form("ntk-at-init")
    certificate = certificates.kernel(setting.problem)
    return _proved(certificate, {"kernel": form.expr}, {"kernel": form.expr + dot(x, x_prime)})


def _spectrum(setting: Setting) -> Finding:
    from lazyrich.verify.certificates import problem as certificates

    terms = dict(setting.problem.closed_form("ntk-eigenvalues").terms)
    name = list(terms)[-1]
    value, count = terms[name]
    wrong = terms | {name: (value, count + 1)}
    return _proved(certificates.spectrum(setting.problem), terms, wrong)


def _proved(certificate: Any, claimed: Mapping[str, Any], wrong: Mapping[str, Any]) -> Finding:
    from lazyrich.verify.certificates import prove

    def attempt(what: Mapping[str, Any]) -> tuple[float, str]:
        try:
            return 0.0, prove(certificate, what)
        except AssertionError as error:
            return 1.0, str(error)

    (error, sentence), (control, _) = attempt(claimed), attempt(wrong)
    return Finding(error, 0.5, control, sentence)
