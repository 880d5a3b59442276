"""The one table of tolerances: how far rounding can carry a result, from the conditioning.

A sum or product of n roundings in a row returns its value within gamma_n = n u/(1 - n u) times its
*magnitude*: the same formula on absolute values (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., Lemma 3.1, Sec. 3.3). Magnitude over |value| is the condition number. The bound
is rigorous, so no tolerance here is a guess.
"""

from typing import Any

import numpy as np

from lazyrich.support.arguments import one_of, positive_integer

# Unit roundoff: half the distance from 1 to the next number.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}


def rounding(operations: int, condition: float = 1.0, dtype: Any = "float64") -> float:
    """The relative error that ``operations`` roundings in a row can make at this condition number.

    ``dtype`` is a name, a NumPy or a torch type. Raises ``ValueError`` for another type, and for
    so many operations that nothing would be left.

    >>> rounding(1) == 2.0**-53 / (1 - 2.0**-53)
    True
    >>> rounding(100, dtype="float32") > rounding(100)
    True
    """
    name = one_of("dtype", dtype_name(dtype), UNIT_ROUNDOFF)
    relative = positive_integer("operations", operations) * UNIT_ROUNDOFF[name]
    if relative >= 1:
        raise ValueError(f"operations = {operations}: {name} keeps no digit beyond 1/u of them")
    return condition * relative / (1 - relative)


def dtype_name(dtype: Any) -> str:
    """The name of a NumPy or torch type: "float64" of each of them."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    return name.rsplit(".", 1)[-1]


def assert_close(
    actual: Any,
    expected: Any,
    *,
    magnitude: Any,
    operations: int,
    dtype: Any = "float64",
    label: str = "result",
) -> float:
    """Assert |actual - expected| <= gamma * magnitude everywhere; return the largest share used.

    ``magnitude`` broadcasts against the results: what the formula gives on absolute values; where
    it is 0 the two must be equal. Raises ``AssertionError`` with the worst entry otherwise.

    >>> assert_close(0.1 + 0.2, 0.3, magnitude=0.3, operations=2) < 1
    True
    >>> assert_close(0.1, 0.1001, magnitude=0.1, operations=2)
    Traceback (most recent call last):
    ...
    AssertionError: result: 0.1 is not 0.1001: off by 1e-04, rounding explains 2e-17
    """
    got, want = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    if got.shape != want.shape:
        raise AssertionError(f"{label}: has shape {got.shape}, not {want.shape}")
    if not got.size:
        return 0.0
    error = np.abs(got - want)
    allowed = np.broadcast_to(rounding(operations, dtype=dtype) * np.asarray(magnitude), got.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(error == 0, 0.0, error / allowed)
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(share, nan=np.inf))), got.shape)
    if not share[worst] <= 1:
        raise AssertionError(
            f"{label}: {got[worst]:.6g} is not {want[worst]:.6g}: off by {error[worst]:.0e}, "
            f"rounding explains {allowed[worst]:.0e}"
        )
    return float(share[worst])
