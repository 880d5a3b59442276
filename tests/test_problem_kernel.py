"""Kernel, spectrum and target of a described problem, against what does not share its code."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lazyrich.theory import Problem, closed_form
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.kernel import share, v
from lazyrich.theory.symbols import D, N, alpha, beta, isotropic, w, x, x_prime
from lazyrich.theory.wick import dot, equal, expectation
from lazyrich.verify.certificates import problem as certificates
from lazyrich.verify.certificates import prove
from lazyrich.verify.cubature import gauss_hermite
from tests.examples import few

SYMBOLIC = ["h + c h^3", "h + epsilon/2 h^2", "a h^2 + c h^3", "1 + h + c h^4"]


@pytest.mark.parametrize("readouts", ["fixed", "trained"])
@pytest.mark.parametrize("activation", SYMBOLIC)
def test_the_kernel_is_proved_for_every_D(activation, readouts):
    problem = Problem(activation, readouts=readouts)
    form = problem.closed_form("ntk-at-init")
    assert "prove it for every D" in prove(certificates.kernel(problem), form)
    wrong = replace(form, expr=form.expr + dot(x, x_prime))
    with pytest.raises(AssertionError, match="kernel at D"):
        prove(certificates.kernel(problem), wrong)


@pytest.mark.parametrize("readouts", ["fixed", "trained"])
def test_units_of_a_neurons_share_and_of_the_kernel(readouts):
    """f is alpha/N times a sum over neurons, so the kernel alpha^2/N times a mean over them."""
    form = Problem("h + c h^3", readouts=readouts).closed_form("ntk-at-init")
    share = form.steps[0][1]
    at_one = share.subs({alpha: 1, N: 1})
    assert at_one.has(dot(w, x))
    assert not at_one.has(alpha, N)
    assert sp.expand(share - alpha / N * at_one) == 0
    if readouts == "trained":
        assert sp.expand(at_one - v * at_one.subs(v, 1)) == 0
    deviations = {"fixed": {"sigma": 1}, "trained": {"sigma_w": 1, "sigma_v": 1}}[readouts]
    at = {"D": 1, "x": [2], "x_prime": [3], "c": 1} | deviations
    terms = form.evaluate_terms(alpha=3, N=5, **at)
    assert terms["ntk"] == sp.Rational(9, 5) * terms["ntk_normalised"] != 0


@pytest.mark.parametrize(
    ("activation", "readouts"), [("h + c h^3", "fixed"), ("h + c h^2", "trained"), ("h^3", "fixed")]
)
def test_the_spectrum_is_proved_for_every_D(activation, readouts):
    problem = Problem(activation, readouts=readouts)
    terms = dict(problem.closed_form("ntk-eigenvalues").terms)
    assert "prove it for every D" in prove(certificates.spectrum(problem), terms)
    highest = f"harmonics_{problem.activation.degree}"
    value, count = terms[highest]
    for wrong in ((value * 2, count), (value, count + 1)):
        with pytest.raises(AssertionError, match=r"harmonics|trace"):
            prove(certificates.spectrum(problem), terms | {highest: wrong})


# Any polynomial, D = 1 included

coefficient = st.integers(-4, 4).map(lambda k: k / 4)
activations = st.lists(coefficient, min_size=2, max_size=6).filter(lambda cs: any(cs[1:]))


def text(coefficients):
    return " + ".join(f"({c}) h^{n}" if n else f"({c})" for n, c in enumerate(coefficients))


def kernel_on_points(coefficients, X, deviation, readout):
    """The mean over w by a cubature in the plane of each pair: (P, P)."""
    phi = np.polynomial.Polynomial(coefficients)
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    first, second = np.meshgrid(nodes, nodes, indexing="ij")
    mass = weights[:, None] * weights
    gram = X @ X.T
    table = np.zeros_like(gram)
    for i, j in np.ndindex(gram.shape):
        a = np.sqrt(gram[i, i])
        along = gram[i, j] / a if a else 0.0
        across = np.sqrt(max(gram[j, j] - along**2, 0.0))
        u, v = deviation * a * first, deviation * (along * first + across * second)
        slopes = (mass * phi.deriv()(u) * phi.deriv()(v)).sum() * gram[i, j]
        values = (mass * phi(u) * phi(v)).sum()
        table[i, j] = slopes if readout is None else readout**2 * slopes + values
    return table


@few
@given(activations, st.integers(1, 3), st.booleans(), st.integers(0, 1000))
@example([0.0, 1.0], 1, False, 0)
@example([0.0, 0.0, 0.0, -1.0], 3, True, 1)
@example([1.0, -0.25, 0.5], 2, True, 2)
def test_the_kernel_of_any_polynomial(coefficients, d, trained, seed):
    X = np.random.default_rng(seed).normal(size=(4, d))
    problem = Problem(text(coefficients), readouts="trained" if trained else "fixed")
    values = {"sigma_w": 0.8, "sigma_v": 1.5} if trained else {"sigma": 0.8}
    form = problem.closed_form("ntk-at-init").function("numpy")
    found = form(x=X[:, None], x_prime=X[None, :], **values)
    expected = kernel_on_points(coefficients, X, 0.8, 1.5 if trained else None)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@few
@given(activations, st.integers(1, 3), st.booleans())
@example([0.0, 1.0], 1, False)
@example([0.0, 0.0, 0.0, -1.0], 3, True)
@example([1.0, -0.25, 0.5], 2, True)
def test_the_spectrum_is_that_of_the_kernel_on_a_cubature(coefficients, d, trained):
    """Eigenvalues as often as their multiplicity says, and nothing else, from an exact rule."""
    problem = Problem(text(coefficients), "beta.x", readouts="trained" if trained else "fixed")
    values = {"sigma_w": 0.8, "sigma_v": 1.5} if trained else {"sigma": 0.8}
    points, weights = gauss_hermite(d, 2 * len(coefficients))
    form = problem.closed_form("ntk-at-init").function("numpy")
    kernel = form(x=points[:, None], x_prime=points[None, :], **values)
    root = np.sqrt(weights)
    expected = np.linalg.eigvalsh(root[:, None] * kernel * root)[::-1]
    spaces = problem.spectrum(D=d, **values).spaces
    found = np.repeat([s.value for s in spaces], [s.multiplicity for s in spaces])
    scale = expected[0]
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-10 * scale)
    assert np.abs(expected[len(found) :]).max(initial=0) < 1e-9 * scale
    if problem.activation.degree > 1 and d > 1:  # the control: a multiplicity one too small
        assert len(found) == 1 or abs(found[-1] - expected[len(found) - 1]) < 1e-9 * scale


def test_the_closed_blocks_are_the_spectrum_in_numbers():
    problem = Problem("h + c h^3 + a h^5")
    at = {"D": 3, "sigma": sp.Rational(1, 2), "c": sp.Rational(1, 3), "a": sp.Rational(-1, 4)}
    found = []
    for value, count in problem.closed_form("ntk-eigenvalues").evaluate_terms(**at).values():
        block = sp.Matrix(value) if isinstance(value, tuple) else sp.Matrix([[value]])
        found += [complex(e).real for e in np.linalg.eigvals(np.array(block, float))] * int(count)
    numbers = problem.spectrum(**{k: float(v) if k != "D" else v for k, v in at.items()})
    known = np.repeat([s.value for s in numbers.spaces], [s.multiplicity for s in numbers.spaces])
    np.testing.assert_allclose(np.sort(found)[::-1], known, rtol=1e-9)


def test_the_papers_spectrum_and_decomposition():
    ours, papers = Problem(), closed_form
    names = {"linear": "harmonics_1", "radial": "harmonics_0", "traceless": "harmonics_2"}
    for form in ("ntk-eigenvalues", "target-decomposition"):
        for name, l in names.items():
            found = np.atleast_1d(ours.closed_form(form).terms[l])
            known = np.atleast_1d(papers(form).terms[name])
            assert all(sp.expand(a - b) == 0 for a, b in zip(found, known, strict=True))
    assert ours.closed_form("target-decomposition").terms["null"] == 0
    for form in ("ntk", "ntk-at-init", "loss-at-init", "test-loss"):
        assert equal(ours.closed_form(form).expr, papers(form).expr)
    trained = Problem(readouts="trained").closed_form("ntk-at-init")
    assert equal(trained.expr, papers("readout-ntk-at-init").expr)


# Given weights, by automatic differentiation


@pytest.mark.parametrize(
    ("activation", "phi"),
    [
        ("h + c h^3", lambda h: h + 0.3 * h**3),
        ("h + c h^2", lambda h: h + 0.3 * h**2),
        ("erf(h/sqrt(2))", lambda h: torch.erf(h / 2**0.5)),
        ("relu(h)", torch.relu),
        ("min(h, 0)", lambda h: -torch.relu(-h)),
    ],
)
@pytest.mark.parametrize("readouts", ["fixed", "trained"])
def test_the_kernel_at_given_weights_is_that_of_autograd(activation, phi, readouts):
    generator = torch.Generator().manual_seed(0)
    problem = Problem(activation, readouts=readouts)
    W, X = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    v = torch.randn(5, generator=generator, dtype=torch.float64)
    v = v if readouts == "trained" else torch.ones_like(v)
    alpha = 1.7

    def network(W, v, x):
        return alpha / 5 * v @ phi(W @ x)

    parts = (0, 1) if readouts == "trained" else (0,)
    slopes = torch.func.vmap(torch.func.jacrev(network, parts), (None, None, 0))(W, v, X)
    flat = torch.cat([s.reshape(5, -1) for s in slopes], dim=1)
    expected = flat @ flat.T
    form = problem.closed_form("ntk").function("torch")
    arguments = set(problem.closed_form("ntk").arguments())
    values = {"alpha": alpha, "N": 5, "c": 0.3, "v": v, "w": W, "wbar": W.mean(0)}
    values |= {"M": W.T @ W / 5}
    values = {name: value for name, value in values.items() if name in arguments}
    found = torch.zeros(5, 5, dtype=torch.float64)
    for i, j in np.ndindex(5, 5):
        here = form(x=X[i], x_prime=X[j], **values)
        found[i, j] = here if problem.moments_close else 5 * here.mean()
    torch.testing.assert_close(found if problem.moments_close else found / 5, expected)


# The target


@few
@example([0.0], "", 1, 0)
@example([1.0, 0.0, -0.5, 0.25, 1.0], " - |x|^2 b.x", 2, 1)
@given(
    st.lists(coefficient, min_size=1, max_size=5),
    st.sampled_from(["", " + b.x (beta.x)", " + x'Bx", " - |x|^2 b.x"]),
    st.integers(1, 2),
    st.integers(0, 1000),
)
def test_powers_by_degree_are_projections_on_hermite_polynomials(coefficients, more, d, seed):
    rng = np.random.default_rng(seed)
    target = " + ".join(
        f"({c}) (beta.x)^{n}" if n else f"({c})" for n, c in enumerate(coefficients)
    )
    problem = Problem("h", target + more)
    values = {"beta": rng.normal(size=d), "b": rng.normal(size=d), "B": rng.normal(size=(d, d))}
    values = {name: values[name] for name in problem.target.symbols}
    points, weights = gauss_hermite(d, 10)
    y = problem.target.labels(points, **values)
    expected = np.zeros(7)
    for index in np.ndindex(*[6] * d):
        basis = np.ones(len(points))
        for n, column in zip(index, points.T, strict=True):
            scale = np.sqrt(float(sp.factorial(n)))
            basis = (
                basis * np.polynomial.hermite_e.hermeval(np.sqrt(d) * column, [0] * n + [1]) / scale
            )
        if sum(index) < 7:
            expected[sum(index)] += (weights @ (y * basis)) ** 2
    form = problem.closed_form("target-power")
    point = {"D": d, **values}
    known = set(form.arguments())
    found = form.evaluate_terms(**{k: v for k, v in point.items() if k in known})
    for n, power in enumerate(expected):
        amount = float(found.get(f"degree_{n}", 0))
        assert abs(amount - power) < 1e-9 * (1 + weights @ y**2)


@pytest.mark.parametrize("target", ["(beta.x)^2/2 + b.x", "(beta.x)^3", "1 + |x|^4", "x'Bx"])
@pytest.mark.parametrize("activation", ["h + c h^3", "1 + h + h^2/2", "h^3", "relu(h)"])
def test_power_on_eigenspaces_is_that_of_the_kernel_on_a_cubature(activation, target):
    """The kernel's function of the target, <y K y>, and the power that the kernel never sees."""
    rng = np.random.default_rng(0)
    problem = Problem(activation, target, readouts="trained")
    values = {"beta": rng.normal(size=2), "b": rng.normal(size=2), "B": rng.normal(size=(2, 2))}
    values = {k: values[k] for k in problem.target.symbols} | {"sigma_w": 0.9, "sigma_v": 1.1}
    values |= {"c": 0.4} if "c" in problem.activation.symbols else {}
    found = problem.spectrum(D=2, **values)
    points, weights = gauss_hermite(2, 42)  # no node at 0
    form = problem.closed_form("ntk-at-init").function("numpy")
    kernel = form(x=points[:, None], x_prime=points[None, :], **values)
    y = problem.target.labels(points, **{k: values[k] for k in problem.target.symbols})
    tolerance = 1e-9 if problem.activation.degree is not None else 3e-3
    for power in (1, 2):
        image = y
        for _ in range(power):
            image = kernel @ (weights * image)
        expected = weights @ (y * image)
        ours = sum(s.power * s.value**power for s in found.spaces)
        assert abs(ours - expected) < tolerance * (1 + expected)
    whole = sum(s.power for s in found.spaces) + found.null
    assert abs(whole - weights @ y**2) < 1e-9 * (1 + whole)
    assert found.null >= 0


