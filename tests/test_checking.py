"""``check`` says of formulas what the ledger says, and equal only where it is proved."""

import json

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import cli, theory, verify
from lazyrich.theory import grammar
from lazyrich.theory.checking import points, text
from lazyrich.theory.checking.compare import Plain, decide, vanishing
from lazyrich.theory.printing import latex
from lazyrich.theory.symbols import D, M, beta, wbar
from lazyrich.theory.wick import dot, form
from tests.gaussian_formulas import formulas

UNIT = {"sigma": 1}  # the paper's initial weights
K0 = "(x.x_prime + epsilon^2 (x.x_prime)^2)"  # its kernel at initialisation, eq. (10)
READOUTS = {"sigma_v": 1, "sigma_w": 1}
EQ_6 = (
    "1/4 * (|beta|^2/D - alpha epsilon/D tr(M))^2"
    " + tr((alpha epsilon M - beta beta')^2)/(2 D^2) + alpha^2 |wbar|^2/D"
)
NTK = "x.x_prime + epsilon x.x_prime wbar.(x + x_prime) + epsilon^2 x.x_prime x'M x_prime"
EQ_20 = "epsilon^2/D^4 |beta|^4 tr(M) + 8 epsilon^2/D^4 beta'M beta |beta|^2"
FIRST_LINE = "(|beta|^2 (|beta|^2 tr(M) + 2 beta'M beta)/D^2 + 2 (3 |beta|^2 beta'M beta)/D^2)"
EQ_14 = "2 epsilon^2/D^2 ((u.x_prime)^2 - |u|^2 |x_prime|^2/D)"
EQ_15 = "2 epsilon^2/D^2 ((u.x_prime)(v.x_prime) - u.v |x_prime|^2/D)"
EQ_23 = "2 x.x_prime + (3 epsilon^2/2)(x.x_prime)^2 + epsilon^2/4 * |x|^2 |x_prime|^2"
MINIMISER, POTENTIAL = "test-loss-minimiser", "diagonal-net-potential"
NORMALISED = "ntk-at-init.ntk_normalised"
X = {"over": ("x",)}

