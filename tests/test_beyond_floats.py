"""A value that no float comes near is no value: exact numbers have it, floats get one line."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from lazyrich import theory
from lazyrich.cli import main
from lazyrich.theory import Problem

_CUBE = Problem("h + c h^3", "(beta.x)^3")


@pytest.mark.parametrize("size", [1e120, 1e-120])
def test_a_power_beyond_floats_is_one_line_with_what_was_given(size, capsys):
    for format_ in ("pretty", "json", "latex", "python"):
        asked = ["derive", "target-power", "--target", "(beta.x)^3", "--format", format_]
        with pytest.raises(SystemExit) as stopped:
            main([*asked, "--at", "D=2", "--at", f"beta=[{size:g},0]"])
        assert stopped.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert f"beta = [{size:g}, 0]: target-power has a value of 1.8" in printed.err


def test_exact_numbers_have_values_of_any_size():
    power = _CUBE.closed_form("target-power")
    assert power.evaluate(D=2, beta=[10**120, 0]) == 15 * sp.Integer(10) ** 720 / 8
    assert power.evaluate(D=2, beta=["1e-120", 0]) == sp.Rational(15, 8 * 10**720)
    tiny, large = Fraction(1, 10**200), 10**200
    spectrum = _CUBE.closed_form("ntk-eigenvalues")
    found = spectrum.evaluate_terms(D=3, sigma=tiny, c=large)
    assert found["harmonics_3"] == (sp.Rational(4, 10**400), 7)  # 108 c^2 sigma^4/D^3


def test_eigenvalues_beyond_floats_are_refused_and_others_are_values():
    spectrum = _CUBE.closed_form("ntk-eigenvalues")
    for call in (spectrum.evaluate, spectrum.evaluate_terms, spectrum.subs):
        with pytest.raises(ValueError, match=r"sigma = 1e-200, c = 1e\+200: ntk-eigenvalues has a"):
            call(D=3, sigma=1e-200, c=1e200)
    value, count = spectrum.evaluate_terms(D=3, sigma=1e-20, c=1e20)["harmonics_3"]
    assert (value, count) == (pytest.approx(4e-40, rel=1e-14, abs=0), 7)


def test_arrays_given_to_evaluate_are_floats():
    power = _CUBE.closed_form("target-power")
    assert power.evaluate(beta=np.array([1e40, 0.0])) == pytest.approx(15e240 / 8, rel=1e-14)
    with pytest.raises(ValueError, match="outside of the range of floats"):
        power.evaluate(beta=np.array([1e120, 0.0]))
    decomposition = _CUBE.closed_form("target-decomposition")
    with pytest.raises(ValueError, match="outside of the range of floats"):
        decomposition.evaluate_terms(beta=np.array([0.0, 1e-120]))


def test_a_value_that_the_formula_says_is_infinite_stays():
    plateau = theory.closed_form("early-plateau")
    assert plateau.evaluate(D=5, P=5, b=5.0) == math.inf
    assert plateau.evaluate(D=5, P=5, b=1e-150) == math.inf