def test_the_decomposition_is_orthogonal_and_complete():
    problem = Problem("h + c h^3", "(beta.x)^3 + beta.x + |x|^2")
    form = problem.closed_form("target-decomposition")
    assert equal(sp.Add(*form.components.values()), problem.target.expr)
    for name, part in form.components.items():
        mean_square = expectation(part**2, isotropic(x))
        assert sp.cancel(mean_square - form.terms[name]) == 0
    # Nothing of |x|^2 is in reach of an odd kernel; all of the cube is.
    assert sp.cancel(form.terms["null"] - (D + 2) / D) == 0
    assert form.terms["harmonics_3"].has(dot(beta, beta))


# The lazy learning curve, and the closed forms of degree 2


def test_the_learning_curve_is_the_papers():
    form = closed_form("lazy-learning-curve")
    at = {"D": 6, "epsilon": 0.7, "sigma": 1.2, "b": 5.0}
    beta_values = np.array([1.0, 2.0, 0, 0, 0, 0])
    for kappa in (1e-3, 1e-2, 0.3):
        size = form.evaluate_terms(kappa=kappa, **at)["samples"]
        problem = Problem()
        P = [int(size), int(size) + 1]
        values = {"D": 6, "epsilon": 0.7, "sigma": 1.2, "beta": beta_values}
        low, high = problem.learning_curve(P=P, **values)[::-1]
        assert low <= form.evaluate(kappa=kappa, **at) <= high
        ours = problem.closed_form("lazy-learning-curve").evaluate(kappa=kappa, **values)
        assert abs(ours - form.evaluate(kappa=kappa, **at)) < 1e-12


