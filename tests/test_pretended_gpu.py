"""benchmarks/gpu.py mixes no devices: the same losses on a GPU that is only pretended."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from lazyrich.simulate.threads import threads

HERE = Path(__file__).parent


def _loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pretended = _loaded(HERE / "pretended_gpu.py")
DEVICE, PretendedGPU = pretended.DEVICE, pretended.PretendedGPU
WORKLOADS = _loaded(HERE.parent / "benchmarks" / "gpu.py").workloads(small=True)


def test_devices_that_mix_are_noticed():
    with PretendedGPU():
        there = torch.ones(3, device=DEVICE)
        assert float((2 * there).sum()) == 6
        with pytest.raises(RuntimeError, match="same device"):
            _ = there + torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            _ = torch.ones(2, 3) @ there


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_the_script_for_a_gpu_mixes_no_devices(name):
    with threads(1):
        here = np.asarray(WORKLOADS[name]("cpu"))
        with PretendedGPU():
            there = np.asarray(WORKLOADS[name](DEVICE))
    np.testing.assert_array_equal(here, there)
