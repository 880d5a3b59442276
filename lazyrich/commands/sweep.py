"""``lazyrich sweep``: a grid of runs from a TOML file, kept cell by cell."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from xarray import Dataset

TABLES = ("grid", "fixed")
# How a cell can end without a history.
STATUSES = ("diverged", "overflowed", "too stiff")


@click.command("sweep", short_help="Run a grid of networks, resumable, here or on a cluster.")
@click.argument("file", metavar="FILE.toml")
@click.option("--folder", help="Folder for the finished cells.  [default: FILE without .toml]")
@click.option(
    "--jobs", type=int, default=-1, show_default=True, help="Processes; -1: one per core."
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the Dask cluster there: tcp://HOST:8786."
)
@click.option("--out", metavar="FILE.nc", help="Write all histories as one dataset here.")
@quiet_option
def command(
    file: str, folder: str | None, jobs: int, scheduler: str | None, out: str | None, quiet: bool
) -> None:
    """Train a network for every combination of the values in a grid, and keep each finished run.

    FILE.toml has a table [grid], with a list of values for each key, and a table [fixed], with one
    value for each. Keys are the arguments of PolynomialTask and train, and task_seed, label_scale.
    Finished cells are kept in a folder (FILE without .toml): call again to resume after an
    interruption, or to open a finished sweep.

    \b
    Example, FILE.toml:
      [grid]
      alpha = [0.5, 1.0, 2.0]
      seed = [0, 1, 2]
      [fixed]
      D = 40
      P = 120
      epsilon = 0.25
      width = 100            # or inf
      steps = 10000
    \b
      lazyrich sweep FILE.toml --out all.nc
    """
    from lazyrich.support.output import answer, given_path, output_file

    dataset_file = output_file("--out", out, (".nc",))
    file_path = given_path("FILE.toml", file)
    tables = _tables(file_path)
    where = given_path("--folder", folder) if folder is not None else file_path.with_suffix("")
    from lazyrich import simulate
    from lazyrich.support.arguments import escaped

    with progress_bar("sweeping", quiet) as progress:
        found = simulate.sweep(
            tables["grid"],
            folder=where,
            jobs=jobs,
            scheduler=scheduler,
            progress=progress,
            **tables["fixed"],
        )
    sizes = " x ".join(f"{found.sizes[name]} {name}" for name in tables["grid"])
    counts = ((status, int((found.status == status).sum())) for status in STATUSES)
    failed = "".join(f"; {count} {status}" for status, count in counts if count)
    answer(
        f"{found.status.size} cells ({sizes}) in {escaped(where)}{failed or '; all finished'}",
        (dataset_file, lambda at: _write(found, at)),
    )
    if dataset_file:
        click.echo(f"wrote {escaped(dataset_file)}")


def _write(found: "Dataset", file: Path) -> None:
    from lazyrich.support.files import with_checksum, write_whole

    # Built in memory: HDF5 on a full disk leaves more than one line behind.
    content = with_checksum(bytes(_writable(found).to_netcdf(engine="h5netcdf")))
    write_whole(file, lambda part: part.write_bytes(content))


def _tables(file: Path) -> dict[str, dict[str, Any]]:
    """The two tables of the file. Raises ``ValueError`` in one line for anything else."""
    from lazyrich.support.arguments import escaped, one_of
    from lazyrich.support.toml_file import read_toml

    tables, given = read_toml("FILE.toml", file), f"FILE.toml = {escaped(file)}"
    for name, table in tables.items():
        one_of("table", name, TABLES)
        if not isinstance(table, dict):
            raise ValueError(f"{given}: {name} must be a table, [{name}]")
    if "grid" not in tables:
        raise ValueError(f"{given}: must have a table [grid]")
    from lazyrich.simulate.cells import defaults

    for name, table in tables.items():
        for key in table:
            one_of(f"{given}: [{name}] key", key, defaults())
    return {"fixed": {}, **tables}


def _writable(found: "Dataset") -> "Dataset":
    """Return the dataset with names in the place of axis values that no file can hold."""
    odd = [name for name in found.indexes if found[name].dtype == object]
    return found.assign_coords({name: list(map(str, found.indexes[name])) for name in odd})