def test_the_parts_of_the_learning_curve_add_up_to_it():
    """And as kappa grows, nothing is learned: each part goes to the power of its eigenspace."""
    problem = Problem("h + c h^2", "(beta.x)^2 + b.x + 2")
    form = problem.closed_form("lazy-learning-curve")
    values = {"D": 3, "c": 0.5, "sigma": 1.0, "beta": [1.0, 2.0, 0.5], "b": [0.0, 1.0, 1.0]}
    at = {name: value for name, value in values.items() if name in form.arguments()}
    for kappa in (0.01, 0.3, 1e9):
        terms = dict(form.evaluate_terms(kappa=kappa, **at))
        parts = [float(terms[name]) for name in terms if name.startswith(("harmonics", "null"))]
        whole = float(form.evaluate(kappa=kappa, **at))
        np.testing.assert_allclose(sum(parts), whole, rtol=1e-9)
    power = problem.closed_form("target-decomposition").evaluate_terms(**at)
    for name in terms.keys() & power.keys():
        np.testing.assert_allclose(float(terms[name]), float(power[name]), rtol=1e-6)


def test_the_learning_curve_ends_at_the_rank_and_at_what_is_never_learned():
    problem = Problem("h + c h^3", "(beta.x)^3")
    values = {"D": 3, "c": 0.5, "sigma": 1.0, "beta": [1.0, 2.0, 0.5]}
    rank = int(problem.closed_form("ntk-rank").evaluate(D=3))
    assert problem.learning_curve(P=rank, **values) == 0
    curve = problem.learning_curve(P=[1, 5, rank - 1], **values)
    assert (np.diff(curve) < 0).all()
    even = Problem("h + c h^3", "(beta.x)^2/2")
    null = even.spectrum(**values).null
    np.testing.assert_allclose(even.learning_curve(P=10**6, **values), null, rtol=1e-3)
    noisy = problem.learning_curve(P=10**6, noise=0.5, **values)
    np.testing.assert_allclose(noisy, 0.25, rtol=1e-3)
    assert problem.learning_curve(P=rank, noise=0.5, **values) == np.inf


