"""Random attacks on a law: Hypothesis looks for inputs that break it, shrinks and shows them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, configuration, given, seed, settings
from hypothesis.strategies import SearchStrategy, tuples

from lazyrich.verify.ledger import Budget


def attack(
    law: Callable[..., float | None],
    *inputs: SearchStrategy[Any],
    budget: Budget,
    shrink: bool = True,
) -> str:
    """Try the law on ``budget.examples`` random inputs; return one line on what was found.

    The law raises ``AssertionError`` where it fails, with the shrunk input in the error's notes
    (without ``shrink``: the first one, quicker, as controls want it). It may return the share of
    its tolerance that it used: the line reports the largest.

    >>> from hypothesis import strategies as st
    >>> attack(lambda n: 0.5, st.integers(), budget=Budget(examples=50))
    '50 random inputs; at most 0.5 of the tolerance used'
    """
    shares: list[float] = []

    @seed(budget.seed)
    @settings(
        max_examples=budget.examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    @given(tuples(*inputs))
    def run(values: tuple) -> None:
        share = law(*values)
        shares.append(0.0 if share is None else float(share))

    run()  # pyright: ignore[reportCallIssue]
    used = f"; at most {max(shares):.2g} of the tolerance used" if any(shares) else ""
    return f"{len(shares)} random inputs{used}"


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Keep what Hypothesis stores out of the folder that the user happens to be in."""
    before = configuration.storage_directory(intent_to_write=False).home_directory
    with TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
