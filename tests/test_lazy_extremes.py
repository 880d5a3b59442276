"""Lazy predictions of steep, flat and graded activations: erf(1e5 h), h + 1e-7 h^3."""

import math

import mpmath
import numpy as np
import pytest
import sympy as sp

from lazyrich.cli import main
from lazyrich.theory import Problem, symbols
from lazyrich.theory.problem import kernel, radial, sectors
from lazyrich.theory.problem.lazy_prediction import predict_lazy

_ERF = Problem("erf(a h)", "beta.x")


def _limit_of_sign(D, l):
    """The one eigenvalue of degree l as a -> oo: K = (2/pi) cos/sin of the angle, D > 2."""

    def weight(angle):
        return mpmath.sin(angle) ** (D - 2)

    def zonal(angle):
        cosine = mpmath.cos(angle)
        at = mpmath.gegenbauer(l, (D - 2) / mpmath.mpf(2), cosine)
        return at / mpmath.gegenbauer(l, (D - 2) / mpmath.mpf(2), 1)

    def integrand(angle):
        return 2 / mpmath.pi * mpmath.cos(angle) / mpmath.sin(angle) * zonal(angle) * weight(angle)

    return float(
        mpmath.quad(integrand, [0, mpmath.pi / 2, mpmath.pi])
        / mpmath.quad(weight, [0, mpmath.pi / 2, mpmath.pi])
    )


@pytest.mark.parametrize(("D", "a", "rel"), [(3, 1e9, 1e-7), (4, 1e5, 1e-7), (4, 1e65, 1e-10)])
def test_the_spectrum_of_a_steep_erf_is_that_of_the_sign(D, a, rel):
    """Its distance from the limit is 1/a for D = 3 and log(a)/a^2 for D = 4."""
    spaces = _ERF.spectrum(D=D, a=a, sigma=1.0).spaces
    for l in (1, 3, 5):
        largest = max(space.value for space in spaces if space.degree == l)
        assert largest == pytest.approx(_limit_of_sign(D, l), rel=rel)


def test_a_high_degree_of_a_steep_erf_is_that_of_the_sign():
    """Degree 59 oscillates at angles of order 1, where nodes graded to 1e-65 are few."""
    spaces = _ERF.spectrum(D=4, a=1e65, sigma=1.0, highest=60).spaces
    found = max(space.value for space in spaces if space.degree == 59)
    assert found == pytest.approx(_limit_of_sign(4, 59), rel=1e-10)


