"""What several figures say of a test loss: its terms add up, and it rises by one of them."""

import numpy as np
from scipy.stats import t as student
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, spread
from lazyrich.simulate.outcome import THRESHOLD, time_to_grok


def initial_rise(run: Dataset) -> tuple[int, int]:
    """Return the records (low, peak) between which the test loss rises most while it still fits.

    That is up to the first record by which the train loss of this one run is learnt (or up to its
    end). Both are the same record where the test loss never rises.

    >>> run = Dataset({"train_loss": ("step", [1, 0.5, 0.01, 0.01])}, {"step": [0, 1, 2, 3]})
    >>> run["population_loss"] = ("step", [1.0, 0.9, 1.5, 2.0])
    >>> initial_rise(run)
    (1, 2)
    """
    end = int(np.searchsorted(run.step, time_to_grok(run, threshold=THRESHOLD).train))
    loss = run.population_loss.values[: end + 1]
    peak = int(np.argmax(loss - np.minimum.accumulate(loss)))
    return int(np.argmin(loss[: peak + 1])), peak


def linear_shares(history: Dataset) -> list[float]:
    """Return the share of the linear term in the initial rise, of each seed whose loss rises.

    It is above 1 where the other terms fall meanwhile.
    """
    shares = []
    for seed in history.seed.values:
        run = history.sel(seed=seed)[["train_loss", "population_loss", "linear"]]
        low, peak = initial_rise(run)
        rise = run.isel(step=peak) - run.isel(step=low)
        if peak > low:
            shares.append(float(rise.linear / rise.population_loss))
    return shares


def rise_is_linear(history: Dataset, name: str, which: str, *, claim: str) -> Check:
    """Return the check of Sec. 5.3: the first peak of the test loss is power in linear modes."""
    shares = linear_shares(history)
    return Check(
        f"rise-is-linear-{name}",
        f"in {which}, the initial rise of the test loss is power put into linear modes",
        f"share of the linear term in the rise: {spread(shares)} ({len(shares)} of "
        f"{history.sizes['seed']} seeds rise)",
        "above 1/2 in the median seed",
        bool(shares) and bool(np.median(shares) > 0.5),
        source="Sec. 5.3, Fig. 4",
        claim=claim,
    )


# Of figures in which the terms add up, one in this many may say that they do not.
ONE_IN = 1000


def terms_add_up(runs: Dataset, terms: str, source: str, *, claim: str) -> Check:
    """Return the check that the population loss of these runs is their loss on fresh samples.

    ``runs`` are over (seed, width, step). Each seed has samples of its own, so that the ratio of
    both losses averages to 1 over the seeds, up to Student's t.
    """
    learning = runs.where(runs.population_loss > 1e-6 * runs.population_loss.isel(step=0))
    ratio = (learning.test_loss / learning.population_loss).mean("step")
    seeds, widths = ratio.sizes["seed"], ratio.sizes["width"]
    error = ratio.std("seed", ddof=1) / seeds**0.5
    score = float((abs(ratio.mean("seed") - 1) / error).max())
    most = float(student.isf(1 / (2 * ONE_IN * widths), seeds - 1))
    return Check(
        "terms-add-up",
        f"{terms}, add up to the mean square error on 1,000 fresh samples",
        f"ratio {spread(ratio)} over seeds and widths; its mean is {score:.1f} standard errors "
        "from 1",
        f"less than {most:.2g} standard errors, of {seeds} seeds: exceeded by chance in one of "
        f"{ONE_IN:,} figures",
        score < most,
        source=source,
        claim=claim,
    )


def wide_falls(wide: Dataset) -> Check:
    """Return the check that the test loss of the wide network falls in every seed."""
    first, final = (wide.population_loss.isel(step=i).values for i in (0, -1))
    return Check(
        "wide-falls",
        "the test loss of the wide network ends below its start",
        f"from {spread(first)} to {spread(final)}",
        "in every seed",
        bool((final < first).all()),
    )