# (claim of the ledger, what is checked, the printed formula, options, what is off in words)
MISPRINTS = [
    ("eq-5", "ntk", NTK, {}, "a factor alpha^2 is missing"),
    ("eq-18", "ntk.ntk", NTK, {}, "a factor N is too much"),
    (
        "sec-5-lambda-quadr",
        "ntk-eigenvalues.traceless",
        "2 epsilon D^-2",
        {"at": UNIT},
        "a factor epsilon is missing",
    ),
    (
        "sec-11.1-lambda-first-term",
        "ntk-eigenvalues.traceless",
        "2 epsilon/D^2",
        {"at": UNIT},
        "a factor epsilon is missing",
    ),
    (
        "sec-5-samples",
        "lazy-sample-size.inverse_eigenvalue",
        "D^2/(2 epsilon)",
        {"at": UNIT},
        "a factor epsilon is too much",
    ),
    (
        "sec-11.1-lambda-radial",
        "ntk-eigenvalues.radial",
        "1/D (1 + 2/D)",
        {"at": UNIT},
        "a factor epsilon^2 is missing",
    ),
    (
        "sec-11.1-lambda-second-term",
        "ntk-eigenvalues.radial",
        "(1/D)(1 + 2/D)",
        {"at": UNIT},
        "a factor epsilon^2 is missing",
    ),
    (
        "eq-16",
        f"expect: {K0} |x|^2",
        "1/D (1 + 2/D) |x_prime|^2",
        X,
        "a factor epsilon^2 is missing",
    ),
    (
        "eq-13",
        f"expect: {K0} (u.x)^2",
        "2 epsilon^2/D^2 (u.x)^2 + epsilon^2/D^2 |x_prime|^2 |u|^2",
        X,
        "in the term 2 epsilon^2 (u.x)^2/D^2",
    ),
    ("eq-20", "kernel-alignment.numerator", EQ_20, {}, "too large by the factor 4"),
    (
        "eq-20-first-line",
        "kernel-alignment.numerator",
        f"epsilon^2/D^2 {FIRST_LINE}",
        {},
        "too large by the factor 4",
    ),
    ("lyu-thm-3.4-scale", "early-margin.Z", "1/gamma log(alpha^c/lamda)", {}, ""),
    (
        "sec-5-sample-size",
        "lazy-sample-size.exact",
        "D^2/(2 epsilon)",
        {},
        "the right form does not depend on epsilon",
    ),
]
CONFIRMED = [
    ("eq-3", "network-function", "alpha wbar.x + alpha epsilon/2 x'M x", {}),
    ("eq-21", "readout-network-function", "α w̄·x + (α ε/2) x'Mx", {}),
    ("eq-6", "test-loss", EQ_6, {}),
    ("eq-10", "ntk-at-init.ntk_normalised", "x.x_prime + epsilon^2 (x.x_prime)^2", {"at": UNIT}),
    ("sec-5-lambda-lin", "ntk-eigenvalues.linear", "1/D", {}),
    ("sec-5.3-minimiser", "test-loss-minimiser", "beta beta'/(alpha epsilon)", {}),
    ("eq-12", f"expect: {K0} u.x", "u.x_prime/D", X),
    ("eq-13-radial", f"expect: {K0} |x|^2", "(epsilon^2/D)(1 + 2/D) |x_prime|^2", X),
    ("eq-14", f"expect: {K0} ((u.x)^2 - |u|^2 |x|^2/D)", EQ_14, X),
    ("eq-15", f"expect: {K0} ((u.x)(v.x) - u.v |x|^2/D)", EQ_15, X),
    ("eq-11", "ntk-eigenvalues.traceless.multiplicity", "D(D + 1)/2 - 1", {}),
    ("eq-23", "readout-ntk-at-init.ntk_normalised", EQ_23, {"at": READOUTS}),
    ("eq-19", "kernel-alignment.target_square", "3 |beta|^4/(4 D^2)", {}),
    ("eq-17", "target-decomposition.traceless", "(|beta|^4 - |beta|^4/D)/(2 D^2)", {}),
    ("sec-11.1-infinite-width", NORMALISED, "x.x_prime (1 + (epsilon sigma)^2 x.x_prime)", {}),
    ("sec-5.3-minimiser-centred", f"{MINIMISER}.M_centred", "M_0 + beta beta'/(alpha epsilon)", {}),
    ("sec-5.3-minimiser-centred", f"{MINIMISER}.wbar_centred", "wbar_0", {}),
    ("lyu-law-1", "diagonal-net-invariant.two_layers", "a^2", {}),
    ("lyu-law-1", "diagonal-net-invariant.deep", "2 a^(2 - L)", {}),
    ("lyu-law-1", "matrix-model-invariants.product", "a^2 I", {}),
    ("lyu-law-1", "matrix-model-invariants.norm", "sqrt(w^2 + 4 a^4)", {}),
    ("lyu-law-2", "diagonal-net-weights.two_layers", "2 a^2 sinh(z)", {}),
    ("lyu-law-3", f"{POTENTIAL}.two_layers", "w asinh(w/(2 a^2)) - sqrt(w^2 + 4 a^4)", {}),
    ("lyu-law-5", "regularised-oracles.early_two_layers", "lamda/(8 a^2) w^2", {}),
    ("lyu-law-5", "regularised-oracles.late_two_layers", "lamda/2 * abs_w", {}),
]  # fmt: skip
# The right form of each misprint, as the ledger has it.
CORRECTED = [
    ("eq-5", "ntk", f"alpha^2/N * ({NTK})", {}),
    ("eq-18", "ntk", f"(alpha^2/N)({NTK})", {}),
    ("sec-5-lambda-quadr", "ntk-eigenvalues.traceless", "2 epsilon^2 D^-2", {"at": UNIT}),
    ("sec-5-samples", "lazy-sample-size.inverse_eigenvalue", "D^2/(2 epsilon^2)", {"at": UNIT}),
    ("sec-11.1-lambda-radial", "ntk-eigenvalues.radial", "epsilon^2/D (1 + 2/D)", {"at": UNIT}),
    ("eq-16", f"expect: {K0} |x|^2", "epsilon^2/D (1 + 2/D) |x_prime|^2", X),
    (
        "eq-13",
        f"expect: {K0} (u.x)^2",
        "2 epsilon^2/D^2 (u.x_prime)^2 + epsilon^2/D^2 |x_prime|^2 |u|^2",
        X,
    ),
    ("eq-20", "kernel-alignment.numerator", f"({EQ_20})/4", {}),
    ("eq-20-first-line", "kernel-alignment.numerator", f"epsilon^2/(4 D^2) {FIRST_LINE}", {}),
    ("lyu-thm-3.4-scale", "early-margin.Z", "1/gamma log(alpha^(2(L - 1)c)/lamda)", {}),
    ("sec-5-sample-size", "lazy-sample-size.exact", "1/2 D(D + 3)", {}),
]