@pytest.mark.parametrize(
    ("activation", "D"),
    [("h + h^3 + h^5", 10**5), ("h + h^3 + h^5", 10**7), ("h + h^3 + h^5 + h^7", 1000)],
)
def test_eigenvalues_far_below_rounding_have_the_product_that_the_determinant_says(activation, D):
    """The least is 1e-20 to 1e-29 of the largest: in floats it is off by 1e-5 to 70%."""
    problem = Problem(activation, "beta.x")
    spaces = problem.spectrum(D=D, sigma=1.0).spaces
    sigma = kernel.deviation(problem)
    for l, kappa in problem.coefficient_matrices.items():
        block = radial.block(l, kappa).subs({symbols.D: D, sigma: 1})
        found = [space.value for space in spaces if space.degree == l]
        assert len(found) == block.rows
        assert float(sp.Mul(*map(sp.Float, found)) / block.det()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("readouts", ["fixed", "trained"])
@pytest.mark.parametrize(("D", "a"), [(2, 30.0), (2, 1e5), (2, 1e65), (3, 1e3), (5, 1e4)])
def test_the_kernel_of_a_steep_erf_is_integrated_as_adaptively(D, a, readouts):
    """The trace of K^(2l) Z_l over angles at |x| = |x'| = 1, against mpmath's own subdivision."""
    from lazyrich.theory.problem import integrated

    problem = Problem("erf(a h)", "beta.x", readouts)
    scales = {"sigma": 1.0} if readouts == "fixed" else {"sigma_w": 1.0, "sigma_v": 1.0}
    numbers = {
        s: v for n, v in {"a": a, **scales}.items() for s in _symbols(problem) if s.name == n
    }
    formula = integrated.kernel_formula(problem, numbers)
    nodes = integrated._graded_nodes(D, 240, 1 / a)
    kernel = integrated._on_nodes(formula, np.ones(1), np.ones(1), *nodes[:2])
    found = float(kernel[0, 0] @ (nodes[2] * nodes[0]))

    with mpmath.workdps(40):
        A = mpmath.mpf(a) ** 2

        def exact(angle):  # <phi'(u) phi'(u')> by the determinant of 1 + 2 A C, by hand
            root = mpmath.sqrt(1 + 4 * A + 4 * A**2 * mpmath.sin(angle) ** 2)
            value = 4 * A / mpmath.pi * mpmath.cos(angle) / root
            if readouts == "trained":  # <erf erf> = (2/pi) asin(2 A c/(1 + 2 A))
                value += 2 / mpmath.pi * mpmath.atan(2 * A * mpmath.cos(angle) / root)
            return value * mpmath.cos(angle) * mpmath.sin(angle) ** (D - 2)

        steps = [mpmath.mpf(10) ** k for k in range(-round(math.log10(a)) - 2, 1)]
        ends = [0, *steps, mpmath.pi / 2]
        whole = mpmath.quad(lambda angle: mpmath.sin(angle) ** (D - 2), [0, mpmath.pi / 2])
        expected = float(mpmath.quad(exact, ends) / whole)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("a", [1e3, 1e5])
def test_in_the_plane_the_eigenvalues_of_a_steep_erf_add_up_as_its_elliptic_integrals_say(a):
    """Their sum in degree 1 is the mean of K(|x|, |x|) over angles, and |x|^2 ~ Exp(1)."""
    with mpmath.workdps(60):
        A = mpmath.mpf(a) ** 2

        def mean(q):
            B, C = 1 + 4 * A * q, 4 * A**2 * q**2
            n = C / B
            integral = ((n + 1) * mpmath.ellipk(-n) - mpmath.ellipe(-n)) / n / mpmath.sqrt(B)
            return mpmath.exp(-q) * 8 * A * q / mpmath.pi**2 * integral

        ends = [0, *(mpmath.mpf(10) ** k for k in range(-40, 2, 2)), 10, 30, 80]
        expected = float(mpmath.quad(mean, sorted(set(ends))))
    spaces = _ERF.spectrum(D=2, a=a, sigma=1.0).spaces
    found = sum(space.value for space in spaces if space.degree == 1)
    assert found == pytest.approx(expected, rel=1e-5)


def _symbols(problem):
    from lazyrich.theory.problem.kernel import deviation, sigma_v

    return [*problem.activation.symbols.values(), deviation(problem), sigma_v]


@pytest.mark.parametrize(
    ("D", "a"),
    [(4, 1e-60), (60, 1e-4), *((D, a) for D in (1, 2, 4, 60) for a in (1.0, 1e3, 1e5, 1e65))],
)
def test_the_floor_of_erf_is_the_even_part_of_the_target_however_steep(D, a):
    """<(b.x)^2> and the constant are even, 3/4 together; the odd part is learned in the end."""
    found = predict_lazy(Problem("erf(a h)", "beta.x + (beta.x)^2/2"), D=D, P=1, a=a)
    assert found.floor == pytest.approx(0.75, rel=1e-12)
    assert found.nothing == pytest.approx(1.75, rel=1e-12)
    assert all(0.75 <= loss < 20 for loss in found.curve.values())


def test_no_odd_function_lies_outside_of_the_kernel_of_a_steep_erf():
    """In the plane at a = 1e5: the kernel of degree 1 on six radii has a determinant above 0.

    Control: that of the sign has a single radial function, and a floor of 1 - pi/4.
    """
    radii, A = [mpmath.mpf(k) / 3 for k in range(1, 7)], mpmath.mpf(10) ** 10
    with mpmath.workdps(60):

        def entry(q, t):
            def integrand(u):  # angle = 1e-5 sinh u
                angle = mpmath.sinh(u) / 100000
                square = 1 + 2 * A * (q + t) + 4 * A**2 * q * t * mpmath.sin(angle) ** 2
                slope = mpmath.cos(angle) ** 2 / mpmath.sqrt(square)
                return 4 * A / mpmath.pi * mpmath.sqrt(q * t) * slope * mpmath.cosh(u) / 100000

            end = mpmath.asinh(50000 * mpmath.pi)
            return mpmath.quad(integrand, mpmath.linspace(0, end, 13))

        squares = [radius**2 for radius in radii]
        table = mpmath.matrix(6, 6)
        for i, q in enumerate(squares):
            for j in range(i + 1):
                table[i, j] = table[j, i] = entry(q, squares[j])
        values = sorted(mpmath.eigsy(table, eigvals_only=True))
        assert values[0] > mpmath.mpf(10) ** -20 * values[-1]
    found = predict_lazy(_ERF, D=2, P=20, a=1e5)
    assert found.floor == 0
    # The limit's functions leave 1 - <|x|>^2 = 1 - pi/4: that is no floor at any a.
    assert found.curve[40] > 1 - math.pi / 4


@pytest.mark.parametrize(("D", "degree"), [(1, 2), (2, 3), (4, 4), (100, 4), (10**5, 4), (3, 14)])
def test_the_floor_of_relu_needs_no_eigenvalue(D, degree):
    """At D = 10^5 the eigenvalue of degree 4 is 1e-20 of the largest: it counts all the same."""

    def mean(k):  # <|x|^k>
        half = mpmath.mpf(D) / 2
        return float(mpmath.gammaprod([half + mpmath.mpf(k) / 2], [half]) / half ** (k / 2))

    found = predict_lazy(Problem("relu(h)", f"(beta.x)^{degree}"), D=D, P=3)
    with mpmath.workdps(40):
        expected = _left_by_relu(D, degree, mean)
    assert found.floor == pytest.approx(expected, rel=1e-8, abs=1e-8 * found.nothing)


def _left_by_relu(D, degree, mean):
    """<y^2> less the part on |x| Y_l, from the zonal expansion of cos^degree by quadrature."""
    if D == 1:
        return 3 - mean(3) ** 2
    angle = (mpmath.mpf(D) - 2) / 2
    share = 0.0
    for l in range(degree % 2, degree + 1, 2):
        if l % 2 and l > 1:
            continue
        share += _zonal_share(D, degree, l, angle)
    radial = mean(degree + 1) ** 2
    return mpmath.mpf(D) ** degree * (
        _cosine_moment(D, 2 * degree) * mean(2 * degree) - share * radial
    )


def _cosine_moment(D, n):
    """<cos^n> on the sphere, n even."""
    return mpmath.rf(mpmath.mpf(1) / 2, n // 2) / mpmath.rf(mpmath.mpf(D) / 2, n // 2)


def _zonal_share(D, degree, l, index):
    """<cos^degree Y_l>^2 for the normalised zonal Y_l, from its power series."""
    if index == 0:
        coefficients = mpmath.taylor(lambda x: mpmath.chebyt(l, x), 0, l)
    else:
        coefficients = mpmath.taylor(lambda x: mpmath.gegenbauer(l, index, x), 0, l)
    terms = [(k, c) for k, c in enumerate(coefficients) if (k - l) % 2 == 0]
    overlap = sum(c * _cosine_moment(D, k + degree) for k, c in terms)
    norm = sum(c * d * _cosine_moment(D, j + k) for j, c in terms for k, d in terms)
    return overlap**2 / norm


@pytest.mark.parametrize("c", [1e-3, 1e-7, 1e-60, 1e60])
def test_a_small_coefficient_counts_as_any_other(c):
    """As c falls, the eigenvalues grow apart and the curve of h + c h^3 tends to a limit."""
    found = predict_lazy(Problem("h + c*h^3", "(beta.x)^3"), D=4, P=30, c=c)
    assert found.exact_from == 24
    assert found.floor == found.curve[30] == found.curve[60] == 0
    if c < 1e-3:
        like = predict_lazy(Problem("h + c*h^3", "(beta.x)^3"), D=4, P=30, c=1e-5)
        assert found.curve[15] == pytest.approx(like.curve[15], rel=1e-4)


def test_more_digits_give_the_same_eigenvalues():
    """Where floating point suffices."""
    problem = Problem("h + c*h^3 + c*h^5", "(beta.x)^3")
    numbers = {problem.activation.symbols["c"]: 0.3}
    numbers |= {s: 1.0 for s in problem.coefficient_matrices[1].free_symbols if s.name == "sigma"}
    plain = sectors.exact_sectors(problem, 3, numbers)
    for l, kappa in problem.coefficient_matrices.items():
        found = sectors.radial.reached(kappa)
        point = {s: sectors.sp.Rational(str(v)) for s, v in numbers.items()}
        exact = kappa.extract(found, found).subs({sectors._D: 3, **point})
        rank = sectors.radial.rank(exact)
        again = sectors._in_digits(exact, found, l, 3, max(plain[l][1].products), rank)
        assert again.values == pytest.approx(plain[l][1].values, rel=1e-9, abs=1e-12)
        for i, product in again.products.items():
            assert abs(product) == pytest.approx(abs(plain[l][1].products[i]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("power", [7, 8, 9, 10, 11, 12, 60])
def test_the_two_eigenvalues_of_degree_1_have_the_determinant_and_trace_of_their_block(power):
    cubic = Problem("h + c*h^3")
    c = float(f"1e-{power}")
    values = [s.value for s in cubic.spectrum(D=3, c=c, sigma=1.0).spaces if s.degree == 1]
    block = cubic.closed_form("ntk-eigenvalues").terms["harmonics_1"][0]
    at = {"D": 3, "sigma": 1, "c": sectors.sp.Rational(1, 10**power)}
    exact = (
        sectors.sp.Matrix([list(row) for row in block])
        .subs(at)
        .subs({s: at[s.name] for row in block for e in row for s in e.free_symbols})
    )
    assert len(values) == 2
    assert math.prod(values) == pytest.approx(float(exact.det()), rel=1e-12)
    assert sum(values) == pytest.approx(float(exact.trace()), rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "constant", "message"),
    [
        ("erf(a h)", "a=1e160", "a = 1e+160: the eigenvalues of the kernel of erf(a h) leave the"),
        ("erf(a h)", "a=1e-160", "a = 1e-160: the eigenvalues of"),
        ("a relu(h)", "a=1e160", "a = 1e+160: the eigenvalues of"),
        ("a relu(h)", "a=1e-160", "a = 1e-160: the eigenvalues of"),
        ("h + c h^3", "c=1e160", "c = 1e+160: the eigenvalues of"),
        ("h + c h^3", "c=1e-160", "c = 1e-160: the eigenvalues of"),
        ("h", "beta=[1e200,0]", "beta = [1e+200, 0.0]: the mean square of the labels is beyond"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_leaves_the_range_of_floating_point_is_one_line_with_its_name(
    activation, constant, message, capsys
):
    asked = ["predict", "--activation", activation, "--target", "beta.x", "--D", "2", "--P", "9"]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--constant", constant])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert "warning" not in said.err


@pytest.mark.parametrize(("activation", "a"), [("erf(a h)", 0.0), ("a relu(h)", 0.0)])
def test_an_activation_of_0_has_a_kernel_without_functions(activation, a):
    found = predict_lazy(Problem(activation, "beta.x"), D=2, P=3, a=a)
    assert found.exact_from == 0
    assert Problem(activation, "beta.x").spectrum(D=2, a=a, sigma=1.0).rank == 0
    assert [found.floor, found.curve[3]] == pytest.approx([1.0, 1.0], rel=1e-14)


def test_a_loss_that_depends_on_eigenvalues_below_rounding_is_refused():
    """With noise, and more samples than functions that can be told from 0."""
    with pytest.raises(ValueError, match=r"P = 500: must be below \d+: the kernel has more"):
        Problem("erf(h)", "beta.x").learning_curve(P=500, D=1, noise=0.5, sigma=1.0, beta=[1.0])


def test_a_coefficient_of_0_leaves_no_eigenvalues_of_rounding():
    spaces = Problem("h + c*h^3").spectrum(D=3, c=0.0, sigma=1.0).spaces
    assert [(s.degree, s.multiplicity) for s in spaces] == [(1, 3)]


def test_a_target_of_degree_above_12_has_its_own_degree_in_the_curve():
    """Control: without the kernel's functions of degree 14 the curve is another one."""
    problem = Problem("relu(h)", "(beta.x)^14")
    numbers = {"D": 3, "sigma": 1.0, "beta": [1.0, 0.0, 0.0]}
    curve = problem.learning_curve(P=[4, 2000], **numbers)
    assert list(curve) == list(problem.learning_curve(P=[4, 2000], highest=14, **numbers))
    spaces = problem.spectrum(highest=14, **numbers).spaces
    assert sum(space.power for space in spaces if space.degree == 14) > 0
    assert not any(s.degree > 12 for s in problem.spectrum(highest=12, **numbers).spaces)