@pytest.mark.parametrize("activation", ["a + b h + c h^2", "2 h^2", "3 h", "h + 0.3 h^2"])
def test_the_moments_of_any_activation_of_degree_2(activation):
    """A step of descent by autograd, against moment-step, at two neurons and three samples."""
    problem = Problem(activation, "beta.x")
    values = {"a": 0.5, "b": -1.2, "c": 0.7}
    values = {name: values[name] for name in problem.activation.symbols}
    coefficients = problem.activation.coefficients(**values)
    generator = torch.Generator().manual_seed(1)
    W, X = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (4, 3))
    y = torch.randn(3, generator=generator, dtype=torch.float64)
    W.requires_grad_(True)
    alpha, rate = 1.3, 0.2
    h = X @ W.T
    f = alpha * sum(c * h**n for n, c in enumerate(coefficients)).mean(1)
    (slope,) = torch.autograd.grad((f - y).square().mean(), W)
    W, after = W.detach(), (W - rate * 4 / alpha**2 * slope).detach()
    at = {"X": X, "r": (f - y).detach(), "wbar": W.mean(0), "M": W.T @ W / 4}
    at |= {"alpha": alpha, "eta_0": rate, **values}
    form = problem.closed_form("moment-step")
    needed = {k: value for k, value in at.items() if k in form.arguments()}
    parts = {k: g(**needed) for k, g in form.functions("torch").items()}
    torch.testing.assert_close(parts["wbar"], after.mean(0))
    torch.testing.assert_close(parts["M"], after.T @ after / 4)
    form = problem.closed_form("network-function")
    needed = {k: value for k, value in at.items() if k in form.arguments()}
    torch.testing.assert_close(form.function("torch")(x=X, **needed), f.detach())