@pytest.mark.parametrize(("claim", "name", "formula", "options", "word"), MISPRINTS)
def test_misprints_are_found_as_the_ledger_finds_them(claim, name, formula, options, word):
    assert verify.claims()[claim].verdict.name in ("MISPRINT", "REFUTED")
    found = theory.check(name, formula, **options)
    assert found.equal is False
    assert not found
    assert any(word in said for said in found.words) or not word
    assert found.counterexample is not None


@pytest.mark.parametrize(("claim", "name", "formula", "options"), CONFIRMED)
def test_right_formulas_are_equal_as_the_ledger_says(claim, name, formula, options):
    assert verify.claims()[claim].verdict.name in ("CONFIRMED", "ASSUMING")
    assert theory.check(name, formula, **options)


@pytest.mark.parametrize(("claim", "name", "formula", "options"), CORRECTED)
def test_the_right_form_of_a_misprint_is_equal(claim, name, formula, options):
    assert claim in {row[0] for row in MISPRINTS}
    assert theory.check(name, formula, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in theory.names() if not n.startswith("hermite-4")])
def test_every_term_equals_itself_written_out_and_not_its_double(name):
    """Each term as text is equal to itself; twice the first one is not."""
    form = theory.closed_form(name)
    formulas_only = {
        term: value
        for term, value in form.terms.items()
        if isinstance(value, sp.Expr | sp.MatrixExpr) and not isinstance(value, sp.Piecewise)
    }
    for i, (term, value) in enumerate(formulas_only.items()):
        text = grammar.write(value)
        found = theory.check(f"{name}.{term}", text)
        assert found.equal is True, (term, text, found.how)
        if i == 0 and text != "0":
            double = theory.check(f"{name}.{term}", f"2 ({text})")
            assert double.equal is False
            assert double.counterexample is not None


@given(formulas(6), st.sampled_from(["+ b.b", "+ tr(A)/D", "* 2", "- (tr(A S) - tr(S A))", "+ 0"]))
def test_a_changed_mean_is_told_from_the_same_mean(formula, change):
    """Random expectations: the same mean in other words is equal, a changed one is not."""
    name = f"expect: {formula.text}"
    try:
        right = theory.expectation(formula.text)
    except ValueError:
        return  # no Gaussian vector in it
    text = grammar.write(right.expr)
    found = theory.check(name, f"({text}) {change}")
    is_same = change in ("- (tr(A S) - tr(S A))", "+ 0") or (change == "* 2" and right.expr == 0)
    assert found.equal is is_same
    if not is_same:
        point = found.counterexample
        values = point.point
        shifted = theory.check(name, f"({text}) {change}").difference
        assert shifted != 0
        known = {k: v for k, v in values.items() if k in right.arguments()}
        assert right.evaluate(**known) == point.right


@pytest.mark.parametrize(
    ("name", "formula", "options", "points"),
    [
        ("ntk-eigenvalues.traceless", "2 epsilon^2/D^2", {}, ["sigma = 1"]),
        ("target-decomposition.radial", "(D + 2) |beta|^2/(4 D^3)", {}, ["|beta| = 1"]),
        ("expect: (x'Ax)^2", "(tr(A)^2 + 2 tr(A^2))/D^2", {}, ["D = 1", "A symmetric"]),
        ("expect: (u.x)(v.x) + 1", "1", {}, ["u.v = 0"]),
        ("test-loss", EQ_6.replace("alpha^2 |wbar|^2", "alpha |wbar|^2"), {}, ["alpha = 1"]),
    ],
)
def test_special_points(name, formula, options, points):
    found = theory.check(name, formula, **options)
    assert found.equal is False
    assert set(points) <= set(found.special_points)


