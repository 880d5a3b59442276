"""Take over finished runs of the paper presets, to come with lazyrich.

``python docs/collect_runs.py FOLDER NAME [NAME ...]`` looks in ``FOLDER/runs``, where
``lazyrich figures NAME --preset paper --fresh --out FOLDER`` keeps them, for the runs of these
figures, by their settings, and writes them to ``paper_figures/finished_runs``.
"""

import platform
import sys
from pathlib import Path

import torch

import lazyrich
from lazyrich.paper_figures import module, shipped
from lazyrich.simulate.experiment import Function
from lazyrich.simulate.store import Failure, Store


def collect(folder: Path, names: list[str]) -> None:
    """Write the finished runs, and print how many of each figure there are."""
    store = Store(folder / "runs")
    paths = {_told(shipped.settings_of(path)): path for path in folder.glob("runs/*/*.nc")}
    made = {"lazyrich": lazyrich.__version__, "torch": str(torch.__version__)}
    made["machine"] = f"{platform.system()} {platform.machine()}"
    for name in names:
        figure, found, wanted = module(name), 0, 0
        for runs in figure.sweeps(figure.PRESETS["paper"]).values():
            if not isinstance(runs.experiment, Function):
                continue  # networks of the papers' model take seconds
            for settings in (one for group in runs.settings() for one in group):
                wanted += 1
                path = paths.get(_told(settings))
                if path is None or isinstance(store.read(path.stem), Failure):
                    continue
                history = store.described(path.stem)
                shipped.keep(runs.experiment, settings, history, made)
                found += 1
        print(f"figure {name}: {found} of {wanted} runs")


def _told(settings: dict) -> str:
    return repr(sorted((name, value) for name, value in settings.items() if name != "device"))


if __name__ == "__main__":
    collect(Path(sys.argv[1]), sys.argv[2:])