def test_forms_of_the_paper_at_another_curvature():
    ours = Problem("h + h^2/5").closed_form("kernel-alignment-at-init")
    paper = closed_form("kernel-alignment-at-init")
    for name, part in ours.evaluate_terms(D=4, sigma=1).items():
        known = paper.evaluate_terms(D=4, sigma=1, epsilon=sp.Rational(2, 5))[name]
        assert sp.simplify(part - known) == 0
    why = Problem("h + h^2/5", "beta.x").not_available()["kernel-alignment-at-init"]
    assert "target" in why
    with pytest.raises(ValueError, match="another name"):
        Problem("h + p h^2").closed_form("spike-growth")


@pytest.mark.parametrize("readouts", ["fixed", "trained"])
@pytest.mark.parametrize(
    ("activation", "target"),
    [("h + c h^3", "(beta.x)^3 + |x|^2"), ("1 + h^2", "1 + (beta.x)^2"), ("relu(h)", "1 + |x|^2")],
)
def test_the_mean_loss_at_initialisation(activation, target, readouts):
    """Over many networks; the mean has the standard error that the sample tells."""
    rng = np.random.default_rng(0)
    problem = Problem(activation, target, readouts=readouts)
    values = {"beta": np.array([1.0, -0.5]), "c": 0.2}
    values = {name: values[name] for name in problem.symbols}
    losses = []
    for _ in range(400):
        more = {"v": 1.2 * rng.normal(size=3)} if readouts == "trained" else {}
        W = 0.8 * rng.normal(size=(3, 2))
        losses.append(problem.population_loss(W=W, alpha=1.5, **more, **values))
    deviations = {"sigma_w": 0.8, "sigma_v": 1.2} if readouts == "trained" else {"sigma": 0.8}
    form = problem.closed_form("loss-at-init")
    mean = float(form.evaluate(D=2, N=3, alpha=1.5, **values, **deviations))
    error = np.std(losses) / np.sqrt(len(losses))
    assert abs(np.mean(losses) - mean) < 5 * error
    assert abs(np.mean(losses) - 1.5 * mean) > 5 * error  # the control