@pytest.mark.parametrize(
    ("name", "formula", "word"),
    [
        ("expect: c (b.x)^2", "|c| |b|^2/D", "right for c >= 0, but c may be any real number"),
        ("expect: c (b.x)^2", "-sqrt(c^2) |b|^2/D", "right for c <= 0, but c may be"),
        ("expect: c (b.x)^2", "c^2/|c| |b|^2/D", "right for c > 0, but c may be"),
        ("expect: (a.x)(b.x)", "|a.b|/D", "right for a.b >= 0, but a.b may be"),
        ("ntk-eigenvalues.linear", "-1/D", "the sign is wrong"),
        ("ntk-eigenvalues.linear", "1/(3 D)", "too small by the factor 3"),
        ("ntk-eigenvalues.traceless.multiplicity", "D(D + 1)/2", "too large by 1"),
        ("ntk-eigenvalues.traceless.multiplicity", "D(D + 1)/2", "leading order"),
        ("target-decomposition.radial", "(D + 2)/(4 D^3)", "a factor |beta|^4 is missing"),
        ("test-loss", EQ_6 + " - 2 alpha^2 |wbar|^2/D", "the sign of the term"),
        ("test-loss", EQ_6 + " + sigma", "the term sigma is too much"),
        ("test-loss", EQ_6 + " + sigma", "does not depend on sigma"),
        ("network-function", "alpha wbar.x", "is missing"),
    ],
)
def test_words(name, formula, word):
    assert any(word in said for said in theory.check(name, formula).words)


def test_equal_is_never_guessed():
    """Roots and functions: proved by SymPy's rules, refuted by numbers, or not decided."""
    assert theory.check("momentum-modes.oscillates.1", "(1 - sqrt(mu))^2")
    assert theory.check("momentum-modes.oscillates.1", "(1 + sqrt(mu))^2").equal is False
    t = sp.Symbol("t", positive=True)
    assert vanishing(sp.exp(2 * t) - sp.exp(t) ** 2)[0] is True
    tiny = sp.erf(t) - sp.erf(t * (1 + sp.Rational(1, 10**30)))
    assert vanishing(tiny)[0] is None
    form = theory.ClosedForm("own", "own", sp.erf(t), [], "", "")
    undecided = theory.check(form, "erf(t (1 + 1e-30))")
    assert undecided.equal is None
    assert not undecided
    assert "can't decide" in str(undecided)


