"""Generated array functions: the same values as exact evaluation, on NumPy and torch, batched."""

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from sympy import MatrixSymbol, Rational, Trace

from lazyrich import theory
from lazyrich.theory import generate
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.symbols import A, D, I, M, N, alpha, beta, epsilon, u
from lazyrich.theory.wick import dot, form
from lazyrich.verify.coordinates import Coordinates

from .expressions import K, L, dimensions, polynomials, put, values

EPS = np.finfo(float).eps
NAMES = sorted(theory.names())
free_of_x = polynomials(vectors=(beta, u))


def as_arrays(found):
    """The same values for array functions: vectors without their last axis of length 1."""
    arrays = {k: np.array(v, dtype=float) for k, v in found.items() if isinstance(v, list)}
    vectors = {k: arrays[k][:, 0] for k in ("beta", "u") if k in arrays}
    numbers = {k: float(v) for k, v in found.items() if k not in arrays}
    return numbers | arrays | vectors


def wanted_by(expr, found):
    """The values that ``expr`` depends on."""
    return {k: v for k, v in found.items() if k in generate.arguments(expr)}


def call(expr, backend, found):
    """The generated function at these values, as a float or NumPy array."""
    return np.asarray(generate.function(expr, backend)(**wanted_by(expr, found)))


def magnitude(expr, found):
    """The sum of the terms of ``expr`` in absolute value, every entry in absolute value."""
    positive = {k: np.abs(v) for k, v in as_arrays(found).items()}
    terms = sp.Add.make_args(sp.expand(expr))
    return sum(abs(call(term, "numpy", positive)) for term in terms)


def assert_equals_exact(expr, found, exact):
    # A term has fewer than 100 roundings at d <= 4, each relative to the size of that term.
    bound = 100 * EPS * magnitude(expr, found)
    for backend in ("numpy", "torch"):
        assert abs(call(expr, backend, as_arrays(found)) - exact) <= bound


@given(expr=free_of_x, d=dimensions, data=st.data())
def test_both_backends_equal_exact_arithmetic(expr, d, data):
    found = data.draw(values(d))
    at = Coordinates(d)
    exact = at.interpret(expr, **put(at, found))
    assert_equals_exact(expr, {**found, "D": d}, float(sp.Rational(str(exact))))


@given(expr=free_of_x, d=dimensions, data=st.data())
def test_evaluate_is_exact(expr, d, data):
    found = data.draw(values(d))
    at = Coordinates(d)
    closed_form = ClosedForm("test", "a test", expr, [], "", "")
    exact = at.interpret(expr, **put(at, found))
    assert closed_form.evaluate(**wanted_by(expr, {**found, "D": d})) == sp.Rational(str(exact))


def test_a_wrong_function_is_caught():
    found = {"A": [[1, 2], [2, 5]], "beta": [[1], [3]], "D": 2}
    assert_equals_exact(form(beta, A, beta), found, 58.0)
    with pytest.raises(AssertionError):
        assert_equals_exact(form(beta, A, beta) * (1 + Rational(1, 10**12)), found, 58.0)
    with pytest.raises(AssertionError):
        assert_equals_exact(form(beta, A * A, beta), found, 58.0)


# Every closed form of the catalogue


def exact_values(closed_form, point):
    """Whole and parts, exactly."""
    return {"expr": closed_form.evaluate(**point), **closed_form.evaluate_terms(**point)}


def a_point(closed_form, d):
    """Values for all arguments where every part is a real number, and these values of the parts."""
    for seed in range(200):
        point = _random_point(closed_form, d, seed)
        exact = exact_values(closed_form, point)
        values = [sp.sympify(number) for number in _entries(exact)]
        if all(value.is_finite is not False and value.is_real is not False for value in values):
            return point, exact
    raise AssertionError(f"{closed_form.name}: no real value at 200 random points")


def _entries(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | sp.Tuple | sp.MatrixBase):
        return [entry for item in value for entry in _entries(item)]
    return [value]


