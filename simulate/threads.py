"""Threads of a run: one, unless its products are so large that more of them pay.

Threads that share a small product mostly wait for each other, and keep their cores busy while they
do. Where other programs need the cores, such a run takes many times as long. With two threads on
two cores that were both taken, products of 3e7 multiplications took 3 to 6 times as long as with
one, and products of 2e8 and more at most 1.5 times.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lazyrich.support.arguments import positive_integer

# Multiplications in a product of two matrices from which several threads pay.
PAYS = 10**9
_fixed = False


@contextmanager
def threads(number: int | None = None, *, product: float | int = 0) -> Iterator[None]:
    """Let torch, BLAS and LAPACK use ``number`` threads in this block.

    None: one where the largest product of two matrices takes fewer than ``PAYS`` multiplications,
    else as many as torch may use now. A number that is given holds in all blocks within it.

    >>> import torch
    >>> before = torch.get_num_threads()
    >>> with threads(1), threads(product=10 * PAYS):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    global _fixed
    if number is None and (_fixed or product >= PAYS):
        yield
        return
    before, _fixed = _fixed, _fixed or number is not None
    try:
        with _limited(number or 1):
            yield
    finally:
        _fixed = before


def checked(argument: str, number: int | None) -> int | None:
    """Return a number of threads. Raises ``ValueError`` if there are not so many cores.

    >>> checked("--threads", 1), checked("--threads", None)
    (1, None)
    """
    cores = os.cpu_count() or 1
    if number is not None and positive_integer(argument, number) > cores:
        raise ValueError(f"{argument} = {number}: must be at most {cores}, as there are cores here")
    return number


@contextmanager
def _limited(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if before == number == 1:  # as in every worker
        yield
        return
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)