@pytest.mark.parametrize(
    ("name", "formula", "options", "message"),
    [
        ("test-los", "1", {}, "did you mean 'test-loss'"),
        ("test-loss.varience", "1", {}, "did you mean 'variance'"),
        ("ntk-eigenvalues", "1", {}, "several parts: ntk-eigenvalues.linear"),
        ("momentum-modes.oscillates", "1", {}, "several parts"),
        ("test-loss", "beta beta'", {}, "is a matrix of shape"),
        ("test-loss-minimiser", "1", {}, "is a scalar; test-loss-minimiser is a matrix"),
        ("test-loss", "(beta.x)^2/bta", {}, ">>>bta<<<"),
        ("test-loss", "__import__('os')", {}, "a name starts with a letter"),
        ("test-loss", None, {}, "must be a text"),
        ("test-loss", "1", {"symmetric": ("A",)}, "only for a name expect:"),
        ("test-loss", "1", {"at": {"q": 1}}, "argument = 'q'"),
        ("test-loss", "1", {"at": {"D": 0}}, "D = 0"),
        ("expect: exp(b.x)", "1", {}, "must be a polynomial in x"),
        ("expect: (x'Ax", "1", {}, "never closed"),
        (3, "1", {}, "must be a name"),
        ("test-loss", "(alpha + epsilon + D + tr(M))^200", {}, "terms when it is multiplied out"),
        ("expect: (a.x + b.x + c.x + u.x + v.x + w.x + x.x)^20", "1", {}, "multiplied out"),
    ],
)
def test_bad_input_is_one_line(name, formula, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        theory.check(name, formula, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["test-loss", "lazy-movement", "kernel-alignment", "ntk"])
def test_evaluate_takes_the_counterexample(name):
    form = theory.closed_form(name)
    found = theory.check(name, "1/7").counterexample
    point = {k: v for k, v in found.point.items() if k in form.arguments()}
    assert form.evaluate(**point) == found.right
    assert found.right != found.given == sp.Rational(1, 7)


def test_a_formula_given_by_cases():
    """Each finite case has a name, and a counter-example meets its condition."""
    right = "3/4 * (b/D)^2 (1 + P (P - 2)(D + 4)/((P + 2)(P + 4)(P - D - 1)))"
    assert theory.check("early-plateau.many_samples", right)
    assert theory.check("early-plateau.1", right)
    wrong = theory.check("early-plateau.many_samples", right.replace("D - 1", "D - 2"))
    point = wrong.counterexample.point
    assert point["P"] >= point["D"] + 2
    assert "P >= D + 2" in wrong.assumptions


def test_a_kernel_of_relu_in_arccos_or_arcsin():
    """arccos and arcsin differ by a constant: either form is decided, and a wrong one rejected."""
    relu = theory.Problem(activation="relu(h)")
    form = r"\frac{1}{2\pi} x\cdot x'\left(\pi - C\arccos\frac{x\cdot x'}{|x||x'|}\right)"
    assert theory.check("ntk-at-init", form.replace("C", ""), problem=relu)
    wrong = theory.check("ntk-at-init", form.replace("C", "2"), problem=relu)
    assert wrong.equal is False
    assert wrong.counterexample.right == sp.Rational(3, 8)


def test_a_formula_with_the_gamma_function():
    """By hand, with <|x|^3> of a chi distribution."""
    relu, name = theory.Problem(activation="relu(h)"), "loss-at-init.overlap"
    gammas = r"\frac{\Gamma\left(\frac{D+3}{2}\right)}{\Gamma(D/2)}"
    form = r"-\frac{C\alpha\sigma |\beta|^2}{\sqrt\pi D^{5/2}}" + gammas
    assert theory.check(name, form.replace("C", "2"), problem=relu)
    assert theory.check(name, form.replace("C", "3"), problem=relu).equal is False
    written = theory.grammar.write(relu.closed_form("loss-at-init").terms["overlap"])
    assert theory.check(name, written, problem=relu)
    matrix = theory.expectation(r"x'\Gamma (x + b)", matrices=("Gamma",))
    assert theory.grammar.write(matrix.expr) == "tr(Gamma)/D"


@pytest.mark.parametrize(
    "formula",
    [
        r"\binom{D}{2} + D - 1",
        "binom(D + 1, D - 1) - 1",
        "(D + 1)!/(2 (D - 1)!) - 1",
        r"\frac{(D+1)!}{2!\,(D-1)!} - 1",
    ],
)
def test_binomial_coefficients_and_factorials(formula):
    name = "ntk-eigenvalues.traceless.multiplicity"
    assert theory.check(name, formula)
    assert not theory.check(name, formula.replace("- 1", "+ 1"))


def test_closed_forms_of_your_own_problem():
    problem = theory.Problem(activation="h + c*h^3")
    found = theory.check("ntk-at-init", "x.x_prime", problem=problem)
    assert found.equal is False
    assert "c = 0" in found.special_points
    right = "9 c^2 sigma^4 |x|^2 |x_prime|^2 x.x_prime + 18 c^2 sigma^4 (x.x_prime)^3"
    linear = "(1 + 3 c sigma^2 (|x|^2 + |x_prime|^2)) x.x_prime"
    assert theory.check("ntk-at-init", f"{right} + {linear}", problem=problem)


def test_command(tmp_path, capsys):
    def run(*arguments: str):
        try:
            cli.main(["check", *arguments])
        except SystemExit as stopped:
            return stopped.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    name, right = "ntk-eigenvalues.radial", "epsilon^2/D (1 + 2/D)"
    code, out, _ = run(name, right, "--at", "sigma=1")
    assert (code, "equal for every D" in out) == (0, True)
    report = tmp_path / "report.json"
    code, out, _ = run(name, right, "--format", "json", "--report", str(report))
    assert code == 1
    assert json.loads(out) == json.loads(report.read_text())
    assert json.loads(out)["special_points"] == ["sigma = 1"]
    run(name, right, "--report", str(tmp_path / "report.md"))
    assert "$$" in (tmp_path / "report.md").read_text()
    for arguments, message in [
        (["test-los", "1"], "did you mean"),
        (["test-loss", "1 +"], "before the end"),
        (["test-loss", "1", "--report", "report.txt"], "--report"),
        (["test-loss", "1", "--at", "D=x"], "--at D=x"),
    ]:
        code, _, err = run(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_a_half_line_on_which_a_formula_is_right_is_no_accident():
    """|c| is c at 1 and at 2 as at every c >= 0; c^2 is c at 1 alone."""
    assert theory.check("expect: c (b.x)^2", "|c| |b|^2/D").special_points == []
    assert "c = 1" in theory.check("expect: c (b.x)^2", "c^2 |b|^2/D").special_points
    assert theory.check("expect: c^2 (b.x)^2", "|c| sqrt(c^2) |b|^2/D").equal


@pytest.mark.parametrize(
    "name",
    ["target-power.degree_9", "ntk-eigenvalues.harmonics_9", "target-decomposition.harmonics_9"],
)
def test_the_part_of_a_degree_that_does_not_occur_is_0(name):
    problem = theory.Problem("h^2", "(beta.x)^2")
    assert theory.check(name, "0", problem=problem)
    assert not theory.check(name, "|beta|^2/D", problem=problem)
    with pytest.raises(ValueError, match="did you mean"):
        theory.check(name.replace("s_9", "z_9").replace("e_9", "f_9"), "0", problem=problem)


def test_values_that_fix_the_dimension_are_said_and_nothing_is_claimed_beyond_them():
    """At D = 2 the linear term of the loss is alpha^2 |wbar|^2/2; elsewhere it isn't."""
    alone = "alpha^2 |wbar|^2/2"
    at_2 = theory.check("test-loss.linear", alone, at={"D": 2})
    assert at_2
    assert at_2.verdict.startswith("equal at D = 2, not shown for other D")
    assert not theory.check("test-loss.linear", alone)
    vector = theory.check("test-loss.linear", "alpha^2/2", at={"wbar": [1, 0]})
    assert "equal at wbar = [1, 0], not shown for other D" in vector.verdict
    assert vector.as_dict()["at"] == {"wbar": [1, 0]}
    sigma = theory.check("ntk-eigenvalues.radial", "epsilon^2/D (1 + 2/D)", at={"sigma": 1})
    assert sigma.verdict.startswith("equal for every D at sigma = 1:")


@pytest.mark.parametrize("part", ["harmonics_3", "harmonics_3.eigenvalue"])
def test_a_counterexample_to_an_eigenvalue_has_eigenfunctions(part):
    wrong = theory.check(f"ntk-eigenvalues.{part}", "c^2/D^2", problem=theory.Problem("h + c h^3"))
    assert wrong.counterexample.point["D"] == 2  # at D = 1 the multiplicity is 0


def test_a_scalar_product_within_a_matrix_is_the_scalar():
    """beta beta'w beta' is (beta.w) beta beta', in the first power; beta'M w keeps its M."""
    plain = Plain()
    word, scalar = plain.table(beta * beta.T * wbar * beta.T), plain.scalar(dot(beta, wbar))
    assert list(word.values()) == [scalar]
    assert decide(beta * beta.T * wbar, dot(beta, wbar) * beta, plain).equal
    assert not decide(beta * beta.T * wbar, dot(beta, wbar) ** 2 * beta, plain).equal
    between = beta * beta.T * M * wbar
    assert decide(between, form(beta, M, wbar) * beta, plain).equal
    assert not decide(between, dot(beta, wbar) * beta, plain).equal


def test_a_transposed_matrix_opens_no_scalar_product():
    A = sp.MatrixSymbol("A", D, D)
    assert Plain().table(A.T * wbar) == {A.T * wbar: 1}


@pytest.mark.parametrize(("formula", "zero"), [("0", True), ("1", False)])
def test_a_formula_that_is_0_is_called_that(formula, zero):
    assert ("the formula is 0" in theory.check("loss-at-init", formula).words) is zero


@pytest.mark.parametrize(
    ("left", "right", "differ"),
    [(2, 1, True), (1, 1, False), (sp.oo, 1, False), (sp.sqrt(2), 1, True), (sp.I, 1, False)],
)
def test_values_that_are_no_finite_number_are_no_counter_example(left, right, differ):
    assert points._differ(left, right) is differ


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("ntk-at-init", "x.x' (1/4 + asin(x.x'/(|x||x'|))/(2 pi))"),
        ("expect: (x.x')^2 |x|^2 |x'|^2", "(D + 2)^2/D^3"),
        ("expect: x'x |x|^2", "(D + 2)/D"),
    ],
)
def test_x_primed_between_bars_is_the_second_input(name, formula):
    """As after a dot: it was read as the transpose of x, whose norm is that of x."""
    relu = theory.Problem(activation="relu(h)") if name == "ntk-at-init" else None
    assert theory.check(name, formula, problem=relu)