# Numbers of erf and relu, and bad input


def test_the_spectrum_of_relu_is_that_of_its_arc_cosine_kernel():
    """x.x'/4 alone has the eigenvalue 1/(4 D); the arcsine adds to it: (1/2 pi) <t asin t> D/D."""
    found = Problem("relu(h)").spectrum(D=3, sigma=1.0)
    # In three dimensions the cosine t is uniform: <t^2>/4 + <t^2 asin(t)>/(2 pi) with the norm.
    linear = next(s for s in found.spaces if s.degree == 1)
    assert abs(linear.value - 1 / 12) < 1e-12
    constant = next(s for s in found.spaces if s.degree == 0)
    assert abs(constant.value - 1 / 16) < 1e-12  # <t asin t>/(2 pi) = (pi/8)/(2 pi)
    total = sum(s.value * s.multiplicity for s in found.spaces) + found.tail
    # <K(x, x)> = <|x|^2>/2; at equal vectors the arcsine keeps half of the digits.
    assert abs(total - 1 / 2) < 1e-7
    assert found.error < 1e-12


@pytest.mark.parametrize("d", [1, 2, 5, 400])
def test_the_eigenvalues_of_erf_add_up_and_more_nodes_change_nothing(d):
    problem = Problem("erf(2 h)", "beta.x", readouts="trained")
    found = problem.spectrum(D=d, sigma_w=0.7, sigma_v=1.3, beta=np.ones(d), highest=20)
    assert found.error < 1e-8 * found.spaces[0].value
    assert found.tail >= 0
    assert abs(sum(s.power for s in found.spaces) + found.null - 1) < 1e-9
    assert all(s.degree <= 1 for s in found.spaces) or d > 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"D": 0, "c": 1.0, "sigma": 1.0}, "D = 0: must be a positive integer"),
        ({"D": 2, "sigma": 1.0}, "missing c"),
        ({"D": 2, "c": 1.0, "sigma": -1.0}, "sigma = -1.0"),
        ({"D": 2, "c": 1.0, "sigma": 1.0, "beta": [1.0]}, r"beta has shape \(1,\)"),
        ({"D": 2, "c": 1.0, "sigma": 1.0, "k": 2}, "k: no symbol"),
    ],
)
def test_bad_values_of_a_spectrum_are_one_clear_line(values, message):
    with pytest.raises(ValueError, match=message) as error:
        Problem("h + c h^3").spectrum(**values)
    assert "\n" not in str(error.value)


def test_a_scaled_relu_is_a_multiple():
    assert Problem("3 relu(2 h)").activation.text == "6 relu(h)"
    assert Problem("ReLU(-2 h)").activation.text == "2 relu(-h)"
    assert Problem(r"\max(h, 0)").activation.text == "relu(h)"


@pytest.mark.parametrize("activation", ["h + h^3", "He_4(h)", "erf(h)", "relu(h)"])
def test_eigenvalues_and_tail_add_up_to_the_trace_in_high_dimension(activation):
    # <K(x, x)> tends to <phi'(h)^2> as D grows, here computed on Gaussian nodes.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    h, masses = 10 * nodes, weights * np.exp(-50 * nodes**2)
    slopes = {
        "h + h^3": 1 + 3 * h**2,
        "He_4(h)": 4 * h**3 - 12 * h,
        "erf(h)": 2 / np.sqrt(np.pi) * np.exp(-(h**2)),
        "relu(h)": h > 0,
    }
    expected = masses @ slopes[activation] ** 2 / masses.sum()
    found = Problem(activation).spectrum(D=10**6, sigma=1.0)
    total = sum(s.value * s.multiplicity for s in found.spaces) + found.tail
    assert total == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("D", [1, 2, 3])
