"""What every benchmark shares: how it is timed, and what the report needs to know about it."""

import inspect
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for `opponents`


def pytest_benchmark_update_machine_info(machine_info):
    machine_info["threads"] = torch.get_num_threads()
    machine_info["torch"] = torch.__version__


@pytest.fixture
def measure(benchmark, request):
    """Time ``function()``; the best of ``rounds`` counts, since other work only ever adds.

    ``group`` is a table of the report, ``name`` a row. The time shown is that of ``times`` units
    where one call does ``calls`` of them (steps, runs). ``at`` is the number that a group sweeps,
    for slopes. The first row of a group is what the others are compared with. ``notes`` are
    further columns, which may be filled in later. Returns what the function returned.
    """

    def timed(group, name, function, *, calls=1, times=1, rounds=5, at=None, notes=None):
        benchmark.group = group
        about = inspect.cleandoc(request.function.__doc__)
        benchmark.extra_info |= {"name": name, "scale": times / calls, "at": at, "about": about}
        benchmark.extra_info["notes"] = {} if notes is None else notes
        warm = rounds > 1
        return benchmark.pedantic(function, rounds=rounds, warmup_rounds=int(warm))

    return timed