@pytest.mark.parametrize("activation", ["h", "h + c*h^3", "erf(h)", "relu(h)"])
@pytest.mark.parametrize("written", [text, latex])
def test_a_printed_form_with_two_inputs_or_two_neurons_is_read_back(activation, written):
    problem = theory.Problem(activation=activation, readouts="trained")
    forms = [("ntk-at-init", problem.closed_form("ntk-at-init").expr)]
    loss = problem.closed_form("population-loss")
    forms += [(f"population-loss.{term}", expr) for term, expr in loss.terms.items()]
    if activation != "relu(h)":  # whose slope, a step, is no function of the grammar
        forms.append(("ntk", problem.closed_form("ntk").expr))
    for name, expr in forms:
        assert theory.check(name, written(expr), problem=problem), written(expr)


@pytest.mark.parametrize("formula", ["(w.w')/D", r"\frac{w \cdot w'}{D}", "<w, w'>/D"])
def test_w_primed_after_a_dot_is_the_second_neuron(formula):
    assert theory.check("population-loss.pair", formula, problem=theory.Problem(activation="h"))


def test_a_counterexample_without_symbols_says_where_it_is():
    assert "\n  at D = 3: 16667/10000, not 5/3" in str(
        theory.check("E[|x|^4]", "1.6667", at={"D": 3})
    )
    cubic = theory.Problem(activation="h + c*h^3")
    assert "\n  everywhere: 1, not 0" in str(
        theory.check("ntk-eigenvalues.harmonics_7", "1", problem=cubic)
    )


