"""Kernel-task alignment, most aligned moments, labels from eigenvectors, rank of the kernel."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.verify.certificates import prove
from lazyrich.verify.certificates.alignment import CERTIFICATES
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import alignment as laws
from lazyrich.verify.properties import assert_matches_closed_form
from lazyrich.verify.strategies import (
    arrays,
    dimensions,
    epsilons,
    networks,
    sample_sizes,
    scales,
    second_moments,
    seeds,
)

NAMES = ("kernel-alignment", "centred-kernel-alignment", "gram-alignment")


@pytest.mark.parametrize("name", NAMES)
def test_alignment_is_proved_by_brute_force_at_every_dimension(name):
    assert "prove it for every D" in prove(CERTIFICATES[name], closed_form(name).terms)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("term", ["numerator", "kernel_square"])
def test_a_wrong_factor_in_one_term_is_rejected(name, term):
    terms = dict(closed_form(name).terms)
    terms[term] = terms[term] * sp.Rational(9, 8)
    with pytest.raises(AssertionError, match=term):
        prove(CERTIFICATES[name], terms)


@given(networks(), st.booleans())
def test_alignment_moments_are_those_of_autograds_kernel(network, centred):
    laws.alignment_equals_its_closed_form(network, centred)


@given(networks(largest_D=3), st.integers(1, 10**6))
def test_gram_alignment_counts_the_diagonal(network, P):
    laws.gram_alignment_has_the_diagonal(network, P)


@given(dimensions(3), epsilons(), scales(-3, 3), st.booleans())
def test_alignment_at_initialisation(D, epsilon, sigma, centred):
    laws.initial_alignment_equals_its_closed_form(D, epsilon, sigma, centred)


def test_alignment_at_initialisation_is_the_general_one_at_its_moments():
    from lazyrich.theory.symbols import I, M, beta, sigma, wbar
    from lazyrich.theory.wick import canonical, dot

    at_init = closed_form("kernel-alignment-at-init")
    for name, key in (("kernel-alignment", "uncentred"), ("centred-kernel-alignment", "centred")):
        parts = [canonical(t.subs(M, sigma**2 * I)) for t in closed_form(name).terms.values()]
        numerator, square, power = (part.subs(dot(wbar, wbar), 0) for part in parts)
        general = sp.cancel(numerator**2 / (square * power**2))
        assert not general.has(dot(beta, beta))
        assert sp.simplify(general - at_init.terms[key] ** 2) == 0


@given(dimensions(50), scales(-8, 8), scales(-3, 3))
def test_alignment_at_initialisation_grows_with_epsilon_to_its_limit(D, epsilon, sigma):
    values = closed_form("kernel-alignment-at-init")
    small, large = (
        values.evaluate_terms(D=D, epsilon=sp.nsimplify(e), sigma=sp.nsimplify(sigma))
        for e in (epsilon, 2 * epsilon)
    )
    for name in ("uncentred", "centred"):
        assert small[name] ** 2 < large[name] ** 2 < large[f"{name}_limit"] ** 2
        mirrored = values.terms[name].subs("epsilon", -epsilon)
        assert mirrored == values.terms[name].subs("epsilon", epsilon)


def test_gram_alignment_tends_to_the_population_alignment():
    from lazyrich.theory.symbols import P

    gram, population = closed_form("gram-alignment"), closed_form("kernel-alignment")
    for name, term in gram.terms.items():
        limit = sp.limit(sp.expand(term), P, sp.oo)
        assert sp.expand(limit - population.terms[name]) == 0


@given(st.integers(2, 16).flatmap(second_moments).filter(lambda M: M.any()), st.booleans())
def test_no_second_moment_is_aligned_better_than_the_derived_one(M, centred):
    laws.no_moment_is_aligned_better(M, centred)


def test_above_dimension_10_the_targets_own_moment_is_not_the_most_aligned():
    D = 11
    along = np.zeros((D, D))
    along[0, 0] = 1
    t = float(closed_form("most-aligned-moment").evaluate(D=D))
    best = t * np.eye(D) + (1 - t) * along
    with pytest.raises(AssertionError, match="aligned better"):
        laws.no_moment_is_aligned_better(best, best=lambda _: 0.0)


@given(networks(), st.data())
def test_labels_from_the_jth_eigenvector_have_alignment_lambda_j_over_the_norm(network, data):
    X = data.draw(arrays(data.draw(sample_sizes(12)), network.D, bound=2))
    laws.eigenvector_labels_have_the_derived_alignment(network, X)


@given(dimensions(4), st.integers(1, 7), st.integers(1, 20), seeds())
def test_rank_of_the_kernel(D, N, P, seed):
    laws.rank_is_the_derived(D, N, P, seed)


def test_a_wrong_rank_is_rejected():
    with pytest.raises(AssertionError, match="rank 8, not 9"):
        laws.rank_is_the_derived(3, 3, 20, 0, formula=lambda n, D: n * D)


@pytest.mark.parametrize("name", NAMES)
def test_the_alignment_is_the_ratio_of_its_terms(name):
    cf = closed_form(name)
    numerator, square, power = cf.terms.values()
    assert sp.simplify(cf.expr**2 * square * power**2 - numerator**2) == 0


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_generated_functions_equal_the_terms(name, backend):
    for part, function in closed_form(name).functions(backend).items():
        assert_matches_closed_form(name, function, part=part, budget=Budget(examples=10))
