"""benchmarks/gpu.py runs: the CPU against itself gives the same losses, workload by workload."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def _lines(*arguments):
    command = [sys.executable, SCRIPT, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_cpu_against_itself_differs_in_nothing():
    head, *rows = _lines("--small", "--device", "cpu")
    assert head.endswith("losses differ")
    assert len(rows) == 7
    assert all(float(row.split()[-1]) == 0 for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    assert _lines() == ["no CUDA device: nothing is measured"]