@pytest.mark.parametrize(
    ("name", "formula", "activation", "words"),
    [
        (
            "ntk-at-init",
            "(x.x')(pi - acos(x.x'/(|x||x'|)))/(4 pi)",
            "relu(h)",
            ["too small by the factor 2"],
        ),
        ("ntk-rank", "D + D(D-1)(D+4)/6", "h + c*h^3", ["the term D is missing"]),
        ("E[|x|^4]", "(D^2+2D)/D^2 + exp(-D)", None, ["too large by exp(-D)"]),
        ("E[(b.x)^4]", "3 b.b/D^2", None, ["a factor |b|^2 is missing"]),
    ],
)
def test_what_is_off_is_what_the_user_wrote(name, formula, activation, words):
    problem = activation and theory.Problem(activation=activation)
    found = theory.check(name, formula, problem=problem)
    assert found.words[:1] == words


def test_where_a_formula_is_right_by_accident_is_said_once():
    found = theory.check("target-decomposition.radial", "(D + 2)/(4 D^3)")
    assert found.special_points == ["|beta| = 1"]
    assert str(found).count("|beta| = 1") == 1


def test_a_name_that_needs_a_problem_and_a_condition_without_its_vector_say_so():
    with pytest.raises(ValueError, match="'target-power': derived for a problem that is described"):
        theory.check("target-power", "1")
    with pytest.raises(ValueError, match=r"given = 'w': the formula has no w; it has b, x"):
        theory.expectation("Var[(b.x)^2 | w]")
    assert theory.expectation("E[(w.x)^2 | w]").title == "E[(w.x)^2 | w]"


@pytest.mark.parametrize("count", [4, 5])
def test_up_to_four_terms_are_said_and_more_are_not_a_slip(count):
    extra = [f"sigma^{k}" for k in range(2, 2 + count)]
    words = theory.check("test-loss", " + ".join([EQ_6, *extra])).words
    said = [f"the term {term} is too much" for term in extra]
    assert [line for line in words if "too much" in line] == (said if count == 4 else [])


@pytest.mark.parametrize(("factor", "equal"), [("1/4", True), ("1/2", False)])
def test_the_right_form_and_the_difference_are_printed_where_there_is_one(factor, equal):
    found = theory.check("target-decomposition.radial", f"{factor} (D + 2) |beta|^4/D^3")
    assert bool(found) is equal
    lines = [line.split(":")[0].strip() for line in str(found).splitlines()]
    assert ("right form" in lines, "difference" in lines) == (not equal, not equal)
