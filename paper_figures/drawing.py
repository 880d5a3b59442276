"""One figure from its runs: drawn, its claims checked, both written."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from xarray import Dataset

from lazyrich.paper_figures import module, names, too_small
from lazyrich.paper_figures.gallery import write_gallery
from lazyrich.paper_figures.plan import Plan, empty, marked
from lazyrich.paper_figures.report import Result, write
from lazyrich.plotting import house_style, rendered


def draw(
    name: str, preset: str, plan: Plan, data: dict[str, Dataset], folder: Path, began: float
) -> Result:
    """Draw a figure from its runs, check its claims, and write both to the folder.

    ``began``: when work on it did, on the clock of ``time.perf_counter``.
    """
    figure, p, not_run = module(name), plan.parameters, plan.note(name)
    small = too_small(name) if preset == "tiny" else set()
    found = figure.claims(p, data) if plan.complete else []
    with house_style():
        picture = figure.picture(p, data) if plan.complete else empty()
        pictures = rendered(marked(picture, not_run), ("pdf", "png"))
    caption = figure.caption(p, data) if plan.complete else ""
    caption, _, notes = caption.partition("\n\n")
    result = Result(
        name=name,
        title=names()[name],
        preset=preset,
        caption=caption,
        parameters=asdict(p),
        checks=tuple(replace(check, too_small=check.name in small) for check in found),
        seconds=time.perf_counter() - began,
        paths=tuple(folder / f"figure-{name}.{suffix}" for suffix in ("pdf", "png", "md", "json")),
        notes=notes,
        not_run=not_run,
        drawn=picture,
    )
    write(result, pictures)
    write_gallery(folder, list(names()))
    return result