def _random_point(closed_form, d, seed):
    """Rational values for all arguments: integers positive, matrices positive definite."""
    random = np.random.default_rng(seed)
    scale = (5, 2, 20)[seed % 3]
    parts = sp.Tuple(*_leaves([closed_form.expr, *closed_form.terms.values()]))
    symbols = generate.arguments(parts)
    sizes = {s: int(random.integers(2, 5)) for s in symbols.values() if s.is_integer} | {D: d}
    point = {}
    for name, symbol in symbols.items():
        if isinstance(symbol, sp.Symbol):
            point[name] = sizes.get(symbol, Rational(int(random.integers(1, 9)), scale))
            continue
        rows, columns = (sizes.get(size, size) for size in symbol.shape)
        entries = random.integers(-4, 5, size=(int(rows), int(columns)))
        table = sp.Matrix(entries.tolist()) / 3
        if rows == columns and symbol.shape[0] == symbol.shape[1]:
            table = table * table.T + sp.eye(int(rows))
        point[name] = list(table) if columns == 1 and symbol.shape[1] == 1 else table.tolist()
    return point


def _leaves(part):
    if isinstance(part, list | tuple | sp.Tuple):
        return [leaf for item in part for leaf in _leaves(item)]
    return [part]


def as_floats(point):
    return {k: np.array(v, dtype=float) if isinstance(v, list) else v for k, v in point.items()}


def numbers(value):
    """Every number in a value, a tuple of values, or a matrix, in one list."""
    if isinstance(value, list | tuple | sp.Tuple):
        return [n for item in value for n in numbers(item)]
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    entries = list(value) if isinstance(value, sp.MatrixBase) else np.ravel(value)
    return [float(entry) for entry in entries]


def parts_of(closed_form):
    return {"expr": closed_form.expr, **closed_form.terms}


# At D = 1 there are no traceless functions, of which one part of this form is the share.
SINGULAR_AT_1 = {"lazy-sample-size"}


CASES = [(n, d) for n in NAMES for d in (1, 2) if d > 1 or n not in SINGULAR_AT_1]


