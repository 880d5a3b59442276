"""The option --threads of the commands that compute in this process."""

import click

threads_option = click.option(
    "--threads",
    type=int,
    help="Threads to compute with.  [default: 1, or all cores where products are large]",
)


def use_threads(number: int | None, product: float | int) -> None:
    """Let this command use so many threads; None: as many as pay for its largest product.

    ``product``: multiplications of the largest product of two matrices, about. Raises
    ``ValueError`` for a bad number.
    """
    from lazyrich.simulate.threads import checked, threads

    limit = threads(checked("--threads", number), product=product)
    click.get_current_context().with_resource(limit)