def test_the_power_of_a_square_by_harmonic_degree(D):
    """a^2/2 + a, a = beta.x of variance 1, is |x|^2/2, a, and the rest, which on a line is 0.

    Powers by hand: (1 + 2/D)/4 of |x|^2/2, 1 of a, and 2 |M|^2/4, |M|^2 = 1 - 1/D, of the rest.
    """
    problem = Problem("h + h^2/2", "(beta.x)^2/2 + beta.x")
    found = problem.spectrum(D=D, sigma=1.0, beta=np.sqrt(D) * np.eye(D)[0])
    powers = {space.degree: space.power for space in found.spaces}
    wanted = {0: (1 + 2 / D) / 4, 1: 1.0} | ({2: (1 - 1 / D) / 2} if D > 1 else {})
    assert powers == pytest.approx(wanted, rel=1e-12)
    assert found.null == 0


def test_the_lazy_curve_in_high_dimension_does_not_depend_on_the_highest_degree():
    at = {"P": 1000, "D": 1000, "sigma": 1.0, "beta": np.eye(1000)[0]}
    low, high = (Problem("erf(h)", "beta.x").learning_curve(highest=k, **at) for k in (4, 12))
    assert high == pytest.approx(low, rel=1e-6)


@pytest.mark.parametrize("readouts", ["fixed", "trained"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_kernel_of_relu_is_0_where_an_input_is_0(readouts, backend):
    """There w.x = 0: no weight moves f(0). Elsewhere it is the mean over drawn weights."""
    form = Problem("relu(h)", readouts=readouts).closed_form("ntk-at-init")
    deviations = {"sigma": 1.0} if readouts == "fixed" else {"sigma_w": 1.0, "sigma_v": 1.0}
    X = pytest.importorskip(backend).asarray([[0.0, 0.0], [1.0, 0.5]])
    K = form.function(backend)(x=X[:, None], x_prime=X[None], **deviations)
    assert K[0].tolist() == K[:, 0].tolist() == [0.0, 0.0]
    assert float(K[1, 1]) == pytest.approx(1.25 * (0.5 if readouts == "fixed" else 1.0))
    assert float(form.function(backend)(x=[0, 0], x_prime=[1, 0], **deviations)) == 0
    assert form.evaluate(x=[0, 0], x_prime=[1, 2], **dict.fromkeys(deviations, 1)) == 0
    assert set(form.subs(x=[0, 0]).terms.values()) == {0}


def test_the_share_of_a_neuron_is_its_readout_times_its_activation():
    found = share(Problem("h + h^3", readouts="trained"))
    assert equal(found, alpha * v * dot(w, x) * (1 + dot(w, x) ** 2) / N)


def test_the_lazy_loss_of_the_eigenspaces_and_beyond_adds_up():
    form = Problem("h + h^2/2").closed_form("lazy-learning-curve")
    parts = [e for name, e in form.terms.items() if name not in {"samples", "exact_from"}]
    point = {D: 3, dot(beta, beta): 2, form.symbols["kappa"]: 5, form.symbols["sigma"]: 1}
    assert sp.simplify((sp.Add(*parts) - form.expr).subs(point)) == 0


@pytest.mark.parametrize("d", [1, 2, 3, 7, 1000])
def test_radial_weights_at_a_number_are_the_symbolic_ones_there(d):
    for l in range(8 if d > 1 else 2):
        for symbolic, number in (
            (radial.harmonics(l), radial.harmonics(l, sp.Integer(d))),
            *((radial.weight(l, p), radial.weight(l, p, sp.Integer(d))) for p in (0, 1, 3)),
        ):
            assert number == symbolic.subs(D, d)
            assert number.is_Rational