@pytest.mark.parametrize(("name", "d"), CASES)
def test_functions_of_every_closed_form_equal_its_exact_value(name, d):
    closed_form = theory.closed_form(name)
    point, exact = a_point(closed_form, d)
    for backend in ("numpy", "torch"):
        functions = {"expr": closed_form.function(backend), **closed_form.functions(backend)}
        for part, function in functions.items():
            leaves = sp.Tuple(*_leaves(parts_of(closed_form)[part]))
            found = numbers(function(**wanted_by(leaves, as_floats(point))))
            # Values and their terms are of order 1 to 10^4 here: 1e-10 of the largest leaves
            # six digits for cancellation, and a wrong formula is off by far more.
            scale = max([1.0, *(abs(n) for n in numbers(exact[part]) if np.isfinite(n))])
            np.testing.assert_allclose(found, numbers(exact[part]), rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_torch_gradients_are_those_of_finite_differences(name):
    closed_form = theory.closed_form(name)
    expr = sp.Tuple(*_leaves([closed_form.expr]))
    function = generate.function(expr, "torch")
    point, _ = a_point(closed_form, 2)
    wanted = generate.arguments(expr)
    point = wanted_by(expr, point)
    fixed = {k: v for k, v in point.items() if wanted[k].is_integer}
    moving = {
        k: torch.tensor(np.array(v, dtype=float), requires_grad=True)
        for k, v in point.items()
        if k not in fixed
    }
    if not moving:
        pytest.skip("depends on integers only")

    def differentiable(*tensors):
        outputs = function(**fixed, **dict(zip(moving, tensors, strict=True)))
        return tuple(output for output in outputs if output.requires_grad)

    assert torch.autograd.gradcheck(differentiable, tuple(moving.values()))


# Batches, types, constants

EXPR = alpha * form(beta, A * A, beta) / D + Trace(A) + epsilon * dot(u, beta) ** 2
MATRIX = epsilon * A + I - alpha * beta * u.T
VECTOR = alpha * A * beta - u


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("expr", [EXPR, MATRIX, VECTOR], ids=["scalar", "matrix", "vector"])
def test_leading_dimensions_broadcast(expr, backend):
    random = np.random.default_rng(0)
    batch = {
        "A": (lambda half: half + half.mT)(random.normal(size=(4, 1, 3, 3))),
        "alpha": random.normal(size=(5,)),
        "beta": random.normal(size=(4, 5, 3)),
        "epsilon": 0.5,
        "u": random.normal(size=3),
    }
    batch = {k: v for k, v in batch.items() if k in generate.arguments(expr)}
    function = generate.function(expr, backend)
    whole = np.asarray(function(**batch))
    assert whole.shape[:2] == (4, 5)
    for i in range(4):
        for j in range(5):
            one = batch | {
                "A": batch["A"][i, 0],
                "alpha": batch["alpha"][j],
                "beta": batch["beta"][i, j],
            }
            single = np.asarray(function(**one))
            assert whole[i, j].shape == single.shape == ((), (3,), (3, 3))[single.ndim]
            np.testing.assert_allclose(whole[i, j], single, rtol=1e-13, atol=1e-13)


def test_floating_types_stay_and_integers_become_float64():
    function = generate.function(EXPR, "torch")
    for dtype in (torch.float32, torch.float64):
        kind = {"dtype": dtype}
        value = function(
            A=torch.eye(2, **kind), alpha=1.0, beta=torch.ones(2, **kind), epsilon=1, u=[0.5, 1.0]
        )
        assert value.dtype == dtype
    # [0.5, 0.5] together with an integer tensor must not be rounded to [0, 0].
    value = generate.function(dot(u, beta), "torch")(beta=torch.tensor([1, 2]), u=[0.5, 0.5])
    assert value == 1.5
    assert value.dtype == torch.float64
    assert generate.function(dot(u, beta), "torch")(beta=[1, 2], u=[1, 1]).dtype == torch.float64


@pytest.mark.parametrize(
    "expr", [sp.Integer(2), D, 1 / D, I, sp.ZeroMatrix(D, 1), sp.ZeroMatrix(D, D)]
)
def test_constants_come_back_as_arrays(expr):
    for backend, kind in (("numpy", np.ndarray | np.floating), ("torch", torch.Tensor)):
        sizes = wanted_by(expr, {"D": 3})
        shape = {(): (), (D, 1): (3,), (D, D): (3, 3)}[tuple(getattr(expr, "shape", ()))]
        value = generate.function(expr, backend)(**sizes)
        assert isinstance(value, kind)
        assert tuple(value.shape) == shape


def test_constants_take_the_device_of_the_arguments():
    """On torch's "meta" device, which has shapes and no data, and exists on every machine."""
    value = generate.function(I + A, "torch")(A=torch.empty(3, 3, device="meta"))
    assert value.device.type == "meta"
    constant = generate.function(sp.Tuple(Trace(A), sp.Integer(2)), "torch")
    assert constant(A=torch.empty(3, 3, device="meta"))[1].device.type == "meta"


def test_inverses_and_diagonal_matrices():
    r = MatrixSymbol("r", D, 1)
    expr = form(beta, A.I * sp.DiagMatrix(r), beta)
    given_ = {"A": [[2.0, 0.0], [0.0, 4.0]], "beta": [1.0, 1.0], "r": [3.0, 5.0]}
    for backend in ("numpy", "torch"):
        assert float(generate.function(expr, backend)(**given_)) == 3 / 2 + 5 / 4


# Bad input, one clear line

GOOD = {
    "A": [[1.0, 0.0], [0.0, 1.0]],
    "alpha": 1.0,
    "beta": [1.0, 2.0],
    "epsilon": 0.5,
    "u": [1, 1],
}
BAD = {
    "unknown": ({"betta": [1, 2]}, "did you mean 'beta'"),
    "a number for a vector": ({"beta": 3.0}, r"beta has shape \(\): must be \(..., 2\)"),
    "a vector for a matrix": ({"A": [1.0, 2.0]}, r"A has shape \(2,\)"),
    "not square": ({"A": [[1.0, 2.0]]}, r"A has shape \(1, 2\)"),
    "of another size": ({"beta": [1, 2, 3]}, r"beta has shape \(3,\): must be \(..., 2\)"),
    "against D": ({"D": 5}, r"must be \(..., 5, 5\)"),
    "ragged": ({"A": [[1.0, 2.0], [3.0]]}, "A = .* must be real numbers in equal rows"),
    "text": ({"alpha": "much"}, "alpha = 'much': must be real numbers"),
    "complex": ({"alpha": 1j}, "alpha = 1j: must be real numbers"),
    "batches": ({"alpha": [1.0, 2.0], "beta": [[1.0, 1.0]] * 3}, "beta has batch shape .3,."),
}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("case", BAD)
def test_functions_refuse_bad_input_in_one_line(case, backend):
    changed, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        generate.function(EXPR, backend)(**GOOD | changed)
    assert "\n" not in str(error.value)


BAD_EVALUATE = {
    "unknown": ({"betta": [1, 2]}, "did you mean 'beta'"),
    "two columns": ({"beta": [[1, 2], [3, 4]]}, "beta = .* must be a list of numbers"),
    "a number": ({"beta": 3}, "beta = 3: must be a list of numbers"),
    "a batch": ({"A": [[[1, 0], [0, 1]]]}, "A = .* must be a list of equal rows"),
    "ragged": ({"A": [[1, 0], [0]]}, "A = .* must be a list of equal rows"),
    "of another size": ({"A": [[1]]}, r"beta has shape \(2,\)"),
    "text": ({"alpha": "2 +"}, "alpha = '2 .': must be a real number other than 0"),
    "alpha zero": ({"alpha": 0}, "alpha = 0: must be a real number other than 0"),
    "D negative": ({"D": -1}, "D = -1: must be a positive whole number"),
    "D broken": ({"D": Rational(3, 2)}, "D = 3/2: must be a positive whole number"),
    "a complex number": ({"epsilon": sp.I}, "epsilon = I: must be a real number"),
}


@pytest.mark.parametrize("case", BAD_EVALUATE)
def test_evaluate_refuses_bad_input_in_one_line(case):
    changed, message = BAD_EVALUATE[case]
    closed_form = ClosedForm("test", "a test", EXPR, [], "", "")
    with pytest.raises(ValueError, match=message) as error:
        closed_form.evaluate(**GOOD | changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_argument_is_named(missing):
    rest = {k: v for k, v in GOOD.items() if k != missing}
    for call_ in (generate.function(EXPR, "numpy"), ClosedForm("", "", EXPR, [], "", "").evaluate):
        with pytest.raises(ValueError, match=f"missing argument {missing}"):
            call_(**rest)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend = 'jax': Allowed: numpy, torch"):
        generate.function(EXPR, "jax")


def test_a_float_comes_out_where_a_float_goes_in():
    closed_form = ClosedForm("test", "a test", alpha * dot(beta, beta) / N, [], "", "")
    assert closed_form.evaluate(alpha=Rational(1, 2), N=3, beta=[1, 2]) == Rational(5, 6)
    value = closed_form.evaluate(alpha=0.5, N=3, beta=[1, 2])
    assert isinstance(value, float)
    assert value == pytest.approx(5 / 6, rel=4 * EPS)


def test_arguments_of_the_terms_alone_may_be_left_out():
    closed_form = ClosedForm("test", "a test", 1 / D, [], "", "", terms={"other": alpha * D})
    assert closed_form.evaluate(D=3) == closed_form.evaluate(D=3, alpha=2) == Rational(1, 3)
    assert closed_form.evaluate_terms(D=3, alpha=2) == {"other": 6}
    with pytest.raises(ValueError, match="missing argument alpha"):
        closed_form.evaluate_terms(D=3)


def test_evaluate_takes_columns_matrices_arrays_and_tensors():
    closed_form = ClosedForm("test", "a test", form(beta, M, beta), [], "", "")
    for wrap in (sp.Matrix, np.array, torch.tensor, list):
        assert closed_form.evaluate(beta=wrap([1, 2]), M=wrap([[1, 0], [0, 3]])) == 13


def test_nonsymmetric_words_are_not_transposed():
    expr = Trace(K * L * K.T) + form(beta, K * L.T, u)
    found = {"K": [[1, 2], [3, 4]], "L": [[0, 1], [5, 2]], "beta": [[1], [2]], "u": [[1], [-1]]}
    at = Coordinates(2)
    assert_equals_exact(expr, {**found, "D": 2}, float(str(at.interpret(expr, **put(at, found)))))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("power", [62, 63, 64])
def test_whole_numbers_of_any_size(power, backend):
    """From 2^63 on they are written as floats, which have them exactly."""
    array = {"numpy": np.array, "torch": torch.tensor}[backend]
    found = generate.function(alpha * 2**power, backend)(alpha=array([0.5, 1.0]))
    assert found.tolist() == [2.0 ** (power - 1), 2.0**power]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_larger_of_0_and_a_value_alone_has_a_function(backend):
    function = generate.function(sp.Max(0, alpha), backend)
    assert [float(function(alpha=value)) for value in (-2.0, 3.0)] == [0, 3]
    for other in (sp.Max(1, alpha), sp.Max(alpha, epsilon)):
        with pytest.raises(ValueError, match=r"only max\(0, \.\.\.\) has an array function"):
            generate.function(other, backend)
